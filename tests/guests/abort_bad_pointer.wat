;; Aborts with strings outside its memory.
(module
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $abort (i32.const -4) (i32.const 65537) (i32.const 7) (i32.const 5))
    (unreachable)))
