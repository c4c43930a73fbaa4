;; Takes memory until it gets no more, touching every page; answers with the pages it has (u32 little-endian).
(module
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (local $before i32)
    (loop $again
      (local.set $before (memory.grow (i32.const 1)))
      (if (i32.ne (local.get $before) (i32.const -1))
        (then
          (i32.store (i32.mul (local.get $before) (i32.const 65536)) (i32.const 1))
          (br $again))))
    (i32.store (i32.const 16) (memory.size))
    (call $response (i32.const 16) (i32.const 4))
    (i32.const 1)))
