// Imports product feeds (JSON) through a chain of NSOperations:
//
//   fetch  ->  parse  ->  store
//
// Each feed has a chain of its own; the store step runs on a serial queue,
// since the catalogue is not thread-safe. A failed step cancels what follows.

#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

extern NSString * const PLQErrorDomain;

typedef NS_ENUM(NSInteger, PLQErrorCode) {
    PLQErrorNotAList = 1,
    PLQErrorMissingField,
};

@protocol PLQCatalogue <NSObject>
- (BOOL)upsertProduct:(NSDictionary<NSString *, id> *)product error:(NSError **)error;
@end

typedef NSData * _Nullable (^PLQFetchBlock)(NSURL *url, NSError **error);
typedef void (^PLQCompletion)(NSUInteger imported, NSError * _Nullable error);

@interface PLQFeedImporter : NSObject
- (instancetype)initWithCatalogue:(id<PLQCatalogue>)catalogue
                            fetch:(PLQFetchBlock)fetch;
- (void)importFeedAtURL:(NSURL *)url completion:(PLQCompletion)completion;
- (void)cancelAll;
@end

NS_ASSUME_NONNULL_END

NSString * const PLQErrorDomain = @"org.example.plq.import";

/// Carried along a chain; only one step touches it at a time.
@interface PLQContext : NSObject
@property (nonatomic, copy) NSURL *url;
@property (nonatomic, strong) NSData *body;
@property (nonatomic, copy) NSArray *products;
@property (nonatomic, strong) NSError *error;
@property (nonatomic) NSUInteger imported;
@end

@implementation PLQContext
@end

@implementation PLQFeedImporter {
    id<PLQCatalogue> _catalogue;
    PLQFetchBlock _fetch;
    NSOperationQueue *_network;
    NSOperationQueue *_workers;
    NSOperationQueue *_storage;
}

- (instancetype)initWithCatalogue:(id<PLQCatalogue>)catalogue fetch:(PLQFetchBlock)fetch
{
    self = [super init];
    if (self) {
        _catalogue = catalogue;
        _fetch = [fetch copy];
        _network = [[NSOperationQueue alloc] init];
        _network.maxConcurrentOperationCount = 4;
        _workers = [[NSOperationQueue alloc] init];
        _storage = [[NSOperationQueue alloc] init];
        _storage.maxConcurrentOperationCount = 1;
    }
    return self;
}

- (void)importFeedAtURL:(NSURL *)url completion:(PLQCompletion)completion
{
    PLQContext *context = [[PLQContext alloc] init];
    context.url = url;

    NSOperation *fetch = [self stepWithContext:context block:^BOOL(NSError **error) {
        context.body = self->_fetch(context.url, error);
        return context.body != nil;
    }];
    NSOperation *parse = [self stepWithContext:context block:^BOOL(NSError **error) {
        context.products = [PLQFeedImporter productsFromData:context.body error:error];
        context.body = nil; // feeds can be large; do not keep both forms
        return context.products != nil;
    }];
    NSOperation *store = [self stepWithContext:context block:^BOOL(NSError **error) {
        for (NSDictionary *product in context.products) {
            if (![self->_catalogue upsertProduct:product error:error]) {
                return NO;
            }
            context.imported++;
        }
        return YES;
    }];
    NSOperation *report = [NSBlockOperation blockOperationWithBlock:^{
        completion(context.imported, context.error);
    }];

    [parse addDependency:fetch];
    [store addDependency:parse];
    [report addDependency:store];
    [_network addOperation:fetch];
    [_workers addOperation:parse];
    [_storage addOperation:store];
    [[NSOperationQueue mainQueue] addOperation:report];
}

- (void)cancelAll
{
    for (NSOperationQueue *queue in @[ _network, _workers, _storage ]) {
        [queue cancelAllOperations]; // the reports still run
    }
}

// Dependencies count as met even when they failed, so each step looks first.
- (NSOperation *)stepWithContext:(PLQContext *)context block:(BOOL (^)(NSError **))block
{
    return [NSBlockOperation blockOperationWithBlock:^{
        NSError *error = nil;
        if (context.error == nil && !block(&error)) {
            context.error = error;
        }
    }];
}

+ (NSArray *)productsFromData:(NSData *)data error:(NSError **)error
{
    id root = [NSJSONSerialization JSONObjectWithData:data options:0 error:error];
    if (root == nil) {
        return nil;
    }
    PLQErrorCode code = [root isKindOfClass:[NSArray class]] ? PLQErrorMissingField : PLQErrorNotAList;
    NSPredicate *complete = [NSPredicate predicateWithFormat:@"sku != nil AND price >= 0"];
    if (code == PLQErrorNotAList || [root filteredArrayUsingPredicate:complete].count < [root count]) {
        if (error) {
            *error = [NSError errorWithDomain:PLQErrorDomain code:code userInfo:nil];
        }
        return nil;
    }
    return root;
}

@end
