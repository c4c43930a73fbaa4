//! MessagePack to and from structs, https://github.com/msgpack/msgpack/blob/master/spec.md
//!
//! A struct is a map from its fields' names; a null is left out. Texts and bytes are both `[]const u8`: `Bytes` writes the
//! latter. What is read may have fields that the struct has not, and lack those with a default.
const std = @import("std");
const host = @import("host.zig");
const fault = @import("fault.zig");

const Error = fault.Error;

/// Bytes that are no text.
pub const Bytes = struct {
    bytes: []const u8,
};

pub fn encode(value: anytype) Error![]const u8 {
    if (@TypeOf(value) == void) return "";
    var out: std.ArrayList(u8) = .empty;
    try write(&out, value);
    return out.items;
}

pub fn decode(comptime T: type, payload: []const u8) Error!T {
    if (T == void) return;
    var reader: Reader = .{ .left = payload };
    return reader.value(T) catch |err| switch (err) {
        error.Malformed => fault.failCode("malformed_message", "a message cannot be read"),
        error.OutOfMemory => error.OutOfMemory,
    };
}

pub fn write(out: *std.ArrayList(u8), value: anytype) Error!void {
    const T = @TypeOf(value);
    if (T == Bytes) return writeSized(out, value.bytes, .{ null, 0xc4, 0xc5, 0xc6 }, 0);
    switch (@typeInfo(T)) {
        .bool => try out.append(host.allocator, if (value) 0xc3 else 0xc2),
        .int, .comptime_int => try writeInt(out, value),
        .pointer => |pointer| {
            if (pointer.child == u8) return writeText(out, value);
            if (pointer.size == .one) switch (@typeInfo(pointer.child)) {
                .array => |array| if (array.child == u8) return writeText(out, value),
                else => {},
            };
            try writeCount(out, value.len, 0x90, 0xdc);
            for (value) |item| try write(out, item);
        },
        .optional => if (value) |there| try write(out, there) else try out.append(host.allocator, 0xc0),
        .@"struct" => |info| {
            var count: usize = 0;
            inline for (info.field_names, info.field_types) |name, Field| count += @intFromBool(isThere(Field, @field(value, name)));
            try writeCount(out, count, 0x80, 0xde);
            inline for (info.field_names, info.field_types) |name, Field| {
                if (isThere(Field, @field(value, name))) {
                    try writeText(out, name);
                    try write(out, @field(value, name));
                }
            }
        },
        else => @compileError("MessagePack has no form for " ++ @typeName(T)),
    }
}

fn isThere(comptime T: type, value: T) bool {
    return if (@typeInfo(T) == .optional) value != null else true;
}

pub fn writeMap(out: *std.ArrayList(u8), pairs: usize) Error!void {
    return writeCount(out, pairs, 0x80, 0xde);
}

fn writeText(out: *std.ArrayList(u8), text: []const u8) Error!void {
    return writeSized(out, text, .{ 0xa0, 0xd9, 0xda, 0xdb }, 32);
}

/// `kinds` are those for lengths in the kind itself (below `small`), in 1, 2 and 4 bytes.
fn writeSized(out: *std.ArrayList(u8), bytes: []const u8, kinds: [4]?u8, small: usize) Error!void {
    if (bytes.len < small) {
        try out.append(host.allocator, kinds[0].? | @as(u8, @intCast(bytes.len)));
    } else if (bytes.len < 0x100) {
        try out.appendSlice(host.allocator, &.{ kinds[1].?, @intCast(bytes.len) });
    } else if (bytes.len < 0x10000) {
        try writeBig(out, kinds[2].?, u16, @intCast(bytes.len));
    } else {
        try writeBig(out, kinds[3].?, u32, @intCast(bytes.len));
    }
    try out.appendSlice(host.allocator, bytes);
}

fn writeCount(out: *std.ArrayList(u8), count: usize, small: u8, kind16: u8) Error!void {
    if (count < 16) return out.append(host.allocator, small | @as(u8, @intCast(count)));
    if (count < 0x10000) return writeBig(out, kind16, u16, @intCast(count));
    return writeBig(out, kind16 + 1, u32, @intCast(count));
}

