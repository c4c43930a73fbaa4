;; Calls itself as deep as the payload says (u32 little-endian; 0 is without end); answers with the depth.
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (func $deeper (param $left i32) (result i32)
    (if (result i32) (i32.eq (local.get $left) (i32.const 1))
      (then (i32.const 1))
      (else (i32.add (call $deeper (i32.sub (local.get $left) (i32.const 1))) (i32.const 1)))))
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $request (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 2048) (call $deeper (i32.load (i32.const 1024))))
    (call $response (i32.const 2048) (i32.const 4))
    (i32.const 1)))
