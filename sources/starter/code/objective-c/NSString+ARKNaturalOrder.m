// Categories for file lists as people expect to see them: "page 9" before
// "page 10", names shortened in the middle, and sections by first letter.

#import <Foundation/Foundation.h>
#import <objc/runtime.h>

@interface NSString (ARKNaturalOrder)
/// Compares runs of digits by value and other text without regard to case.
- (NSComparisonResult)ark_naturalCompare:(NSString *)other;
/// Keeps both ends, replacing the middle by an ellipsis; never splits a
/// composed character.
- (NSString *)ark_stringByTruncatingMiddleToLength:(NSUInteger)length;
/// The index letter: A-Z, or "#" for everything else. Cached.
@property (nonatomic, readonly) NSString *ark_sectionTitle;
@end

@interface NSArray (ARKSections)
/// Groups strings by section title; "#" comes last.
- (NSArray *)ark_sectionsSortedNaturally;
@end

static char ARKSectionTitleKey;

@implementation NSString (ARKNaturalOrder)

- (NSComparisonResult)ark_naturalCompare:(NSString *)other
{
    NSScanner *left = [NSScanner scannerWithString:self];
    NSScanner *right = [NSScanner scannerWithString:other];
    left.charactersToBeSkipped = right.charactersToBeSkipped = nil;
    NSCharacterSet *digits = [NSCharacterSet characterSetWithCharactersInString:@"0123456789"];

    while (!left.atEnd && !right.atEnd) {
        NSString *a = nil, *b = nil;
        NSComparisonResult order = NSOrderedSame;

        BOOL aIsNumber = [left scanCharactersFromSet:digits intoString:&a];
        BOOL bIsNumber = [right scanCharactersFromSet:digits intoString:&b];
        if (aIsNumber != bIsNumber) {
            return aIsNumber ? NSOrderedAscending : NSOrderedDescending;
        }
        if (aIsNumber) {
            // Longer than any integer type, perhaps: compare as text.
            NSString *x = [self ark_withoutLeadingZeros:a];
            NSString *y = [self ark_withoutLeadingZeros:b];
            if (x.length != y.length) {
                return x.length < y.length ? NSOrderedAscending : NSOrderedDescending;
            }
            order = [x compare:y options:NSLiteralSearch];
        } else {
            [left scanUpToCharactersFromSet:digits intoString:&a];
            [right scanUpToCharactersFromSet:digits intoString:&b];
            order = [a compare:b options:NSCaseInsensitiveSearch | NSDiacriticInsensitiveSearch];
        }
        if (order != NSOrderedSame) {
            return order;
        }
    }
    if (left.atEnd != right.atEnd) {
        return left.atEnd ? NSOrderedAscending : NSOrderedDescending;
    }
    return [self compare:other]; // a total order: "a01" and "a1" differ
}

- (NSString *)ark_withoutLeadingZeros:(NSString *)digits
{
    NSUInteger skip = 0;
    while (skip + 1 < digits.length && [digits characterAtIndex:skip] == '0') {
        skip++;
    }
    return [digits substringFromIndex:skip];
}

- (NSString *)ark_stringByTruncatingMiddleToLength:(NSUInteger)length
{
    if (self.length <= length || length < 3) {
        return self;
    }
    NSUInteger head = length / 2;
    NSUInteger tail = self.length - (length - head - 1);
    head = [self rangeOfComposedCharacterSequenceAtIndex:head].location;
    NSRange cut = [self rangeOfComposedCharacterSequenceAtIndex:tail];
    tail = cut.location == tail ? tail : NSMaxRange(cut);
    return [NSString stringWithFormat:@"%@\u2026%@",
            [self substringToIndex:head], [self substringFromIndex:tail]];
}

- (NSString *)ark_sectionTitle
{
    NSString *title = objc_getAssociatedObject(self, &ARKSectionTitleKey);
    if (title == nil) {
        NSData *ascii = [self dataUsingEncoding:NSASCIIStringEncoding allowLossyConversion:YES];
        unichar first = ascii.length > 0 ? toupper(((const unsigned char *)ascii.bytes)[0]) : 0;
        BOOL isLetter = first >= 'A' && first <= 'Z';
        title = isLetter ? [NSString stringWithCharacters:&first length:1] : @"#";
        objc_setAssociatedObject(self, &ARKSectionTitleKey, title, OBJC_ASSOCIATION_COPY);
    }
    return title;
}

@end

@implementation NSArray (ARKSections)

- (NSArray *)ark_sectionsSortedNaturally
{
    NSMutableDictionary *groups = [NSMutableDictionary dictionary];
    for (NSString *name in self) {
        NSMutableArray *group = groups[name.ark_sectionTitle];
        if (group == nil) {
            groups[name.ark_sectionTitle] = group = [NSMutableArray array];
        }
        [group addObject:name];
    }

    NSArray *titles = [groups.allKeys sortedArrayUsingComparator:^(NSString *a, NSString *b) {
        BOOL aLast = [a isEqualToString:@"#"], bLast = [b isEqualToString:@"#"];
        if (aLast || bLast) {
            return aLast == bLast ? NSOrderedSame : aLast ? NSOrderedDescending : NSOrderedAscending;
        }
        return [a compare:b];
    }];

    NSMutableArray *sections = [NSMutableArray arrayWithCapacity:titles.count];
    for (NSString *title in titles) {
        [groups[title] sortUsingSelector:@selector(ark_naturalCompare:)];
        [sections addObject:@{ @"title" : title, @"names" : groups[title] }];
    }
    return sections;
}

@end
