;; Gives two replies: "first", then "second".
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "first")
  (data (i32.const 16) "second")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $response (i32.const 0) (i32.const 5))
    (call $response (i32.const 16) (i32.const 6))
    (i32.const 1)))
