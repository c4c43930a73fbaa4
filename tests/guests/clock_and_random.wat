;; Answers with the real-time clock, the monotonic clock (two u64, nanoseconds) and 16 random bytes.
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (if (call $clock (i32.const 0) (i64.const 1) (i32.const 64)) (then (unreachable)))
    (if (call $clock (i32.const 1) (i64.const 1) (i32.const 72)) (then (unreachable)))
    (if (call $random (i32.const 80) (i32.const 16)) (then (unreachable)))
    (call $response (i32.const 64) (i32.const 32))
    (i32.const 1)))
