//! wasmcloud:keyvalue: values, counters, lists and sets under text keys.
const host = @import("host.zig");
const msgpack = @import("msgpack.zig");
const Error = @import("fault.zig").Error;

const KeyValue = @This();

link: []const u8 = "default",

pub fn get(kv: KeyValue, key: []const u8) Error!?[]const u8 {
    const found = try kv.ask(struct { value: []const u8 = "", exists: bool }, "KeyValue.Get", key);
    return if (found.exists) found.value else null;
}

pub fn set(kv: KeyValue, key: []const u8, value: []const u8) Error!void {
    return kv.setFor(key, value, 0);
}

/// Gone after so many seconds; 0 is never.
pub fn setFor(kv: KeyValue, key: []const u8, value: []const u8, expires_s: u32) Error!void {
    return kv.ask(void, "KeyValue.Set", .{ .key = key, .value = value, .expires = expires_s });
}

/// False when there was none.
pub fn delete(kv: KeyValue, key: []const u8) Error!bool {
    return kv.ask(bool, "KeyValue.Del", key);
}

pub fn contains(kv: KeyValue, key: []const u8) Error!bool {
    return kv.ask(bool, "KeyValue.Contains", key);
}

/// Atomic; the new value.
pub fn increment(kv: KeyValue, key: []const u8, by: i32) Error!i32 {
    return kv.ask(i32, "KeyValue.Increment", .{ .key = key, .value = by });
}

/// The new length.
pub fn listAdd(kv: KeyValue, list: []const u8, value: []const u8) Error!u32 {
    return kv.ask(u32, "KeyValue.ListAdd", .{ .listName = list, .value = value });
}

pub fn listRemove(kv: KeyValue, list: []const u8, value: []const u8) Error!bool {
    return kv.ask(bool, "KeyValue.ListDel", .{ .listName = list, .value = value });
}

/// Both ends are included; -1 is the last.
pub fn listRange(kv: KeyValue, list: []const u8, start: i32, stop: i32) Error![]const []const u8 {
    return kv.ask([]const []const u8, "KeyValue.ListRange", .{ .listName = list, .start = start, .stop = stop });
}

pub fn listClear(kv: KeyValue, list: []const u8) Error!bool {
    return kv.ask(bool, "KeyValue.ListClear", list);
}

/// 1, or 0 when it was there already.
pub fn setAdd(kv: KeyValue, set_name: []const u8, value: []const u8) Error!u32 {
    return kv.ask(u32, "KeyValue.SetAdd", .{ .setName = set_name, .value = value });
}

pub fn setRemove(kv: KeyValue, set_name: []const u8, value: []const u8) Error!u32 {
    return kv.ask(u32, "KeyValue.SetDel", .{ .setName = set_name, .value = value });
}

/// In any order.
pub fn setMembers(kv: KeyValue, set_name: []const u8) Error![]const []const u8 {
    return kv.ask([]const []const u8, "KeyValue.SetQuery", set_name);
}

pub fn setUnion(kv: KeyValue, sets: []const []const u8) Error![]const []const u8 {
    return kv.ask([]const []const u8, "KeyValue.SetUnion", sets);
}

pub fn setIntersection(kv: KeyValue, sets: []const []const u8) Error![]const []const u8 {
    return kv.ask([]const []const u8, "KeyValue.SetIntersection", sets);
}

pub fn setClear(kv: KeyValue, set_name: []const u8) Error!bool {
    return kv.ask(bool, "KeyValue.SetClear", set_name);
}

fn ask(kv: KeyValue, comptime Reply: type, operation: []const u8, message: anytype) Error!Reply {
    const reply = try host.call(kv.link, "wasmcloud:keyvalue", operation, try msgpack.encode(message));
    return msgpack.decode(Reply, reply);
}
