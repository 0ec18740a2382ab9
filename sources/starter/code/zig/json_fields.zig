//! Streams newline-delimited JSON from stdin and prints chosen fields as TSV.
//!
//!     json_fields time level user.id < app.log
//!
//! A path's parts are separated by dots; a number selects an array element.
//! Lines that are not JSON objects go to stderr and make the exit status 1.

const std = @import("std");
const json = std.json;

const max_line = 1 << 20;

/// A dotted path split once, up front.
const Path = struct {
    parts: []const []const u8,

    fn parse(allocator: std.mem.Allocator, text: []const u8) !Path {
        var parts = std.ArrayList([]const u8).init(allocator);
        errdefer parts.deinit();
        var it = std.mem.splitScalar(u8, text, '.');
        while (it.next()) |part| {
            if (part.len == 0) return error.EmptyPathPart;
            try parts.append(part);
        }
        return .{ .parts = try parts.toOwnedSlice() };
    }

    fn lookup(self: Path, root: json.Value) ?json.Value {
        var here = root;
        for (self.parts) |part| {
            here = switch (here) {
                .object => |map| map.get(part) orelse return null,
                .array => |list| blk: {
                    const at = std.fmt.parseInt(usize, part, 10) catch return null;
                    break :blk if (at < list.items.len) list.items[at] else return null;
                },
                else => return null,
            };
        }
        return here;
    }
};

fn writeCell(out: anytype, value: ?json.Value) !void {
    const v = value orelse return out.writeByte('-');
    switch (v) {
        .null => try out.writeAll("null"),
        .bool => |b| try out.print("{}", .{b}),
        .integer => |i| try out.print("{d}", .{i}),
        .float => |f| try out.print("{d}", .{f}),
        .number_string => |s| try out.writeAll(s),
        // Keep one record on one line and its columns apart.
        .string => |s| for (s) |c| switch (c) {
            '\t' => try out.writeAll("\\t"),
            '\n' => try out.writeAll("\\n"),
            '\r' => try out.writeAll("\\r"),
            '\\' => try out.writeAll("\\\\"),
            else => try out.writeByte(c),
        },
        .array, .object => try json.stringify(v, .{}, out),
    }
}

fn run(
    gpa: std.mem.Allocator,
    paths: []const Path,
    in: anytype,
    out: anytype,
    diagnostics: anytype,
) !usize {
    const line_buffer = try gpa.alloc(u8, max_line);
    defer gpa.free(line_buffer);
    // Reset after each line, its memory is used over and over.
    var arena = std.heap.ArenaAllocator.init(gpa);
    defer arena.deinit();

    var bad: usize = 0;
    var number: usize = 0;
    while (try in.readUntilDelimiterOrEof(line_buffer, '\n')) |raw| {
        number += 1;
        defer _ = arena.reset(.retain_capacity);
        const line = std.mem.trim(u8, raw, " \t\r");
        if (line.len == 0) continue;

        const root = json.parseFromSliceLeaky(json.Value, arena.allocator(), line, .{}) catch |err| {
            if (err == error.OutOfMemory) return err;
            try diagnostics.print("line {d}: {s}\n", .{ number, @errorName(err) });
            bad += 1;
            continue;
        };
        if (root != .object) {
            try diagnostics.print("line {d}: not an object\n", .{number});
            bad += 1;
            continue;
        }
        for (paths, 0..) |path, column| {
            if (column > 0) try out.writeByte('\t');
            try writeCell(out, path.lookup(root));
        }
        try out.writeByte('\n');
    }
    return bad;
}

pub fn main() !u8 {
    var gpa_state = std.heap.GeneralPurposeAllocator(.{}){};
    defer _ = gpa_state.deinit();
    const gpa = gpa_state.allocator();

    var setup = std.heap.ArenaAllocator.init(gpa);
    defer setup.deinit();
    const args = try std.process.argsAlloc(setup.allocator());
    const paths = try setup.allocator().alloc(Path, args.len - 1);
    for (paths, args[1..]) |*path, arg| path.* = try Path.parse(setup.allocator(), arg);

    var in = std.io.bufferedReader(std.io.getStdIn().reader());
    var out = std.io.bufferedWriter(std.io.getStdOut().writer());
    const bad = try run(gpa, paths, in.reader(), out.writer(), std.io.getStdErr().writer());
    try out.flush();
    return if (bad == 0) 0 else 1;
}

test "fields, elements and gaps" {
    const a = std.testing.allocator;
    const paths = [_]Path{ try Path.parse(a, "user.id"), try Path.parse(a, "tags.1") };
    defer for (paths) |p| a.free(p.parts);

    var in = std.io.fixedBufferStream("{\"user\":{\"id\":7},\"tags\":[\"a\",\"b\\tc\"]}\n[1]\n{}\n");
    var out = std.ArrayList(u8).init(a);
    defer out.deinit();
    const bad = try run(a, &paths, in.reader(), out.writer(), std.io.null_writer);
    try std.testing.expectEqual(@as(usize, 1), bad);
    try std.testing.expectEqualStrings("7\tb\\tc\n-\t-\n", out.items);
}
