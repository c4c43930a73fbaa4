//! Actors in Zig.
//!
//!     const lattice = @import("nanolattice");
//!     const http = lattice.http;
//!
//!     fn hello(request: *http.Request) !http.Response {
//!         return http.json(200, .{ .hello = try request.query("name") orelse "world" });
//!     }
//!
//!     comptime {
//!         lattice.actor(.{ .routes = &.{http.get("/hello", hello)} });
//!     }
//!
//! Memory: `lattice.allocator` gives what lives until the call is over, then all of it is gone at once. Nothing needs to be
//! freed, and nothing may be kept from call to call: keep state in a capability.
//!
//! Errors: what the host refuses and what an actor refuses are errors of `lattice.Error`, each with a code and a message,
//! which `lattice.failure()` tells.
const std = @import("std");
const builtin = @import("builtin");
const host = @import("host.zig");
const fault = @import("fault.zig");
const serving = @import("serving.zig");

pub const http = @import("http.zig");
pub const json = @import("json.zig");
pub const msgpack = @import("msgpack.zig");
pub const messaging = @import("messaging.zig");
pub const cron = @import("cron.zig");
pub const log = @import("log.zig");
pub const random = @import("random.zig");
pub const time = @import("time.zig");

/// `const kv: lattice.KeyValue = .{};` or along a link of its own: `.{ .link = "cache" }`. So are the others.
pub const KeyValue = @import("KeyValue.zig");
pub const Messaging = messaging.Messaging;
pub const Blobstore = @import("Blobstore.zig");
pub const Sql = @import("Sql.zig");
pub const HttpClient = @import("HttpClient.zig");

pub const Error = fault.Error;
pub const fail = fault.fail;
pub const failCode = fault.failCode;
pub const failure = fault.failure;

/// What lives until the call is over.
pub const allocator = host.allocator;

/// Names what the actor answers. Call it once, in a `comptime` block of the root file.
pub const actor = serving.actor;
/// An operation by its name, for `actor`: `lattice.on("Shop.Close", close)`, where `close` is a
/// `fn (payload: []const u8) ![]const u8`.
pub const on = serving.on;

/// Calls another actor by its alias or its key.
pub fn call(target: []const u8, operation: []const u8, payload: []const u8) Error![]const u8 {
    return host.call("", target, operation, payload);
}

/// Calls the provider of a contract that this SDK has no functions for: a struct that becomes its message, and the type of
/// the reply. `void` is none.
pub fn provider(
    comptime Reply: type,
    link: []const u8,
    contract: []const u8,
    operation: []const u8,
    message: anytype,
) Error!Reply {
    return msgpack.decode(Reply, try host.call(link, contract, operation, try msgpack.encode(message)));
}

/// The texts one after the other.
pub fn join(texts: []const []const u8) Error![]const u8 {
    return std.mem.concat(allocator, u8, texts);
}

/// As `std.fmt` formats, which adds some kilobytes to the actor.
pub fn print(comptime format: []const u8, arguments: anytype) Error![]const u8 {
    return std.fmt.allocPrint(allocator, format, arguments);
}

/// Tells the host why, and ends the call: `pub const panic = lattice.panic;` in the root file.
pub const panic = if (builtin.mode == .small)
    std.debug.no_panic
else
    std.debug.FullPanic(host.panicked);

test {
    _ = json;
    _ = msgpack;
    _ = http;
    _ = messaging;
    _ = Sql;
    _ = fault;
}
