;; Exports a __guest_call with other parameters than the ABI has.
(module
  (import "wapc" "__guest_request" (func (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i64) (result i32) (i32.const 1)))
