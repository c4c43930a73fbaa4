;; Prints the payload through the older name of WASI and answers with it.
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wasi_unstable" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (call $request (i32.const 512) (i32.const 4096))
    (i32.store (i32.const 24) (i32.const 4096))
    (i32.store (i32.const 28) (local.get $len))
    (if (call $write (i32.const 1) (i32.const 24) (i32.const 1) (i32.const 256)) (then (unreachable)))
    (call $response (i32.const 4096) (local.get $len))
    (i32.const 1)))
