"""What an actor was asked and how it answered, a line for each: for the one who writes it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from lattice import errors, wire
from lattice.contracts import cron, httpserver, messaging
from lattice.invocation import Handler, Invocation

_http_request = wire.request_decoder(httpserver.HANDLE_REQUEST)
_http_response = wire.reply_decoder(httpserver.HANDLE_REQUEST)
_message = wire.request_decoder(messaging.HANDLE_MESSAGE)
_tick = wire.request_decoder(cron.HANDLE_TICK)
BODY_LETTERS_MAX = 300
"""Of an answer that says what went wrong; the client has the whole."""
STACK_LINES_MAX = 30
"""Of where a guest broke: the innermost functions come first."""


class Answered(msgspec.Struct, frozen=True):
    """One call: `what` it was ("GET /people"), how it ended ("200", or the code of an error), and what is to be said
    of a failure."""

    what: str
    outcome: str
    milliseconds: float
    failed: bool = False
    detail: str = ""


def observed(handler: Handler, tell: Callable[[Answered], None], folder: Path, key: str = "") -> Handler:
    """The same handler, which tells of each call when it has ended. `folder` is the project's, `key` its actor's, which
    is left out behind its name: here is one of that name."""

    async def handle(invocation: Invocation) -> bytes:
        began = time.perf_counter()

        def answered(outcome: str, failed: bool = False, detail: str = "") -> None:
            milliseconds = (time.perf_counter() - began) * 1000
            tell(Answered(described(invocation), outcome, milliseconds, failed, detail.replace(f" ({key})", "")))

        try:
            reply = await handler(invocation)
        except errors.LatticeError as error:
            answered(error.code, True, explained(error, folder))
            raise
        answered(*_outcome(invocation, reply))
        return reply

    return handle


def described(invocation: Invocation) -> str:
    """What is asked, in a few words."""
    try:
        if invocation.operation == httpserver.HANDLE_REQUEST.name:
            request = _http_request(invocation.payload)
            query = f"?{request.query_string}" if request.query_string else ""
            return f"{request.method} {request.path}{query}"
        if invocation.operation == messaging.HANDLE_MESSAGE.name:
            return f"message {_message(invocation.payload).subject}"
        if invocation.operation == cron.HANDLE_TICK.name:
            return f"tick {_tick(invocation.payload).timer}"
    except errors.MalformedMessage:
        pass
    return invocation.operation


def _outcome(invocation: Invocation, reply: bytes) -> tuple[str, bool, str]:
    if invocation.operation != httpserver.HANDLE_REQUEST.name:
        return "ok", False, ""
    try:
        response = _http_response(reply)
    except errors.MalformedMessage as error:
        return error.code, True, str(error)
    failed = response.status_code >= 500
    body = response.body[: 4 * BODY_LETTERS_MAX].decode(errors="replace")[:BODY_LETTERS_MAX]
    return str(response.status_code), failed, body if failed else ""


def explained(error: errors.LatticeError, folder: Path) -> str:
    """What happened, what to do, and where in the guest it did, with files relative to the project's folder."""
    lines = [error.message]
    if error.remedy:
        lines.append(error.remedy)
    if isinstance(error, errors.GuestTrapped) and error.stack:
        lines += stack_lines(error.stack, folder)
    return "\n".join(lines)


def stack_lines(report: str, folder: Path) -> list[str]:
    """The functions of the engine's backtrace, innermost first, with the places that the module has for them. Those of
    a language's own library are left out when there are some of the project."""
    frames: list[tuple[str, str]] = []
    for line in report.partition("\nCaused by:")[0].splitlines():
        text = line.strip()
        if frame := _FRAME.match(text):
            frames.append((frame[1], ""))
        elif text.startswith("at ") and frames:
            frames[-1] = (frames[-1][0], _shortened(text.removeprefix("at "), folder))
    own = [(name, place) for name, place in frames if place and not place.startswith("/")]
    if any(not place.startswith(_SDK) for _, place in own):
        frames = own
    return [f"  in {name}, {place}" if place else f"  in {name}" for name, place in frames[:STACK_LINES_MAX]]


_FRAME = re.compile(r"(?:\d+:\s+0x[0-9a-f]+\s+)?- (?:<unknown>!)?(.+)")
"""A module that has no name of its own stands before its functions as unknown."""


_SDK = "sdk/"


def _shortened(place: str, folder: Path) -> str:
    """Files of the project as their author knows them, those of the SDK by their name in it, others as they are."""
    path, colon, position = place.partition(":")
    inside = os.path.relpath(path, folder)
    if "/sdk/" in path and inside.startswith((".", "..")):
        inside = _SDK + path.rpartition("/sdk/")[2]
    elif inside.startswith(".."):
        inside = path
    return f"{inside}{colon}{position}"
