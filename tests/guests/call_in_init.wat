;; Calls the host while it is initialised; every call answers with a byte: what that call returned.
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "default")
  (data (i32.const 16) "test:host")
  (data (i32.const 32) "Echo")
  (func (export "wapc_init")
    (i32.store8 (i32.const 64) (call $host (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 9) (i32.const 32)
      (i32.const 4) (i32.const 0) (i32.const 0))))
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $response (i32.const 64) (i32.const 1))
    (i32.const 1)))
