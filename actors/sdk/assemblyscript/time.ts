/** The time of day, from WASI's clock. */
import { fail } from "./call";

@external("wasi_snapshot_preview1", "clock_time_get")
declare function clockTimeGet(clock: u32, precisionNs: u64, timeNs: usize): u32;

const REALTIME: u32 = 0;
const NS_PER_MS: u64 = 1000000;

/** Milliseconds since 1970. */
export function nowMs(): i64 {
  const cell = new ArrayBuffer(8);
  if (clockTimeGet(REALTIME, NS_PER_MS, changetype<usize>(cell))) fail("the host has no clock");
  return <i64>(load<u64>(changetype<usize>(cell)) / NS_PER_MS);
}

/** The day in UTC, as "2026-11-22". */
export function day(ms: i64): string {
  return new Date(ms).toISOString().substring(0, 10);
}

/** The minute in UTC, as "2026-11-22 17:05". */
export function minute(ms: i64): string {
  return new Date(ms).toISOString().substring(0, 16).replace("T", " ");
}
