//! wasmcloud:sqldb: statements with parameters, rows read into structs. What the database refuses is `error.Sql`.
const std = @import("std");
const host = @import("host.zig");
const fault = @import("fault.zig");
const json = @import("json.zig");
const msgpack = @import("msgpack.zig");

const Sql = @This();
const Error = fault.Error;

link: []const u8 = "default",

/// Of a row whose columns are not known when the actor is written.
pub const Value = union(enum) {
    null,
    bool: bool,
    int: i64,
    float: f64,
    text: []const u8,
    bytes: []const u8,

    /// So that values can be written as JSON.
    pub fn putJson(value: Value, out: *std.ArrayList(u8)) Error!void {
        switch (value) {
            .null => try out.appendSlice(host.allocator, "null"),
            .bool => |truth| try out.appendSlice(host.allocator, if (truth) "true" else "false"),
            .int => |number| try out.appendSlice(host.allocator, try json.write(number)),
            .float => |number| try json.putFloat(out, number),
            .text => |text| try json.putString(out, text),
            .bytes => return fault.fail(error.Invalid, "JSON has no form for bytes"),
        }
    }
};

pub const Table = struct {
    columns: []const []const u8,
    rows: []const []const Value,
};

const Refusal = struct { code: []const u8, message: []const u8 };

/// The number of rows that it changed. `parameters` is a tuple such as `.{ name, 36 }`, one for each `?`, or a slice of `Value`.
pub fn execute(sql: Sql, statement: []const u8, parameters: anytype) Error!u64 {
    const Reply = struct { rowsAffected: u64 = 0, @"error": ?Refusal = null };
    const reply = try sql.ask(Reply, "SqlDb.Execute", statement, parameters);
    if (reply.@"error") |refusal| return refused(refusal);
    return reply.rowsAffected;
}

/// Rows as structs: a column goes to the field of its name, what is NULL into an optional. `error.Invalid` when a column is
/// missing, or its value of another type.
pub fn query(sql: Sql, comptime Row: type, statement: []const u8, parameters: anytype) Error![]const Row {
    const found = try sql.table(statement, parameters);
    const rows = try host.allocator.alloc(Row, found.rows.len);
    inline for (@typeInfo(Row).@"struct".field_names, @typeInfo(Row).@"struct".field_types) |field, Field| {
        const column = for (found.columns, 0..) |name, i| {
            if (std.mem.eql(u8, name, field)) break i;
        } else return fault.fail(error.Invalid, "the result has no column " ++ field);
        for (rows, found.rows) |*row, values|
            @field(row, field) = as(Field, values[column]) orelse
                return fault.fail(error.Invalid, "the column " ++ field ++ " has a value that is no " ++ @typeName(Field));
    }
    return rows;
}

/// Rows of any columns.
pub fn table(sql: Sql, statement: []const u8, parameters: anytype) Error!Table {
    const Reply = struct {
        columns: []const struct { name: []const u8 } = &.{},
        rows: []const u8 = "",
        @"error": ?Refusal = null,
    };
    const reply = try sql.ask(Reply, "SqlDb.Query", statement, parameters);
    if (reply.@"error") |refusal| return refused(refusal);
    const columns = try host.allocator.alloc([]const u8, reply.columns.len);
    for (columns, reply.columns) |*name, column| name.* = column.name;
    const rows = readRows(reply.rows, columns.len) catch |err| switch (err) {
        error.OutOfMemory => return error.OutOfMemory,
        error.Malformed => return fault.fail(error.MalformedMessage, "the rows cannot be read"),
    };
    return .{ .columns = columns, .rows = rows };
}

fn ask(sql: Sql, comptime Reply: type, operation: []const u8, statement: []const u8, parameters: anytype) Error!Reply {
    var coded: std.ArrayList(msgpack.Bytes) = .empty;
    if (@typeInfo(@TypeOf(parameters)) == .@"struct") {
        inline for (parameters) |parameter| try coded.append(host.allocator, .{ .bytes = try cbor(valueOf(parameter)) });
    } else {
        for (parameters) |parameter| try coded.append(host.allocator, .{ .bytes = try cbor(parameter) });
    }
    const message = try msgpack.encode(.{ .sql = statement, .parameters = coded.items });
    return msgpack.decode(Reply, try host.call(sql.link, "wasmcloud:sqldb", operation, message));
}

fn refused(refusal: Refusal) Error {
    return fault.fail(error.Sql, try std.mem.concat(host.allocator, u8, &.{ refusal.code, ": ", refusal.message }));
}

fn valueOf(parameter: anytype) Value {
    const T = @TypeOf(parameter);
    if (T == Value) return parameter;
    if (T == msgpack.Bytes) return .{ .bytes = parameter.bytes };
    return switch (@typeInfo(T)) {
        .null => .null,
        .bool => .{ .bool = parameter },
        .int, .comptime_int => .{ .int = parameter },
        .float, .comptime_float => .{ .float = parameter },
        .optional => if (parameter) |there| valueOf(there) else .null,
        else => .{ .text = parameter },
    };
}

