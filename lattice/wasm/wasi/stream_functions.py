"""The functions of wasi:io/streams and wasi:io/error, as guests call them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

from lattice.streams import StreamClosed, StreamFailed
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import poll
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.streams import InputStream, IoError, OutputStream, failure
from lattice.wasm.wasi.table import Interface

Result = Ok | Err
DONE = Ok()
TURN_BYTES = 64 * 1024
"""A guest that reads as much at once goes on with it for a while, and if it never waits nobody else has a turn: a
megabyte in and out again held the loop for 4 ms."""


def _read(instance: Instance, stream: InputStream, size: int) -> Result:
    try:
        return Ok(stream.read(size))
    except (StreamClosed, StreamFailed) as error:
        return Err(failure(instance, error))


def _blocking_read(instance: Instance, stream: InputStream, size: int) -> Result | Coroutine[Any, Any, Result]:
    # What need not wait is answered at once: to put a guest to sleep and wake it costs more than most reads.
    if not stream.ready():
        return _wait(instance, stream.blocking_read(size))
    result = _read(instance, stream, size)
    return _after_a_turn(result) if isinstance(result, Ok) and len(result.value) >= TURN_BYTES else result


async def _after_a_turn(result: Result) -> Result:
    await asyncio.sleep(0)
    return result


def _skip(instance: Instance, stream: InputStream, size: int) -> Result:
    try:
        return Ok(len(stream.read(size)))
    except (StreamClosed, StreamFailed) as error:
        return Err(failure(instance, error))


def _blocking_skip(instance: Instance, stream: InputStream, size: int) -> Result | Coroutine[Any, Any, Result]:
    return _skip(instance, stream, size) if stream.ready() else _wait(instance, stream.blocking_skip(size))


def _check_write(instance: Instance, stream: OutputStream) -> Result:
    try:
        return Ok(stream.check_write())
    except (StreamClosed, StreamFailed) as error:
        return Err(failure(instance, error))


def _write(instance: Instance, stream: OutputStream, data: bytes) -> Result:
    try:
        stream.write(data)
    except (StreamClosed, StreamFailed) as error:
        return Err(failure(instance, error))
    return DONE


def _write_zeroes(instance: Instance, stream: OutputStream, size: int) -> Result:
    return _write(instance, stream, bytes(stream.permitted(size)))


def _flush(instance: Instance, stream: OutputStream) -> Result:
    try:
        stream.flush()
    except (StreamClosed, StreamFailed) as error:
        return Err(failure(instance, error))
    return DONE


async def _wait(instance: Instance, work: Awaitable[Any]) -> Result:
    try:
        return Ok(await work)
    except (StreamClosed, StreamFailed) as error:
        return Err(failure(instance, error))


def _blocking_write_and_flush(
    instance: Instance, stream: OutputStream, data: bytes
) -> Result | Coroutine[Any, Any, Result]:
    try:
        rest = stream.write_and_flush(data)
    except (StreamClosed, StreamFailed) as error:
        return Err(failure(instance, error))
    return DONE if rest is None else _wait(instance, rest)


async def _blocking_write_zeroes_and_flush(instance: Instance, stream: OutputStream, size: int) -> Result:
    return await _wait(instance, stream.blocking_write_zeroes_and_flush(size))


def _blocking_flush(instance: Instance, stream: OutputStream) -> Result | Coroutine[Any, Any, Result]:
    return _blocking_write_and_flush(instance, stream, b"")


def _splice(instance: Instance, stream: OutputStream, source: InputStream, size: int) -> Result:
    try:
        return Ok(stream.splice(source, size))
    except (StreamClosed, StreamFailed) as error:
        return Err(failure(instance, error))


async def _blocking_splice(instance: Instance, stream: OutputStream, source: InputStream, size: int) -> Result:
    return await _wait(instance, stream.blocking_splice(source, size))


def _to_debug_string(error: IoError) -> str:
    return error.text


STREAMS = Interface(
    "wasi:io/streams",
    functions={
        "[method]input-stream.read": _read,
        "[method]input-stream.blocking-read": _blocking_read,
        "[method]input-stream.skip": _skip,
        "[method]input-stream.blocking-skip": _blocking_skip,
        "[method]input-stream.subscribe": poll.subscribe,
        "[method]output-stream.check-write": _check_write,
        "[method]output-stream.write": _write,
        "[method]output-stream.blocking-write-and-flush": _blocking_write_and_flush,
        "[method]output-stream.flush": _flush,
        "[method]output-stream.blocking-flush": _blocking_flush,
        "[method]output-stream.subscribe": poll.subscribe,
        "[method]output-stream.write-zeroes": _write_zeroes,
        "[method]output-stream.blocking-write-zeroes-and-flush": _blocking_write_zeroes_and_flush,
        "[method]output-stream.splice": _splice,
        "[method]output-stream.blocking-splice": _blocking_splice,
    },
    resources=frozenset({"input-stream", "output-stream"}),
)

ERROR = Interface(
    "wasi:io/error", plain={"[method]error.to-debug-string": _to_debug_string}, resources=frozenset({"error"})
)
