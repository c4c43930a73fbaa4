;; Leaves in the middle of a call through WASI proc_exit; the payload is the exit code (u32 little-endian).
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
    (call $request (i32.const 0) (i32.const 1024))
    (call $exit (i32.load (i32.const 1024)))
    (unreachable)))
