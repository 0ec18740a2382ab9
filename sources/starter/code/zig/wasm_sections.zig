//! wasm_sections: lists the sections of a WebAssembly module.
//!
//!     wasm_sections module.wasm

const std = @import("std");

const SectionId = enum(u8) {
    custom,
    type,
    import,
    function,
    table,
    memory,
    global,
    @"export",
    start,
    element,
    code,
    data,
    data_count,
    _,
};

const ParseError = error{ NotWasm, UnknownVersion, Truncated, LebTooLong, NameNotUtf8 };

/// A forward-only view of a byte slice; sub-readers share the memory.
const Reader = struct {
    bytes: []const u8,
    pos: usize = 0,

    fn done(self: Reader) bool {
        return self.pos == self.bytes.len;
    }

    fn take(self: *Reader, n: usize) ParseError![]const u8 {
        if (n > self.bytes.len - self.pos) return error.Truncated;
        defer self.pos += n;
        return self.bytes[self.pos..][0..n];
    }

    /// Unsigned LEB128 for any integer width up to 64 bits.
    fn uleb(self: *Reader, comptime T: type) ParseError!T {
        const bits = @typeInfo(T).Int.bits;
        const Shift = std.math.Log2Int(T);
        var result: T = 0;
        var shift: usize = 0;
        while (true) : (shift += 7) {
            const byte = (try self.take(1))[0];
            if (shift >= bits) return error.LebTooLong;
            const payload: u64 = byte & 0x7f;
            const left = bits - shift;
            if (left < 7 and payload >> @intCast(left) != 0) return error.LebTooLong;
            result |= @as(T, @truncate(payload)) << @as(Shift, @intCast(shift));
            if (byte & 0x80 == 0) return result;
        }
    }

    fn name(self: *Reader) ParseError![]const u8 {
        const text = try self.take(try self.uleb(u32));
        if (!std.unicode.utf8ValidateSlice(text)) return error.NameNotUtf8;
        return text;
    }
};

const Section = struct {
    id: SectionId,
    offset: usize,
    body: Reader,

    /// Nearly all standard sections begin with an item count.
    fn itemCount(self: Section) ParseError!?u32 {
        var body = self.body;
        return switch (self.id) {
            .type, .import, .function, .table, .memory, .global => try body.uleb(u32),
            .@"export", .element, .code, .data, .data_count => try body.uleb(u32),
            else => null,
        };
    }
};

const SectionIterator = struct {
    reader: Reader,

    fn init(module: []const u8) ParseError!SectionIterator {
        var reader = Reader{ .bytes = module };
        const magic = reader.take(4) catch return error.NotWasm;
        if (!std.mem.eql(u8, magic, "\x00asm")) return error.NotWasm;
        const version = std.mem.readInt(u32, (try reader.take(4))[0..4], .little);
        if (version != 1) return error.UnknownVersion;
        return .{ .reader = reader };
    }

    fn next(self: *SectionIterator) ParseError!?Section {
        if (self.reader.done()) return null;
        const offset = self.reader.pos;
        const id: SectionId = @enumFromInt((try self.reader.take(1))[0]);
        const size = try self.reader.uleb(u32);
        return .{ .id = id, .offset = offset, .body = .{ .bytes = try self.reader.take(size) } };
    }
};

fn list(module: []const u8, out: anytype) !void {
    var it = try SectionIterator.init(module);
    while (try it.next()) |section| {
        const label = std.enums.tagName(SectionId, section.id) orelse "unknown";
        try out.print("{x:0>8}  {s: <10} {d: >8} bytes", .{ section.offset, label, section.body.bytes.len });
        if (try section.itemCount()) |n| try out.print("  {d} items", .{n});
        if (section.id == .custom) {
            var body = section.body;
            try out.print("  \"{s}\"", .{try body.name()});
        }
        try out.writeByte('\n');
    }
}

pub fn main() !void {
    var arena = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    defer arena.deinit();
    const args = try std.process.argsAlloc(arena.allocator());
    if (args.len != 2) {
        std.debug.print("usage: wasm_sections MODULE\n", .{});
        std.process.exit(2);
    }
    const module = try std.fs.cwd().readFileAlloc(arena.allocator(), args[1], 256 << 20);

    var buffered = std.io.bufferedWriter(std.io.getStdOut().writer());
    try list(module, buffered.writer());
    try buffered.flush();
}

test "LEB128 limits" {
    var ok = Reader{ .bytes = "\xff\xff\xff\xff\x0f" };
    try std.testing.expectEqual(@as(u32, std.math.maxInt(u32)), try ok.uleb(u32));
    var wide = Reader{ .bytes = "\xff\xff\xff\xff\x1f" };
    try std.testing.expectError(error.LebTooLong, wide.uleb(u32));
    var cut = Reader{ .bytes = "\x80" };
    try std.testing.expectError(error.Truncated, cut.uleb(u8));
}

test "a module with a custom section" {
    var text = std.ArrayList(u8).init(std.testing.allocator);
    defer text.deinit();
    try list("\x00asm\x01\x00\x00\x00\x00\x05\x04note\x01\x01\x00", text.writer());
    try std.testing.expect(std.mem.indexOf(u8, text.items, "\"note\"") != null);
    try std.testing.expectError(error.NotWasm, list("ELF?", text.writer()));
}
