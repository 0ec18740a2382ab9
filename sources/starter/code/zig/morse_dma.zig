//! Encodes text as Morse timing for a PWM peripheral fed by DMA.
//!
//! The alphabet is written readably below and compiled to a packed table at
//! compile time: one byte per letter, a leading 1 marking the length, then
//! one bit per symbol (0 = dot, 1 = dash). No floating point and no heap, so
//! that the module also runs on small microcontrollers.

const std = @import("std");

/// One DMA word: the compare value is loaded for `ticks` timer periods.
pub const Step = packed struct(u32) {
    ticks: u24,
    on: bool,
    last: bool = false,
    _: u6 = 0,
};

pub const Error = error{ UnsupportedCharacter, BufferTooSmall };

const code_text = .{
    .{ 'A', ".-" },     .{ 'B', "-..." },  .{ 'C', "-.-." },  .{ 'D', "-.." },
    .{ 'E', "." },      .{ 'F', "..-." },  .{ 'G', "--." },   .{ 'H', "...." },
    .{ 'I', ".." },     .{ 'J', ".---" },  .{ 'K', "-.-" },   .{ 'L', ".-.." },
    .{ 'M', "--" },     .{ 'N', "-." },    .{ 'O', "---" },   .{ 'P', ".--." },
    .{ 'Q', "--.-" },   .{ 'R', ".-." },   .{ 'S', "..." },   .{ 'T', "-" },
    .{ 'U', "..-" },    .{ 'V', "...-" },  .{ 'W', ".--" },   .{ 'X', "-..-" },
    .{ 'Y', "-.--" },   .{ 'Z', "--.." },  .{ '0', "-----" }, .{ '1', ".----" },
    .{ '2', "..---" },  .{ '3', "...--" }, .{ '4', "....-" }, .{ '5', "....." },
    .{ '6', "-...." },  .{ '7', "--..." }, .{ '8', "---.." }, .{ '9', "----." },
    .{ '?', "..--.." }, .{ '/', "-..-." }, .{ '=', "-...-" },
};

/// Indexed by ASCII code; zero means that there is no such character.
const table: [128]u8 = blk: {
    var t = [_]u8{0} ** 128;
    for (code_text) |entry| {
        var bits: u8 = 1;
        for (entry[1]) |symbol| bits = bits << 1 | @intFromBool(symbol == '-');
        if (t[entry[0]] != 0) @compileError("character listed twice");
        t[entry[0]] = bits;
        if (std.ascii.isUpper(entry[0])) t[std.ascii.toLower(entry[0])] = bits;
    }
    break :blk t;
};

pub const Speed = struct {
    /// Ticks in one dot.
    dot: u24,

    /// The standard word PARIS lasts 50 dots.
    pub fn fromWordsPerMinute(wpm: u24, comptime timer_hz: u32) Speed {
        std.debug.assert(wpm > 0);
        return .{ .dot = @intCast(timer_hz * 60 / (50 * @as(u32, wpm))) };
    }
};

const Emitter = struct {
    out: []Step,
    len: usize = 0,
    dot: u24,

    fn add(self: *Emitter, on: bool, dots: u24) Error!void {
        if (self.len > 0 and self.out[self.len - 1].on == on) {
            // Two silences in a row: the longer one includes the shorter.
            const previous = &self.out[self.len - 1];
            previous.ticks = @max(previous.ticks, dots * self.dot);
            return;
        }
        if (self.len == self.out.len) return error.BufferTooSmall;
        self.out[self.len] = .{ .ticks = dots * self.dot, .on = on };
        self.len += 1;
    }
};

/// Fills `buffer` and returns the used part, its last step marked as such.
pub fn encode(text: []const u8, speed: Speed, buffer: []Step) Error![]Step {
    var e = Emitter{ .out = buffer, .dot = speed.dot };
    for (text) |c| {
        if (c == ' ') {
            try e.add(false, 7);
            continue;
        }
        const code = if (c < table.len) table[c] else 0;
        if (code == 0) return error.UnsupportedCharacter;

        // Walk the bits below the marker, most significant first.
        var left: u3 = @intCast(7 - @clz(code));
        while (left > 0) {
            left -= 1;
            const dash = code >> left & 1 == 1;
            try e.add(true, if (dash) 3 else 1);
            try e.add(false, if (left > 0) 1 else 3);
        }
    }
    const steps = buffer[0..e.len];
    if (steps.len > 0) steps[steps.len - 1].last = true;
    return steps;
}

fn totalDots(steps: []const Step, speed: Speed) u32 {
    var sum: u32 = 0;
    for (steps) |s| sum += s.ticks / speed.dot;
    return sum;
}

test "PARIS and its word gap last fifty dots" {
    const speed = Speed.fromWordsPerMinute(20, 1_000_000);
    try std.testing.expectEqual(@as(u24, 60_000), speed.dot);

    var buffer: [64]Step = undefined;
    const steps = try encode("Paris ", speed, &buffer);
    try std.testing.expectEqual(@as(u32, 50), totalDots(steps, speed));
    try std.testing.expect(steps[steps.len - 1].last and !steps[0].last);
}

test "errors leave the caller in charge" {
    var tiny: [3]Step = undefined;
    const speed = Speed{ .dot = 1 };
    try std.testing.expectError(error.BufferTooSmall, encode("SOS", speed, &tiny));
    try std.testing.expectError(error.UnsupportedCharacter, encode("\x80", speed, &tiny));
    try std.testing.expectEqual(@as(usize, 2), (try encode("t", speed, &tiny)).len);
}
