"""Small guests that answer HTTP, made as text: what is tested is the host, so each does one thing."""

from __future__ import annotations

import msgspec
import wasmtime

from lattice.contracts import httpclient

_NAME_BYTES_MAX = 100
_PAYLOAD_AT = 65536


def answering(name: str) -> bytes:
    """Answers with the `HttpRequest` it got as the body, its own `name` and the operation in headers.

    So a client sees which actor, which image of it and which request a response belongs to.
    """
    assert len(name) < 32
    name_text = bytes([0xA0 | len(name)]) + name.encode()
    before = b"\x83\xaastatusCode\xcc\xc8\xa6header\x82\xa7x-actor\x91" + name_text + b"\xabx-operation\x91\xd9"
    after = b"\xa4body\xc6"
    return _compiled(f"""(module
      (import "wapc" "__guest_request" (func $request (param i32 i32)))
      (import "wapc" "__guest_response" (func $response (param i32 i32)))
      (memory (export "memory") 8)
      (data (i32.const 0) "{_escaped(before)}")
      (data (i32.const 1024) "{_escaped(after)}")
      (func $byte (param $at i32) (param $value i32) (result i32) ;; the address behind it
        (i32.store8 (local.get $at) (local.get $value))
        (i32.add (local.get $at) (i32.const 1)))
      (func (export "__guest_call") (param $op i32) (param $len i32) (result i32)
        (local $at i32)
        (if (i32.gt_u (local.get $op) (i32.const {_NAME_BYTES_MAX})) (then (unreachable)))
        (local.set $at (call $byte (i32.const {len(before)}) (local.get $op)))
        (call $request (local.get $at) (i32.const {_PAYLOAD_AT}))
        (local.set $at (i32.add (local.get $at) (local.get $op)))
        (memory.copy (local.get $at) (i32.const 1024) (i32.const {len(after)}))
        (local.set $at (i32.add (local.get $at) (i32.const {len(after)})))
        (local.set $at (call $byte (local.get $at) (i32.shr_u (local.get $len) (i32.const 24))))
        (local.set $at (call $byte (local.get $at) (i32.shr_u (local.get $len) (i32.const 16))))
        (local.set $at (call $byte (local.get $at) (i32.shr_u (local.get $len) (i32.const 8))))
        (local.set $at (call $byte (local.get $at) (local.get $len)))
        (memory.copy (local.get $at) (i32.const {_PAYLOAD_AT}) (local.get $len))
        (call $response (i32.const 0) (i32.add (local.get $at) (local.get $len)))
        (i32.const 1)))""")


def fetching(url: str) -> bytes:
    """Gets `url` through its link to an HTTP client and answers with the response, or fails with the host's error."""
    payload = msgspec.msgpack.encode(httpclient.HttpRequest(method="GET", url=url))
    names = ("default", httpclient.CONTRACT.id, httpclient.CONTRACT.operations[0].name)
    places, at = [], 0
    for part in (*(name.encode() for name in names), payload):
        places.append(f"(i32.const {at}) (i32.const {len(part)})")
        at += len(part)
    data = "".join(names).encode() + payload
    return _compiled(f"""(module
      (import "wapc" "__guest_response" (func $response (param i32 i32)))
      (import "wapc" "__guest_error" (func $error (param i32 i32)))
      (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      (import "wapc" "__host_response_len" (func $response_len (result i32)))
      (import "wapc" "__host_response" (func $host_response (param i32)))
      (import "wapc" "__host_error_len" (func $error_len (result i32)))
      (import "wapc" "__host_error" (func $host_error (param i32)))
      (memory (export "memory") 4)
      (data (i32.const 0) "{_escaped(data)}")
      (func (export "__guest_call") (param i32 i32) (result i32)
        (if (call $host {" ".join(places)})
          (then
            (call $host_response (i32.const 4096))
            (call $response (i32.const 4096) (call $response_len))
            (return (i32.const 1))))
        (call $host_error (i32.const 4096))
        (call $error (i32.const 4096) (call $error_len))
        (i32.const 0)))""")


def _escaped(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def _compiled(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))
