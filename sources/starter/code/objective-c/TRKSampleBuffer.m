//
//  TRKSampleBuffer.m
//
//  A fixed-capacity ring of timestamped samples with fast enumeration,
//  archiving and a block-based reduction.
//

#import <Foundation/Foundation.h>

typedef struct {
    NSTimeInterval time;
    double value;
} TRKSample;

@interface TRKSampleBuffer : NSObject <NSFastEnumeration, NSCopying, NSCoding>

@property (nonatomic, readonly) NSUInteger capacity;
@property (nonatomic, readonly) NSUInteger count;

- (instancetype)initWithCapacity:(NSUInteger)capacity;
- (void)addValue:(double)value atTime:(NSTimeInterval)time;
- (TRKSample)sampleAtIndex:(NSUInteger)index; // 0 is the oldest
- (double)reduceFrom:(double)initial
               since:(NSTimeInterval)time
          usingBlock:(double (^)(double acc, TRKSample sample, BOOL *stop))block;

@end

static NSString * const TRKCapacityKey = @"capacity";
static NSString * const TRKSamplesKey = @"samples";

@implementation TRKSampleBuffer {
    TRKSample *_samples;
    NSUInteger _first;
    unsigned long _mutations;
}

- (instancetype)initWithCapacity:(NSUInteger)capacity
{
    NSParameterAssert(capacity > 0);
    self = [super init];
    if (self) {
        _capacity = capacity;
        _samples = calloc(capacity, sizeof(TRKSample));
    }
    return self;
}

- (void)dealloc
{
    free(_samples);
#if !__has_feature(objc_arc)
    [super dealloc];
#endif
}

- (void)addValue:(double)value atTime:(NSTimeInterval)time
{
    NSUInteger slot = (_first + _count) % _capacity;
    _samples[slot] = (TRKSample){ time, value };
    if (_count < _capacity) {
        _count++;
    } else {
        _first = (_first + 1) % _capacity;
    }
    _mutations++;
}

- (TRKSample)sampleAtIndex:(NSUInteger)index
{
    if (index >= _count) {
        [NSException raise:NSRangeException
                    format:@"index %lu is beyond %lu samples",
                           (unsigned long)index, (unsigned long)_count];
    }
    return _samples[(_first + index) % _capacity];
}

- (double)reduceFrom:(double)initial
               since:(NSTimeInterval)time
          usingBlock:(double (^)(double, TRKSample, BOOL *))block
{
    double acc = initial;
    BOOL stop = NO;
    for (NSUInteger i = 0; i < _count && !stop; i++) {
        TRKSample sample = _samples[(_first + i) % _capacity];
        if (sample.time >= time) {
            acc = block(acc, sample, &stop);
        }
    }
    return acc;
}

#pragma mark - NSFastEnumeration

// Yields the values as NSNumbers, a batch at a time.
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState *)state
                                  objects:(id __unsafe_unretained [])buffer
                                    count:(NSUInteger)len
{
    if (state->state == 0) {
        state->mutationsPtr = &_mutations;
    }
    NSUInteger produced = 0;
    while (produced < len && state->state < _count) {
        id __autoreleasing number = @([self sampleAtIndex:state->state].value);
        buffer[produced++] = number;
        state->state++;
    }
    state->itemsPtr = buffer;
    return produced;
}

#pragma mark - NSCopying and NSCoding

- (id)copyWithZone:(NSZone *)zone
{
    TRKSampleBuffer *copy = [[[self class] allocWithZone:zone] initWithCapacity:_capacity];
    memcpy(copy->_samples, _samples, _capacity * sizeof(TRKSample));
    copy->_first = _first;
    copy->_count = _count;
    return copy;
}

- (void)encodeWithCoder:(NSCoder *)coder
{
    NSMutableArray *flat = [NSMutableArray arrayWithCapacity:2 * _count];
    for (NSUInteger i = 0; i < _count; i++) {
        TRKSample sample = [self sampleAtIndex:i];
        [flat addObject:@(sample.time)];
        [flat addObject:@(sample.value)];
    }
    [coder encodeInteger:(NSInteger)_capacity forKey:TRKCapacityKey];
    [coder encodeObject:flat forKey:TRKSamplesKey];
}

- (instancetype)initWithCoder:(NSCoder *)coder
{
    NSArray *flat = [coder decodeObjectForKey:TRKSamplesKey];
    self = [self initWithCapacity:MAX(1, [coder decodeIntegerForKey:TRKCapacityKey])];
    for (NSUInteger i = 0; self && i + 1 < flat.count; i += 2) {
        [self addValue:[flat[i + 1] doubleValue] atTime:[flat[i] doubleValue]];
    }
    return self;
}

@end
