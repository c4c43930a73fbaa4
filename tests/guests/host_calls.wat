;; Calls the host many times. Payload: how often (u32 little-endian), then the payload of each call, to link "default",
;; namespace "test:host", operation "Echo". Answers with the reply of the last call; stops at the first that fails and
;; fails with its error.
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wapc" "__guest_error" (func $error (param i32 i32)))
  (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (memory (export "memory") 8)
  (data (i32.const 0) "default")
  (data (i32.const 16) "test:host")
  (data (i32.const 32) "Echo")
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (local $left i32)
    (call $request (i32.const 64) (i32.const 4096))
    (local.set $left (i32.load (i32.const 4096)))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $again (i32.eq (i32.const 1)
          (call $host (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 9) (i32.const 32) (i32.const 4)
            (i32.const 4100) (i32.sub (local.get $len) (i32.const 4)))))
        (call $host_error (i32.const 262144))
        (call $error (i32.const 262144) (call $host_error_len))
        (return (i32.const 0))))
    (call $host_response (i32.const 262144))
    (call $response (i32.const 262144) (call $host_response_len))
    (i32.const 1)))
