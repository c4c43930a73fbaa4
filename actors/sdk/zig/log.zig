//! wasmcloud:builtin:logging: lines in the host's log.
const host = @import("host.zig");
const msgpack = @import("msgpack.zig");
const Error = @import("fault.zig").Error;

pub const Level = enum { debug, info, warn, @"error" };

pub fn at(level: Level, text: []const u8) Error!void {
    const message = try msgpack.encode(.{ .level = @as([]const u8, @tagName(level)), .text = text });
    _ = try host.call("default", "wasmcloud:builtin:logging", "Logging.WriteLog", message);
}

pub fn debug(text: []const u8) Error!void {
    return at(.debug, text);
}

pub fn info(text: []const u8) Error!void {
    return at(.info, text);
}

pub fn warn(text: []const u8) Error!void {
    return at(.warn, text);
}

pub fn err(text: []const u8) Error!void {
    return at(.@"error", text);
}
