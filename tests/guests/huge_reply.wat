;; Answers with as many zero bytes as the payload says (u32 little-endian).
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (local $size i32)
    (call $request (i32.const 0) (i32.const 1024))
    (local.set $size (i32.load (i32.const 1024)))
    (drop (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1))))
    (call $response (i32.const 65536) (local.get $size))
    (i32.const 1)))
