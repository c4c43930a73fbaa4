;; Makes the call that the payload describes: binding, namespace and operation, each ended by a NUL, then the payload.
;; Answers with a byte "1" and the reply, or a byte "0" and the error text of the host.
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (memory (export "memory") 16)
  (func $nul (param $from i32) (result i32) ;; the address of the next NUL
    (loop $again
      (if (i32.load8_u (local.get $from))
        (then (local.set $from (i32.add (local.get $from) (i32.const 1))) (br $again))))
    (local.get $from))
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (local $a i32) (local $b i32) (local $c i32) (local $rest i32)
    (call $request (i32.const 0) (i32.const 4096))
    (local.set $a (call $nul (i32.const 4096)))
    (local.set $b (call $nul (i32.add (local.get $a) (i32.const 1))))
    (local.set $c (call $nul (i32.add (local.get $b) (i32.const 1))))
    (local.set $rest (i32.add (local.get $c) (i32.const 1)))
    (if (i32.eq (i32.const 1)
          (call $host
            (i32.const 4096) (i32.sub (local.get $a) (i32.const 4096))
            (i32.add (local.get $a) (i32.const 1)) (i32.sub (i32.sub (local.get $b) (local.get $a)) (i32.const 1))
            (i32.add (local.get $b) (i32.const 1)) (i32.sub (i32.sub (local.get $c) (local.get $b)) (i32.const 1))
            (local.get $rest) (i32.sub (i32.add (i32.const 4096) (local.get $len)) (local.get $rest))))
      (then
        (i32.store8 (i32.const 524288) (i32.const 49))
        (call $host_response (i32.const 524289))
        (call $response (i32.const 524288) (i32.add (i32.const 1) (call $host_response_len))))
      (else
        (i32.store8 (i32.const 524288) (i32.const 48))
        (call $host_error (i32.const 524289))
        (call $response (i32.const 524288) (i32.add (i32.const 1) (call $host_error_len)))))
    (i32.const 1)))
