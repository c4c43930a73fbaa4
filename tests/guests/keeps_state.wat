;; Counts the calls of its instance; answers with the count (u32 little-endian).
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
    (call $response (i32.const 16) (i32.const 4))
    (i32.const 1)))
