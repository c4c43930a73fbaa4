;; Has memory and nothing that can be called.
(module
  (import "wapc" "__guest_request" (func (param i32 i32)))
  (memory (export "memory") 1))