fn writeInt(out: *std.ArrayList(u8), value: i64) Error!void {
    if (value >= -32 and value < 128) return out.append(host.allocator, @truncate(@as(u64, @bitCast(value))));
    if (std.math.cast(i16, value)) |short| return writeBig(out, 0xd1, u16, @bitCast(short));
    if (std.math.cast(i32, value)) |word| return writeBig(out, 0xd2, u32, @bitCast(word));
    return writeBig(out, 0xd3, u64, @bitCast(value));
}

fn writeBig(out: *std.ArrayList(u8), kind: u8, comptime T: type, value: T) Error!void {
    try out.append(host.allocator, kind);
    try out.appendSlice(host.allocator, &std.mem.toBytes(std.mem.nativeToBig(T, value)));
}

/// Reads one value after the other.
pub const Reader = struct {
    left: []const u8,

    pub const Fault = error{ Malformed, OutOfMemory };

    /// A type with `pub fn readMsgpack(reader: *Reader) Fault!T` reads itself.
    pub fn value(reader: *Reader, comptime T: type) Fault!T {
        switch (@typeInfo(T)) {
            .bool => return switch (try reader.byte()) {
                0xc0, 0xc2 => false,
                0xc3 => true,
                else => error.Malformed,
            },
            .int => return std.math.cast(T, try reader.int()) orelse error.Malformed,
            .optional => |optional| {
                if (reader.left.len > 0 and reader.left[0] == 0xc0) {
                    reader.left = reader.left[1..];
                    return null;
                }
                return try reader.value(optional.child);
            },
            .pointer => |pointer| {
                if (pointer.child == u8) return reader.text();
                const items = try host.allocator.alloc(pointer.child, try reader.array());
                for (items) |*item| item.* = try reader.value(pointer.child);
                return items;
            },
            .@"struct" => {
                if (@hasDecl(T, "readMsgpack")) return T.readMsgpack(reader);
                return reader.record(T);
            },
            else => @compileError("MessagePack is not read into " ++ @typeName(T)),
        }
    }

    fn record(reader: *Reader, comptime T: type) Fault!T {
        const info = @typeInfo(T).@"struct";
        var result: T = undefined;
        var there: [info.field_names.len]bool = @splat(false);
        var pairs = try reader.map();
        next: while (pairs > 0) : (pairs -= 1) {
            const name = try reader.text();
            inline for (info.field_names, info.field_types, 0..) |field, Field, i| {
                if (std.mem.eql(u8, field, name)) {
                    @field(result, field) = try reader.value(Field);
                    there[i] = true;
                    continue :next;
                }
            }
            try reader.skip();
        }
        inline for (info.field_names, info.field_types, info.field_attrs, there) |field, Field, attrs, is_there| {
            if (!is_there) @field(result, field) = attrs.defaultValue(Field) orelse return error.Malformed;
        }
        return result;
    }

    fn take(reader: *Reader, size: usize) Fault![]const u8 {
        if (size > reader.left.len) return error.Malformed;
        defer reader.left = reader.left[size..];
        return reader.left[0..size];
    }

    fn byte(reader: *Reader) Fault!u8 {
        return (try reader.take(1))[0];
    }

    fn big(reader: *Reader, comptime T: type) Fault!T {
        return std.mem.readInt(T, (try reader.take(@sizeOf(T)))[0..@sizeOf(T)], .big);
    }

    fn int(reader: *Reader) Fault!i64 {
        const kind = try reader.byte();
        return switch (kind) {
            0x00...0x7f => kind,
            0xe0...0xff => @as(i8, @bitCast(kind)),
            0xcc => try reader.byte(),
            0xcd => try reader.big(u16),
            0xce => try reader.big(u32),
            0xcf => std.math.cast(i64, try reader.big(u64)) orelse error.Malformed,
            0xd0 => @as(i8, @bitCast(try reader.byte())),
            0xd1 => try reader.big(i16),
            0xd2 => try reader.big(i32),
            0xd3 => try reader.big(i64),
            0xc0 => 0,
            else => error.Malformed,
        };
    }

    /// str or bin; nil is empty.
    pub fn text(reader: *Reader) Fault![]const u8 {
        const kind = try reader.byte();
        return reader.take(switch (kind) {
            0xa0...0xbf => kind & 0x1f,
            0xd9, 0xc4 => try reader.byte(),
            0xda, 0xc5 => try reader.big(u16),
            0xdb, 0xc6 => try reader.big(u32),
            0xc0 => 0,
            else => return error.Malformed,
        });
    }

    /// The number of pairs; nil is an empty map.
    pub fn map(reader: *Reader) Fault!usize {
        return reader.count(0x80, 0xde);
    }

    pub fn array(reader: *Reader) Fault!usize {
        return reader.count(0x90, 0xdc);
    }

    fn count(reader: *Reader, small: u8, kind16: u8) Fault!usize {
        const kind = try reader.byte();
        const items: usize = if (kind & 0xf0 == small)
            kind & 0x0f
        else if (kind == kind16)
            try reader.big(u16)
        else if (kind == kind16 + 1)
            try reader.big(u32)
        else if (kind == 0xc0)
            0
        else
            return error.Malformed;
        // Each item takes a byte at least: a larger count is a lie, and would be a long loop.
        return if (items > reader.left.len) error.Malformed else items;
    }

    /// Passes over one value, whatever it is.
    pub fn skip(reader: *Reader) Fault!void {
        // Counts what is still to be skipped instead of recursing: no nesting can exhaust the stack.
        var values: u64 = 1;
        while (values > 0) : (values -= 1) {
            if (reader.left.len == 0) return error.Malformed;
            switch (reader.left[0]) {
                0x80...0x8f, 0xde, 0xdf => values += 2 * @as(u64, try reader.map()),
                0x90...0x9f, 0xdc, 0xdd => values += try reader.array(),
                0xa0...0xbf, 0xd9...0xdb, 0xc4...0xc6 => _ = try reader.text(),
                0xc2, 0xc3 => _ = try reader.byte(),
                0xca => _ = try reader.take(5),
                0xcb, 0xcf, 0xd3 => _ = try reader.take(9),
                else => _ = try reader.int(),
            }
        }
    }
};

