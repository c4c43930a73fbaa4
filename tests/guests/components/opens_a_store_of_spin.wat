;; Calls an interface that only another host has, with a resource in it, as components of Spin do.
(component
  (import "fermyon:spin/key-value@2.0.0" (instance $key_value
    (export "store" (type $store (sub resource)))
    (type $own (own $store))
    (export "[static]store.open" (func (param "label" string) (result (result $own))))))
  (core module $libc
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $libc (instantiate $libc))
  (core func $open (canon lower (func $key_value "[static]store.open")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core module $main
    (import "spin" "open" (func $open (param i32 i32 i32)))
    (func (export "run") (result i32)
      (call $open (i32.const 0) (i32.const 0) (i32.const 512))
      (i32.const 0)))
  (core instance $main (instantiate $main (with "spin" (instance (export "open" (func $open))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