fn as(comptime T: type, value: Value) ?T {
    if (T == Value) return value;
    switch (@typeInfo(T)) {
        .optional => |optional| return if (value == .null) @as(T, null) else as(optional.child, value) orelse return null,
        .bool => return switch (value) {
            .bool => |truth| truth,
            .int => |number| number != 0, // some databases have no other
            else => null,
        },
        .int => return if (value == .int) std.math.cast(T, value.int) else null,
        .float => return switch (value) {
            .float => |number| @floatCast(number),
            .int => |number| @floatFromInt(number),
            else => null,
        },
        else => return switch (value) {
            .text, .bytes => |text| text,
            else => null,
        },
    }
}

// ---- CBOR, https://www.rfc-editor.org/rfc/rfc8949

fn cbor(value: Value) Error![]const u8 {
    var out: std.ArrayList(u8) = .empty;
    switch (value) {
        .null => try out.append(host.allocator, 0xf6),
        .bool => |truth| try out.append(host.allocator, if (truth) 0xf5 else 0xf4),
        .int => |number| if (number < 0) try head(&out, 1, @bitCast(~number)) else try head(&out, 0, @bitCast(number)),
        .float => |number| {
            try out.append(host.allocator, 0xfb);
            try out.appendSlice(host.allocator, &std.mem.toBytes(std.mem.nativeToBig(u64, @bitCast(number))));
        },
        .text, .bytes => |text| {
            try head(&out, if (value == .text) 3 else 2, text.len);
            try out.appendSlice(host.allocator, text);
        },
    }
    return out.items;
}

fn head(out: *std.ArrayList(u8), major: u8, value: u64) Error!void {
    if (value < 24) return out.append(host.allocator, major << 5 | @as(u8, @intCast(value)));
    try out.append(host.allocator, major << 5 | 27);
    try out.appendSlice(host.allocator, &std.mem.toBytes(std.mem.nativeToBig(u64, value)));
}

const Cbor = struct {
    left: []const u8,

    const Fault = error{ Malformed, OutOfMemory };

    fn take(reader: *Cbor, size: u64) Fault![]const u8 {
        if (size > reader.left.len) return error.Malformed;
        defer reader.left = reader.left[@intCast(size)..];
        return reader.left[0..@intCast(size)];
    }

    fn argument(reader: *Cbor, short: u8) Fault!u64 {
        if (short < 24) return short;
        if (short > 27) return error.Malformed; // of a length that is not known ahead; the provider does not send those
        var number: u64 = 0;
        for (try reader.take(@as(u64, 1) << @intCast(short - 24))) |byte| number = number << 8 | byte;
        return number;
    }

    fn array(reader: *Cbor) Fault!usize {
        const first = (try reader.take(1))[0];
        const items = try reader.argument(first & 31);
        // Each item takes a byte at least.
        if (first >> 5 != 4 or items > reader.left.len) return error.Malformed;
        return @intCast(items);
    }

    fn value(reader: *Cbor) Fault!Value {
        const first = (try reader.take(1))[0];
        const short = first & 31;
        const number = try reader.argument(short);
        switch (first >> 5) {
            0 => return .{ .int = std.math.cast(i64, number) orelse return error.Malformed },
            1 => return .{ .int = ~(std.math.cast(i64, number) orelse return error.Malformed) },
            2 => return .{ .bytes = try reader.take(number) },
            3 => return .{ .text = try reader.take(number) },
            7 => return switch (short) {
                20, 21 => .{ .bool = short == 21 },
                22 => .null,
                25 => .{ .float = @as(f16, @bitCast(@as(u16, @intCast(number)))) },
                26 => .{ .float = @as(f32, @bitCast(@as(u32, @intCast(number)))) },
                27 => .{ .float = @bitCast(number) },
                else => error.Malformed,
            },
            else => return error.Malformed,
        }
    }
};

fn readRows(coded: []const u8, width: usize) Cbor.Fault![]const []const Value {
    var reader: Cbor = .{ .left = coded };
    if (coded.len == 0) return &.{};
    const rows = try host.allocator.alloc([]const Value, try reader.array());
    for (rows) |*row| {
        if (try reader.array() != width) return error.Malformed;
        const values = try host.allocator.alloc(Value, width);
        for (values) |*each| each.* = try reader.value();
        row.* = values;
    }
    return rows;
}

const testing = std.testing;

test "values there and back" {
    const values = [_]Value{
        .null,
        .{ .bool = true },
        .{ .int = 23 },
        .{ .int = 24 },
        .{ .int = std.math.minInt(i64) },
        .{ .int = std.math.maxInt(i64) },
        .{ .float = -0.1 },
        .{ .text = &@as([40]u8, @splat('k')) },
        .{ .bytes = "\x00\xff" },
    };
    for (values) |value| {
        var reader: Cbor = .{ .left = try cbor(value) };
        try testing.expectEqualDeep(value, try reader.value());
        try testing.expectEqual(0, reader.left.len);
    }
    var half: Cbor = .{ .left = "\xf9\x3e\x00" };
    try testing.expectEqual(1.5, (try half.value()).float);
}

test "no bytes break the rows" {
    var source = std.Random.DefaultPrng.init(3);
    for (0..20_000) |round| {
        var bytes = "\x82\x82\x01\x61a\x82\xf6\xfb\x00\x00\x00\x00\x00\x00\x00\x00".*;
        for (0..round % 4) |_| bytes[source.random().uintLessThan(usize, bytes.len)] = source.random().int(u8);
        _ = readRows(bytes[0 .. bytes.len - round % 7], 2) catch {};
    }
    try testing.expectEqual(2, (try readRows("\x82\x81\x01\x81\xf6", 1)).len);
}
