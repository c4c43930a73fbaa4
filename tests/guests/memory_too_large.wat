;; Wants 1 GiB before it does anything.
(module
  (memory (export "memory") 16384)
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))
