//! Counts the ticks of a timer, and says how many there were.
const lattice = @import("nanolattice");
const http = lattice.http;

pub const panic = lattice.panic;

const kv: lattice.KeyValue = .{};

fn tick(beat: lattice.cron.Tick) !void {
    _ = try kv.increment("ticks", 1);
    try kv.set("last", try lattice.json.write(beat.scheduledMs));
}

fn numberUnder(key: []const u8) !lattice.json.Raw {
    return .{ .text = try kv.get(key) orelse "0" };
}

fn answer(_: *http.Request) !http.Response {
    return http.json(200, .{ .ticks = try numberUnder("ticks"), .last = try numberUnder("last") });
}

comptime {
    lattice.actor(.{
        .routes = &.{http.get("/", answer)},
        .timers = &.{lattice.cron.on("*", tick)},
    });
}
