;; Aborts as AssemblyScript does: env.abort(message, file, line, column), strings in UTF-16 with their length in bytes
;; before them.
(module
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 12) "\0c\00\00\00b\00r\00o\00k\00e\00n\00")
  (data (i32.const 60) "\08\00\00\00a\00.\00t\00s\00")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $abort (i32.const 16) (i32.const 64) (i32.const 7) (i32.const 5))
    (unreachable)))
