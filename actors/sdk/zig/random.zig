//! wasmcloud:builtin:numbergen: random numbers.
const host = @import("host.zig");
const msgpack = @import("msgpack.zig");
const Error = @import("fault.zig").Error;

pub fn int() Error!u32 {
    return ask(u32, "NumberGen.Random32", {});
}

/// Both ends are included.
pub fn inRange(min: u32, max: u32) Error!u32 {
    return ask(u32, "NumberGen.RandomInRange", .{ .min = min, .max = max });
}

pub fn guid() Error![]const u8 {
    return ask([]const u8, "NumberGen.GenerateGuid", {});
}

fn ask(comptime Reply: type, operation: []const u8, message: anytype) Error!Reply {
    const reply = try host.call("default", "wasmcloud:builtin:numbergen", operation, try msgpack.encode(message));
    return msgpack.decode(Reply, reply);
}
