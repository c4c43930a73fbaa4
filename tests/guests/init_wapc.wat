;; Records its initialisers. Only wapc_init
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (func $note (param $letter i32)
    (i32.store8 (global.get $count) (local.get $letter))
    (global.set $count (i32.add (global.get $count) (i32.const 1))))
  (func (export "wapc_init") (call $note (i32.const 119)))
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $response (i32.const 0) (global.get $count))
    (i32.const 1)))
