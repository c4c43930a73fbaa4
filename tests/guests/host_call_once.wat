;; Calls the host once (namespace "test:host", operation "Echo", its payload) and answers with its payload; uses one
;; page of memory.
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wapc" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "defaulttest:hostEcho")
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (call $request (i32.const 64) (i32.const 128))
    (drop (call $call (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 9) (i32.const 16) (i32.const 4) (i32.const 128) (local.get $len)))
    (call $response (i32.const 128) (local.get $len))
    (i32.const 1)))
