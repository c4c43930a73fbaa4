;; Imports one half of the ABI as "wapc" and the other as "wasmbus"; answers with the payload.
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (import "wasmbus" "__guest_request" (func $request_too (param i32 i32)))
  (import "wapc" "__guest_response" (func $response_too (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (call $request (i32.const 0) (i32.const 1024))
    (call $request_too (i32.const 0) (i32.const 1024))
    (call $response_too (i32.const 0) (i32.const 0))
    (call $response (i32.const 1024) (local.get $len))
    (i32.const 1)))
