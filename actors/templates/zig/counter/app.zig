//! Counts the requests to each path.
const std = @import("std");
const lattice = @import("nanolattice");
const http = lattice.http;

pub const panic = lattice.panic;

const kv: lattice.KeyValue = .{};

fn count(request: *http.Request) !http.Response {
    if (!std.mem.eql(u8, request.method, "GET")) return http.refusal(405, "only GET counts");
    const key = try lattice.join(&.{ "count:", request.path });
    return http.json(200, .{ .count = try kv.increment(key, 1) });
}

comptime {
    lattice.actor(.{ .routes = &.{http.otherwise(count)} });
}
