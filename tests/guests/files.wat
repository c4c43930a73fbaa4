;; Looks for a folder that it was given (file descriptor 3) and tries to open "/etc/passwd" there and on standard
;; input; answers with the three errnos (u32 each).
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "/etc/passwd")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (i32.store (i32.const 64) (call $prestat (i32.const 3) (i32.const 128)))
    (i32.store (i32.const 68) (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 11) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 128)))
    (i32.store (i32.const 72) (call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 11) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 128)))
    (call $response (i32.const 64) (i32.const 12))
    (i32.const 1)))
