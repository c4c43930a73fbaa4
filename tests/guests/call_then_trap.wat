;; Calls the host (namespace "test:host", operation "Echo") and then breaks.
(module
  (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "default")
  (data (i32.const 16) "test:host")
  (data (i32.const 32) "Echo")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (drop (call $host (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 9) (i32.const 32) (i32.const 4)
      (i32.const 0) (i32.const 0)))
    (unreachable)))
