;; Sleeps in WASI poll_oneoff for as many milliseconds as the payload says (u32 little-endian); answers with the errno
;; of the call, the number of events and the errno of the event (three u32).
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (call $request (i32.const 0) (i32.const 1024))
    (memory.fill (i32.const 2048) (i32.const 0) (i32.const 256))
    (i64.store (i32.const 2048) (i64.const 42))            ;; user data
    (i32.store8 (i32.const 2056) (i32.const 0))            ;; a clock
    (i32.store (i32.const 2064) (i32.const 1))             ;; the monotonic one
    (i64.store (i32.const 2072)                            ;; relative, in nanoseconds
      (i64.mul (i64.extend_i32_u (i32.load (i32.const 1024))) (i64.const 1000000)))
    (i32.store (i32.const 3072) (call $poll (i32.const 2048) (i32.const 2112) (i32.const 1) (i32.const 3076)))
    (i32.store (i32.const 3080) (i32.load16_u (i32.const 2120)))
    (call $response (i32.const 3072) (i32.const 12))
    (i32.const 1)))
