//! The time of day, from WASI's clock.

extern "wasi_snapshot_preview1" fn clock_time_get(clock: u32, precision_ns: u64, time_ns: *u64) u32;

/// Milliseconds since 1970; 0 where the host has no clock.
pub fn nowMs() i64 {
    const realtime = 0;
    var time_ns: u64 = 0;
    if (clock_time_get(realtime, 1_000_000, &time_ns) != 0) return 0;
    return @intCast(time_ns / 1_000_000);
}
