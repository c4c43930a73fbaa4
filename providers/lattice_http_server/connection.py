"""One connection: its requests answered in the order in which they came, by one task.

The task lives as long as the connection. A request costs it a future to wake up, and neither a task nor a timer of its
own. Time is watched from outside: `check` is called by the sweep of the address.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import cast

from lattice import errors
from lattice_http_server import refusal
from lattice_http_server.reader import BETWEEN, BODY, HEAD, HEAD_SLICE_BYTES, STOPPED, RequestReader
from lattice_http_server.request import Request
from lattice_http_server.service import Service

LINGER_S = 2.0
"""How long a client that is still sending gets to read why it was refused. Closing at once would reset the connection
and could take the response with it."""
REFUSED_MAX = 100
"""Connections over the limit that are told so at a time; more are cut without a word."""
RATE_GRACE_S = 10.0
"""A body has this long before its average rate counts."""
BACKSTOP_S = 0.5
"""The host ends a call at its deadline; when it has not by this much later, the server does."""
_CLOSE = b"connection: close\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """Invariant: one response for each request, in order; nothing is read that has nowhere to wait."""

    __slots__ = (
        *("_service", "_loop", "_transport", "_reader", "_queue", "_queued_bytes", "_waiter", "task", "_held"),
        *("_paused", "_continue_owed", "_deadline", "_expired", "_closing", "_idle_since", "_idle_limit", "_since"),
        *("_writable", "_blocked_since", "_blocked_total", "_blocked_least", "_progress_at"),
    )

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, None)
        self._reader = RequestReader(self, service)
        self._queue: deque[Request] = deque()
        self._queued_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None
        self._held = b""
        self._paused = False
        self._continue_owed = False
        self._deadline = 0.0
        self._expired = False
        self._closing = False
        self._since = self._idle_since = service.now
        self._idle_limit = service.settings.header_timeout
        self._writable: asyncio.Future[None] | None = None
        self._blocked_since = self._progress_at = 0.0
        self._blocked_total = self._blocked_least = 0

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        service = self._service
        self._transport = cast(asyncio.Transport, transport)
        count = len(service.connections)
        service.connections.add(self)
        if count >= service.connections_max:
            if count >= service.connections_max + REFUSED_MAX:
                self._transport.abort()
                return
            self._transport.write(
                service.writer.refusal(refusal.connections_full(service.connections_max), False, _CLOSE)
            )
            self._finish()
            return
        self.task = self._loop.create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        if self._paused:
            self._held += data  # at most what the transport had read before it heard of the pause
        elif len(data) <= HEAD_SLICE_BYTES:
            if self._reader.stage is not STOPPED:
                self._reader.feed(data)
                if self._queue and self._is_full():
                    self._pause(b"")
        else:
            self._take_slices(data)

    def eof_received(self) -> None:
        """The client has hung up. (One that only ends its sending looks the same, and is treated so.)"""
        if self.task is not None:
            self.task.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        service = self._service
        service.connections.discard(self)
        if not service.connections:
            service.emptied.set()
        if self.task is not None:
            self.task.cancel()
        self._closing = True
        service.bodies_bytes -= self._queued_bytes
        self._queued_bytes = 0
        self._queue.clear()
        self._held = b""
        self._reader.close()

    def pause_writing(self) -> None:
        size = self._transport.get_write_buffer_size()
        self._writable = self._loop.create_future()
        self._blocked_since = self._progress_at = self._service.now
        self._blocked_total = self._blocked_least = size

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # What the reader calls.

    def arrived(self, request: Request) -> None:
        self._queue.append(request)
        if request.body_bytes:
            self._queued_bytes += request.body_bytes
        self._continue_owed = False
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def continue_wanted(self) -> None:
        """The client waits for leave to send its body: given when the responses before it are out."""
        if self._waiter is not None:
            self._service.outbox.add(self._transport, _CONTINUE)
        else:
            self._continue_owed = True

    def _take_slices(self, data: bytes) -> None:
        reader = self._reader
        view = memoryview(data)
        at = 0
        while at < len(data) and reader.stage is not STOPPED:
            end = at + reader.slice_bytes()
            reader.feed(view[at:end])
            at = end
            if self._queue and self._is_full():
                self._pause(bytes(view[at:]))
                return

    def _is_full(self) -> bool:
        service = self._service
        return len(self._queue) >= service.pipelined_max or self._queued_bytes >= service.body_bytes_max

    def _pause(self, rest: bytes) -> None:
        self._paused = True
        self._held = rest
        self._transport.pause_reading()

    def _resume(self) -> None:
        if self._queue and self._is_full():
            return
        self._paused = False
        held, self._held = self._held, b""
        if held:
            self._take_slices(held)
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def client(self) -> tuple[str, str]:
        """Who asks: the scheme and the address, without its port."""
        tls = self._transport.get_extra_info("sslcontext") is not None
        peer = self._transport.get_extra_info("peername")
        return "https" if tls else "http", peer[0] if peer else ""

    # The task.

    async def _serve(self) -> None:
        try:
            while True:
                if not self._queue:
                    if self._service.draining and self._reader.stage is BETWEEN:
                        self._finish()
                        return
                    if self._continue_owed:
                        self._continue_owed = False
                        self._service.outbox.add(self._transport, _CONTINUE)
                    waiter = self._waiter = self._loop.create_future()
                    await waiter
                request = self._queue.popleft()
                if self._paused:
                    self._resume()
                if request.refusal is None:
                    await self._answer(request)
                else:
                    self._refuse(request, request.refusal, self._service.now)
                if self._closing:
                    return
                if request.body_bytes:
                    self._queued_bytes -= request.body_bytes
                    self._service.bodies_bytes -= request.body_bytes
                if self._writable is not None:
                    await self._writable
                if not request.keep_alive:
                    self._finish()
                    return
                self._idle_since = self._service.now
                self._idle_limit = self._service.idle_timeout
        except Exception:
            self._service.log.exception("a connection failed; it is closed")
            self._transport.abort()

    async def _answer(self, request: Request) -> None:
        """Calls the actor and writes its reply, or the reason why there is none."""
        route = request.route
        assert route is not None
        service = self._service
        started = time.monotonic()
        self._deadline = deadline = started + route.timeout_s
        try:
            reply = await route.call(request.payload, deadline, request.method in route.repeatable)
            if service.draining:
                self._part(request)
            status, head, body = service.writer.reply(reply, request.method == "HEAD", request.connection)
        except asyncio.CancelledError:
            if not self._expired or self._closing:
                raise
            # The one who cancelled was the backstop in `check`; the connection goes on.
            error = errors.DeadlineExceeded(f"the actor took longer than {route.timeout_s:g} s")
            self._refuse(request, refusal.from_error(error), started)
            return
        except Exception as failure:
            if not isinstance(failure, errors.LatticeError):
                service.log.exception("%s %s failed", request.method, request.target)
            self._refuse(request, refusal.from_error(failure), started)
            return
        finally:
            self._deadline = 0.0
            if self._expired and self.task is not None:
                self._expired = False
                self.task.uncancel()
        if body:
            service.outbox.flush()
            self._transport.write(head)
            self._transport.write(body)
        else:
            service.outbox.add(self._transport, head)
        if service.access.isEnabledFor(logging.INFO):
            self._log(request, status, started)

    def _refuse(self, request: Request, why: refusal.Refusal, started: float) -> None:
        service = self._service
        if service.draining:
            self._part(request)
        service.outbox.add(self._transport, service.writer.refusal(why, request.method == "HEAD", request.connection))
        if service.access.isEnabledFor(logging.INFO):
            self._log(request, why.status, started)

    def _part(self, request: Request) -> None:
        """While draining: the last response says that it is the last."""
        if not self._queue and self._reader.stage in (BETWEEN, STOPPED):
            request.keep_alive = False
            request.connection = _CLOSE

    def _log(self, request: Request, status: int, started: float) -> None:
        peer = self._transport.get_extra_info("peername")
        self._service.access.info(
            '%s "%s %s" %d %.1fms %s',
            peer[0] if peer else "-",
            request.method,
            request.target,
            status,
            (time.monotonic() - started) * 1000,
            request.route.link.target if request.route is not None else "-",
        )

    def _finish(self) -> None:
        """Nothing further will be written. The client may still be sending, and must get to read what was."""
        self._closing = True
        self._since = self._service.now
        self._reader.stop()
        self._held = b""
        self._service.outbox.flush()
        if not self._transport.can_write_eof():
            self._transport.close()  # TLS cannot end one direction; its own shutdown lingers
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._transport.write_eof()

    # What the address calls.

    def drain(self) -> None:
        """Closes the connection if nothing is going on; else the last response will."""
        if self._is_idle():
            self._finish()

    def abort(self) -> None:
        self._transport.abort()

    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._queue and self._reader.stage is BETWEEN

    def check(self, now: float) -> None:
        """Looks at every timeout of this connection; called by the sweep."""
        reader, settings = self._reader, self._service.settings
        if self._closing:
            flushed = not self._transport.get_write_buffer_size()
            if now - self._since > (LINGER_S if flushed else settings.write_timeout):
                self._transport.abort()
        elif self._writable is not None:
            self._check_writing(now)
        elif self._paused:
            reader.since = reader.body_since = now  # the wait is the server's, not the client's
        elif reader.stage is HEAD:
            if now - reader.since > settings.header_timeout:
                reader.refuse(refusal.too_slow("the headers"))
        elif reader.stage is BODY:
            elapsed = now - reader.body_since
            if now - reader.since > settings.body_timeout or (
                elapsed > RATE_GRACE_S and reader.body_bytes < settings.rate_bytes_min * elapsed
            ):
                reader.refuse(refusal.too_slow("the body"))
        elif self._is_idle() and now - self._idle_since > self._idle_limit:
            self._finish()
        if self._deadline and now > self._deadline + BACKSTOP_S and self.task is not None and not self._expired:
            self._expired = True
            self.task.cancel()

    def _check_writing(self, now: float) -> None:
        settings = self._service.settings
        size = self._transport.get_write_buffer_size()
        if size < self._blocked_least:
            self._blocked_least, self._progress_at = size, now
        elapsed = now - self._blocked_since
        taken = self._blocked_total - size
        if now - self._progress_at > settings.write_timeout or (
            elapsed > RATE_GRACE_S and taken < settings.rate_bytes_min * elapsed
        ):
            self._transport.abort()