const testing = std.testing;

test "structs there and back" {
    const Message = struct { key: []const u8, value: i64 = 7, maybe: ?[]const u8 = null, list: []const []const u8 = &.{} };
    const sent: Message = .{ .key = &@as([40]u8, @splat('k')), .value = -70000, .list = &.{ "a", "é" } };
    const got = try decode(Message, try encode(sent));
    try testing.expectEqualDeep(sent, got);
    try testing.expectEqualStrings("\x82\xa1a\x01\xa1b\xa1x", try encode(.{ .a = 1, .b = "x" }));
    const short = try decode(Message, "\x82\xa3key\xa1k\xa5other\x92\x01\xcb\x00\x00\x00\x00\x00\x00\x00\x00");
    try testing.expectEqual(7, short.value);
}

test "integers of every size" {
    inline for (.{ 0, 127, 128, 255, 32767, 32768, 65535, 2147483647, 2147483648, -1, -32, -33, -32768, -32769 }) |number| {
        try testing.expectEqual(@as(i64, number), try decode(i64, try encode(@as(i64, number))));
    }
    try testing.expectError(error.MalformedMessage, decode(u8, try encode(@as(i64, 256))));
    try testing.expectEqual(true, try decode(bool, "\xc3"));
}

test "no bytes break the reader" {
    var source = std.Random.DefaultPrng.init(1);
    const Message = struct { key: []const u8, list: []const i32 = &.{}, inner: ?struct { a: bool = false } = null };
    const seeds = [_][]const u8{ "\x82\xa3key\xa1k\xa4list\x92\x01\x02", "\xdd\xff\xff\xff\xff", "\x91\x91\x91\xc6\xff\xff\xff\xff" };
    for (0..20_000) |round| {
        var buffer: [64]u8 = undefined;
        source.random().bytes(&buffer);
        const seed = seeds[round % seeds.len];
        if (round % 2 == 0) @memcpy(buffer[0..seed.len], seed);
        buffer[round % 20] ^= source.random().int(u8) & source.random().int(u8);
        const bytes = buffer[0 .. round % buffer.len];
        var reader: Reader = .{ .left = bytes };
        reader.skip() catch {};
        try testing.expect(reader.left.len <= bytes.len);
        _ = decode(Message, bytes) catch {};
    }
}
