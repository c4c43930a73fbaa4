;; Computes for a number of rounds (u32 little-endian in the payload), then answers with the payload.
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (local $left i32)
    (call $request (i32.const 0) (i32.const 1024))
    (local.set $left (i32.load (i32.const 1024)))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $left)))
        (i32.store (i32.const 2048) (local.get $left)) ;; a side effect, so that no optimiser removes the loop
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $again)))
    (call $response (i32.const 1024) (local.get $len))
    (i32.const 1)))
