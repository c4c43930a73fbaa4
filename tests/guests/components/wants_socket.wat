;; A program that asks for a TCP socket and leaves with 40 and the number of the error it got.
(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (type $error-code' (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable"
      "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted"
      "datagram-too-large" "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
    (export "error-code" (type $error-code (eq $error-code')))
    (type $family' (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type $family (eq $family')))))
  (alias export $network "error-code" (type $error-code))
  (alias export $network "ip-address-family" (type $family))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $socket))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
    (alias outer 1 $error-code (type $outer-code))
    (export "error-code" (type $code (eq $outer-code)))
    (alias outer 1 $family (type $outer-family))
    (export "ip-address-family" (type $of (eq $outer-family)))
    (alias outer 1 $socket (type $outer-socket))
    (export "tcp-socket" (type $made (eq $outer-socket)))
    (export "create-tcp-socket" (func (param "address-family" $of) (result (result (own $made) (error $code)))))))
  (import "wasi:cli/exit@0.2.0" (instance $exit
    (export "exit-with-code" (func (param "status-code" u8)))))
  (core module $room (memory (export "memory") 1))
  (core instance $room (instantiate $room))
  (alias core export $room "memory" (core memory $memory))
  (core func $new (canon lower (func $create "create-tcp-socket") (memory $memory)))
  (core func $leave (canon lower (func $exit "exit-with-code")))
  (core module $main
    (import "" "memory" (memory 1))
    (import "" "new" (func $new (param i32 i32)))
    (import "" "leave" (func $leave (param i32)))
    (func (export "run") (result i32)
      (call $new (i32.const 0) (i32.const 8))
      (if (i32.eqz (i32.load8_u (i32.const 8))) (then (return (i32.const 0))))
      (call $leave (i32.add (i32.const 40) (i32.load8_u (i32.const 12))))
      (i32.const 0)))
  (core instance $main (instantiate $main (with "" (instance
    (export "memory" (memory $memory))
    (export "new" (func $new))
    (export "leave" (func $leave))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
