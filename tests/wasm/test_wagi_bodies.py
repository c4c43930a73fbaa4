"""Input and output of commands in pieces, with a caller that a test plays."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import wasmtime

from lattice import errors, wire
from lattice.bodies import BodyPipe
from lattice.contracts.httpserver import HttpRequest, HttpResponse
from lattice.invocation import EntityId, Invocation, new_id
from tests.support.bodies import Beside
from tests.support.commands import OPERATION, PROBE, start
from tests.support.hosts import GuestHost, guest_host

WAITS = """(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\\01") ;; the first subscription: input
  (data (i32.const 56) "\\00") ;; the second: a clock, which is the monotonic one and rings in {ns} ns
  (data (i32.const 64) "\\01")
  (data (i32.const 520) "\\00\\04\\00\\00\\64\\00\\00\\00") ;; what is read goes to 1024, at most 100 bytes
  (data (i32.const 1000) "content-type: a/b\\0a\\0a")
  (func (export "_start")
    (i64.store (i32.const 72) (i64.const {ns}))
    (drop (call $poll (i32.const 0) (i32.const 256) (i32.const {count}) (i32.const 512)))
    ;; how many events there are, and what the first is about, as digits
    (i32.store8 (i32.const 1019) (i32.add (i32.const 48) (i32.load (i32.const 512))))
    (i32.store8 (i32.const 1020) (i32.add (i32.const 48) (i32.load8_u (i32.const 266))))
    (i32.store (i32.const 540) (i32.const 1000))
    (i32.store (i32.const 544) (i32.const 21))
    (drop (call $write (i32.const 1) (i32.const 540) (i32.const 1) (i32.const 528)))
    (if (i32.load8_u (i32.const 266)) (then
      (drop (call $read (i32.const 0) (i32.const 520) (i32.const 1) (i32.const 528)))
      (i32.store (i32.const 540) (i32.const 1024))
      (i32.store (i32.const 544) (i32.load (i32.const 528)))
      (drop (call $write (i32.const 1) (i32.const 540) (i32.const 1) (i32.const 528)))))))"""


async def ask(guests: GuestHost, bodies: Beside, query: str = "", key: str = "probe") -> bytes:
    message = HttpRequest(method="POST", path="/", query_string=query, header={}, body=b"")
    return await guests.host.pipeline(
        Invocation(
            origin=EntityId(guests.host.key),
            contract="",
            operation=OPERATION,
            payload=wire.encode(message),
            id=new_id(),
            deadline=time.monotonic() + 30,
            target=EntityId(key),
            bodies=bodies,
        )
    )


def printed(reply: bytes) -> bytes:
    found: HttpResponse = wire.decoder(HttpResponse, "the reply")(reply)
    assert found.status_code == 200
    return found.body or b""


def waiting(tmp_path: Path, count: int, ns: int) -> Path:
    path = tmp_path / "waits.wasm"
    path.write_bytes(wasmtime.wat2wasm(WAITS.format(count=count, ns=ns)))
    return path


@pytest.mark.parametrize("count", [1, 2], ids=["for input alone", "for input or a clock"])
async def test_a_command_waits_for_its_input(tmp_path: Path, count: int) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, waiting(tmp_path, count, 25_000_000_000))
        pipe = BodyPipe(length=5)
        bodies = Beside(pipe)
        asked = asyncio.create_task(ask(guests, bodies))
        await asyncio.sleep(0.1)
        assert not asked.done()
        assert not bodies.begun
        pipe.put(b"hello")
        assert printed(await asked) == b"11hello", "one event, which is about reading"


async def test_a_command_that_waits_for_its_input_hears_the_clock(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, waiting(tmp_path, 2, 20_000_000))
        assert printed(await ask(guests, Beside(BodyPipe(length=5)))) == b"10"


async def test_input_that_breaks_off_is_an_error_and_not_an_end(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        pipe = BodyPipe(length=500)
        pipe.put(b"half")
        pipe.fail(errors.Cancelled("gone"))
        # The library stops reading either way; what it read is here.
        assert printed(await ask(guests, Beside(pipe), "input")) == b"half"


async def test_output_goes_as_it_is_printed_and_waits_for_who_reads(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, time_s_max=1.0)
        bodies = Beside()
        with pytest.raises(errors.DeadlineExceeded):
            await ask(guests, bodies, "print-for-ever")
        assert bodies.begun
        assert not bodies.received.ended, "it never was whole"
        assert 1 << 22 <= bodies.received.size < 2 << 22, "and waits when as much is there as is wanted"


async def test_an_exit_code_after_the_response_began_is_a_failure(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, PROBE)
        bodies = Beside()
        with pytest.raises(errors.GuestTrapped):
            await ask(guests, bodies, "abort")
        assert not bodies.received.ended
