;; Writes to standard output without end.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "and so on\n")
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (i32.store (i32.const 24) (i32.const 0))
    (i32.store (i32.const 28) (i32.const 10))
    (loop $again
      (drop (call $write (i32.const 1) (i32.const 24) (i32.const 1) (i32.const 256)))
      (br $again))
    (i32.const 1)))
