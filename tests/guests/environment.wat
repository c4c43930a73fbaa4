;; Answers with what WASI says of its environment and arguments: four u32 (variables, their bytes, arguments, their
;; bytes), then the variables and the arguments as NUL-terminated strings.
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (if (call $environ_sizes (i32.const 65536) (i32.const 65540)) (then (unreachable)))
    (if (call $environ (i32.const 0) (i32.const 65552)) (then (unreachable)))
    (if (call $args_sizes (i32.const 65544) (i32.const 65548)) (then (unreachable)))
    (if (call $args (i32.const 0) (i32.add (i32.const 65552) (i32.load (i32.const 65540)))) (then (unreachable)))
    (call $response (i32.const 65536)
      (i32.add (i32.const 16) (i32.add (i32.load (i32.const 65540)) (i32.load (i32.const 65548)))))
    (i32.const 1)))
