;; Waits for the first of two clocks in one poll_oneoff: 10 ms (user data 1) and one hour (user data 2). Answers with
;; the number of events (u32) and the user data of the first (u32).
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (memory.fill (i32.const 2048) (i32.const 0) (i32.const 256))
    (i64.store (i32.const 2048) (i64.const 2))
    (i32.store (i32.const 2064) (i32.const 1))
    (i64.store (i32.const 2072) (i64.const 3600000000000))
    (i64.store (i32.const 2096) (i64.const 1))
    (i32.store (i32.const 2112) (i32.const 1))
    (i64.store (i32.const 2120) (i64.const 10000000))
    (if (call $poll (i32.const 2048) (i32.const 2304) (i32.const 2) (i32.const 3072)) (then (unreachable)))
    (i32.store (i32.const 3076) (i32.load (i32.const 2304)))
    (call $response (i32.const 3072) (i32.const 8))
    (i32.const 1)))
