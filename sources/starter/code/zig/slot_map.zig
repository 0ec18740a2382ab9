//! A slot map: stable handles to values that live in a dense array.
//!
//! A handle carries the generation of its slot. Removing a value bumps the
//! generation, so that handles kept elsewhere go stale instead of silently
//! naming whatever is stored there next. Iteration walks the dense array.

const std = @import("std");
const Allocator = std.mem.Allocator;
const testing = std.testing;

/// `Tag` keeps handles of different maps apart at compile time.
pub fn SlotMap(comptime T: type, comptime Tag: type) type {
    return struct {
        const Self = @This();

        pub const Handle = packed struct(u64) {
            index: u32,
            generation: u32,

            /// Ties the type to its map; never called.
            fn tag() Tag {
                unreachable;
            }
        };

        const Slot = struct {
            generation: u32,
            /// Position in `items`, or the next free slot.
            target: u32,
        };

        const none = std.math.maxInt(u32);

        allocator: Allocator,
        slots: std.ArrayListUnmanaged(Slot) = .{},
        items: std.ArrayListUnmanaged(T) = .{},
        /// For each item, the slot that refers to it.
        owners: std.ArrayListUnmanaged(u32) = .{},
        free_head: u32 = none,

        pub fn init(allocator: Allocator) Self {
            return .{ .allocator = allocator };
        }

        pub fn deinit(self: *Self) void {
            self.slots.deinit(self.allocator);
            self.items.deinit(self.allocator);
            self.owners.deinit(self.allocator);
            self.* = undefined;
        }

        pub fn insert(self: *Self, value: T) Allocator.Error!Handle {
            // Reserve everything first: after this nothing can fail, and a
            // failed insert leaves the map as it was.
            try self.items.ensureUnusedCapacity(self.allocator, 1);
            try self.owners.ensureUnusedCapacity(self.allocator, 1);

            const index = if (self.free_head != none) blk: {
                const head = self.free_head;
                self.free_head = self.slots.items[head].target;
                break :blk head;
            } else blk: {
                try self.slots.append(self.allocator, .{ .generation = 0, .target = none });
                break :blk @as(u32, @intCast(self.slots.items.len - 1));
            };

            const slot = &self.slots.items[index];
            slot.target = @intCast(self.items.items.len);
            self.items.appendAssumeCapacity(value);
            self.owners.appendAssumeCapacity(index);
            return .{ .index = index, .generation = slot.generation };
        }

        fn resolve(self: *const Self, handle: Handle) ?*Slot {
            if (handle.index >= self.slots.items.len) return null;
            const slot = &self.slots.items[handle.index];
            return if (slot.generation == handle.generation) slot else null;
        }

        pub fn get(self: *const Self, handle: Handle) ?*T {
            const slot = self.resolve(handle) orelse return null;
            return &self.items.items[slot.target];
        }

        /// Swap-removes the value; handles to other values stay good.
        pub fn remove(self: *Self, handle: Handle) ?T {
            const slot = self.resolve(handle) orelse return null;
            const hole = slot.target;
            const value = self.items.swapRemove(hole);
            _ = self.owners.swapRemove(hole);
            if (hole < self.items.items.len) {
                self.slots.items[self.owners.items[hole]].target = hole;
            }
            slot.generation +%= 1;
            slot.target = self.free_head;
            self.free_head = handle.index;
            return value;
        }

        pub fn values(self: *const Self) []T {
            return self.items.items;
        }
    };
}

const Body = struct { x: f32, mass: f32 };
const Bodies = SlotMap(Body, opaque {});

test "a removed handle goes stale although its slot is reused" {
    var map = Bodies.init(testing.allocator);
    defer map.deinit();

    const sun = try map.insert(.{ .x = 0, .mass = 1000 });
    const moon = try map.insert(.{ .x = 9, .mass = 1 });
    try testing.expectEqual(@as(f32, 1000), map.remove(sun).?.mass);

    const comet = try map.insert(.{ .x = -4, .mass = 0.1 });
    try testing.expectEqual(sun.index, comet.index);
    try testing.expect(map.get(sun) == null);
    try testing.expect(map.remove(sun) == null);
    try testing.expectEqual(@as(f32, 9), map.get(moon).?.x);
}

test "random inserts and removals agree with a hash map" {
    var map = SlotMap(u64, opaque {}).init(testing.allocator);
    defer map.deinit();
    var model = std.AutoArrayHashMap(@TypeOf(map).Handle, u64).init(testing.allocator);
    defer model.deinit();

    var prng = std.Random.DefaultPrng.init(0x5eed);
    const random = prng.random();
    for (0..5000) |_| {
        if (model.count() == 0 or random.uintLessThan(u8, 5) < 3) {
            const value = random.int(u64);
            try model.put(try map.insert(value), value);
        } else {
            const at = random.uintLessThan(usize, model.count());
            const key = model.keys()[at];
            try testing.expectEqual(model.get(key), map.remove(key));
            model.swapRemoveAt(at);
        }
    }
    try testing.expectEqual(model.count(), map.values().len);
    for (model.keys(), model.values()) |key, value| {
        try testing.expectEqual(value, map.get(key).?.*);
    }
}
