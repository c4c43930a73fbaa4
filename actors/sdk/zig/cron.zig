//! lattice:cron: calls at set times.
const std = @import("std");
const host = @import("host.zig");
const fault = @import("fault.zig");
const msgpack = @import("msgpack.zig");

pub const Tick = struct {
    /// The name of the link.
    timer: []const u8,
    /// When it was due and when it was sent, in milliseconds since 1970.
    scheduledMs: i64,
    nowMs: i64,
    /// Ticks before this one that were due and not sent.
    missed: i64 = 0,
};

pub const Timer = struct {
    name: []const u8,
    serve: *const fn (Tick) anyerror!void,
};

/// A timer by its name, or "*" for every one. `handler` is a `fn (cron.Tick) !void`.
pub fn on(comptime name: []const u8, comptime handler: anytype) Timer {
    const wrapped = struct {
        fn serve(tick: Tick) anyerror!void {
            return handler(tick);
        }
    };
    return .{ .name = name, .serve = wrapped.serve };
}

pub fn serve(timers: []const Timer, payload: []const u8) anyerror![]const u8 {
    const tick = try msgpack.decode(Tick, payload);
    for (timers) |timer| {
        if (!std.mem.eql(u8, timer.name, "*") and !std.mem.eql(u8, timer.name, tick.timer)) continue;
        try timer.serve(tick);
        return "";
    }
    const why = &.{ "this actor has no handler for the timer ", tick.timer };
    return fault.failCode("operation_unknown", try std.mem.concat(host.allocator, u8, why));
}
