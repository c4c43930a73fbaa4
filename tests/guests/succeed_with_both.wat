;; Gives an error text and a reply, and says that it succeeded: the reply is what counts.
(module
  (import "wapc" "__guest_error" (func $error (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "an error")
  (data (i32.const 16) "a reply")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $error (i32.const 0) (i32.const 8))
    (call $response (i32.const 16) (i32.const 7))
    (i32.const 1)))
