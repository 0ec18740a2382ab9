/*
 * GLWThermostat - observes a room's sensors with KVO and drives a valve.
 *
 * Shows dependent keys, a context pointer for observation, manual change
 * notification and removal in dealloc.
 */
#import <Foundation/Foundation.h>

@interface GLWRoom : NSObject
@property (nonatomic) double airTemperature;
@property (nonatomic) double wallTemperature;
@property (nonatomic, getter=isWindowOpen) BOOL windowOpen;
/// What a person feels: the mean of air and wall.
@property (nonatomic, readonly) double operativeTemperature;
@end

@implementation GLWRoom

- (double)operativeTemperature
{
    return (self.airTemperature + self.wallTemperature) / 2;
}

+ (NSSet *)keyPathsForValuesAffectingOperativeTemperature
{
    return [NSSet setWithObjects:@"airTemperature", @"wallTemperature", nil];
}

// Sensor noise must not wake the observers.
+ (BOOL)automaticallyNotifiesObserversForKey:(NSString *)key
{
    if ([key isEqualToString:@"airTemperature"]) {
        return NO;
    }
    return [super automaticallyNotifiesObserversForKey:key];
}

- (void)setAirTemperature:(double)temperature
{
    if (fabs(temperature - _airTemperature) < 0.05) {
        return;
    }
    [self willChangeValueForKey:@"airTemperature"];
    _airTemperature = temperature;
    [self didChangeValueForKey:@"airTemperature"];
}

@end

@class GLWThermostat;

@protocol GLWThermostatDelegate <NSObject>
- (void)thermostat:(GLWThermostat *)thermostat didSetValve:(double)opening;
@optional
- (void)thermostatDidPause:(GLWThermostat *)thermostat;
@end

@interface GLWThermostat : NSObject
@property (nonatomic, weak) id<GLWThermostatDelegate> delegate;
@property (nonatomic) double setPoint;
@property (nonatomic, readonly) double valve; // 0 closed ... 1 open
- (instancetype)initWithRoom:(GLWRoom *)room setPoint:(double)setPoint;
@end

static void *GLWRoomContext = &GLWRoomContext;

@implementation GLWThermostat {
    GLWRoom *_room;
}

- (instancetype)initWithRoom:(GLWRoom *)room setPoint:(double)setPoint
{
    if ((self = [super init])) {
        _room = room;
        _setPoint = setPoint;
        for (NSString *key in [[self class] observedKeys]) {
            [room addObserver:self
                   forKeyPath:key
                      options:NSKeyValueObservingOptionNew | NSKeyValueObservingOptionOld
                      context:GLWRoomContext];
        }
        [self update];
    }
    return self;
}

- (void)dealloc
{
    for (NSString *key in [[self class] observedKeys]) {
        [_room removeObserver:self forKeyPath:key context:GLWRoomContext];
    }
}

+ (NSArray<NSString *> *)observedKeys
{
    return @[ @"operativeTemperature", @"windowOpen" ];
}

- (void)observeValueForKeyPath:(NSString *)keyPath
                      ofObject:(id)object
                        change:(NSDictionary<NSKeyValueChangeKey, id> *)change
                       context:(void *)context
{
    if (context != GLWRoomContext) {
        [super observeValueForKeyPath:keyPath ofObject:object change:change context:context];
        return;
    }
    if (![change[NSKeyValueChangeNewKey] isEqual:change[NSKeyValueChangeOldKey]]) {
        [self update];
    }
}

- (void)setSetPoint:(double)setPoint
{
    _setPoint = MIN(28, MAX(5, setPoint));
    [self update];
}

- (void)update
{
    double opening = 0;
    if (!_room.windowOpen) {
        // Proportional band of 1.5 kelvin below the set point.
        opening = (self.setPoint - _room.operativeTemperature) / 1.5;
        opening = MIN(1, MAX(0, opening));
    } else if ([self.delegate respondsToSelector:@selector(thermostatDidPause:)]) {
        [self.delegate thermostatDidPause:self];
    }
    if (fabs(opening - _valve) >= 0.01) {
        _valve = opening;
        [self.delegate thermostat:self didSetValve:opening];
    }
}

@end
