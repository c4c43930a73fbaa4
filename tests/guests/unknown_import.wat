;; Imports functions that nobody offers: one under a known module name, one under an unknown one. Calls neither.
(module
  (import "wapc" "__no_such_function" (func (param i32)))
  (import "somewhere" "else" (func (result i64)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 0)))
