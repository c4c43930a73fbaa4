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
from lattice_http_server.bodies import Exchange, ResponseBody
from lattice_http_server.reader import BETWEEN, BODY, HEAD, HEAD_SLICE_BYTES, STOPPED, RequestReader
from lattice_http_server.request import Request
from lattice_http_server.response import CLOSE
from lattice_http_server.service import Service
from lattice_http_server.writing import RATE_GRACE_S, Writing, reset

LINGER_S = 2.0
"""How long a client that is still sending gets to read why it was refused. Closing at once would reset the connection
and could take the response with it."""
REFUSED_MAX = 100
"""Connections over the limit that are told so at a time; more are cut without a word."""
BACKSTOP_S = 0.5
"""The host ends a call at its deadline; when it has not by this much later, the server does."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """Invariant: one response for each request, in order; nothing is read that has nowhere to wait."""

    __slots__ = (
        *("_service", "_loop", "_transport", "_reader", "_queue", "_queued_bytes", "_waiter", "task", "_held"),
        *("_paused", "_continue_owed", "_deadline", "_closing", "_idle_since", "_idle_limit", "_since"),
        *("_writing", "_current", "response", "_interrupted"),
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
        self._interrupted = False
        """The call was cancelled from here, and the connection goes on."""
        self._closing = False
        self._since = self._idle_since = service.now
        self._idle_limit = service.settings.header_timeout
        self._writing = Writing()
        self._current: Request | None = None
        """The request that is being answered."""
        self.response: ResponseBody | None = None

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
                service.writer.refusal(refusal.connections_full(service.connections_max), False, CLOSE)
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
                if (self._queue or self._reader.body is not None) and self._is_full():
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
        for request in (*self._queue, self._current):
            if request is not None and request.body is not None:
                request.body.close()
        self._queue.clear()
        self._held = b""
        self._reader.close()

    def pause_writing(self) -> None:
        self._writing.pause(self._transport.get_write_buffer_size(), self._service.now)

    def resume_writing(self) -> None:
        self._writing.resume()
        if self.response is not None:
            self.response.unblocked()

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

    def cut_off(self, request: Request) -> None:
        """Its body will not be whole, and it has a refusal for an answer if none has begun."""
        if request is not self._current:
            if request not in self._queue:
                self._finish()  # it was answered before
        elif self.response is not None:
            self.response.fail(errors.Cancelled("the request broke off"))
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        if self.task is not None and not self._interrupted:
            self._interrupted = True
            self.task.cancel()

    # What bodies in pieces call.

    def body_read(self) -> None:
        """There is room again for a body. Reading goes on in the loop's next turn: whoever read is still at it."""
        if self._paused:
            self._loop.call_soon(self._resume)

    def send_continue(self) -> None:
        self._service.outbox.flush()
        self.send(_CONTINUE)

    def send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    @property
    def is_blocked(self) -> bool:
        """The client does not take what was sent."""
        return self._writing.blocked is not None

    def break_off(self, error: errors.CallError) -> None:
        """Ends the connection so that the client sees that something is missing, however the end would be told."""
        self._closing = True
        if not self._transport.is_closing():
            self._service.log.warning("a response breaks off: %s", error.message)
            reset(self._transport)

    def _take_slices(self, data: bytes) -> None:
        reader = self._reader
        view = memoryview(data)
        at = 0
        while at < len(data) and reader.stage is not STOPPED:
            end = at + reader.slice_bytes()
            reader.feed(view[at:end])
            at = end
            if (self._queue or reader.body is not None) and self._is_full():
                self._pause(bytes(view[at:]))
                return

    def _is_full(self) -> bool:
        service, body = self._service, self._reader.body
        if body is not None and body.is_full:
            return True
        waiting = len(self._queue)
        return waiting > 0 and (waiting >= service.pipelined_max or self._queued_bytes >= service.body_bytes_max)

    def _pause(self, rest: bytes) -> None:
        self._paused = True
        self._held = rest
        self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._paused or self._is_full():
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
                    self._current = request
                    await self._answer(request)
                    self._current = self.response = None
                else:
                    if request.body is not None:
                        request.body.close()
                    self._refuse(request, request.refusal, self._service.now)
                if self._closing:
                    return
                if request.body_bytes:
                    self._queued_bytes -= request.body_bytes
                    self._service.bodies_bytes -= request.body_bytes
                if self._writing.blocked is not None:
                    await self._writing.blocked
                if not request.keep_alive:
                    self._finish()
                    return
                self._idle_since = self._service.now
                self._idle_limit = self._service.idle_timeout
        except Exception:
            self._service.log.exception("a connection failed; it is closed")
            self._transport.abort()
        finally:
            # Both lead back here through records that are not traced, in a circle that nobody would collect.
            self.task = self._current = self.response = None

    async def _answer(self, request: Request) -> None:
        """Calls the actor and writes its reply, or the reason why there is none."""
        route = request.route
        assert route is not None
        service = self._service
        started = time.monotonic()
        self._deadline = deadline = started + route.timeout_s
        exchange = Exchange(self, service, request) if request.body is not None or route.in_pieces() else None
        try:
            reply = await route.call(request.payload, deadline, request.method in route.repeatable, exchange)
            if request.body is not None:
                request.body.leave(request, self._reader.body_bytes)
            if self.response is not None:
                self._end_response(request, self.response, started)
                return
            if service.draining:
                self.part(request)
            status, head, body = service.writer.reply(reply, request.method == "HEAD", request.connection)
        except asyncio.CancelledError:
            if not self._interrupted or self._closing:
                raise
            error = errors.DeadlineExceeded(f"the actor took longer than {route.timeout_s:g} s")
            self._failed(request, error, request.refusal, started)
            return
        except Exception as failure:
            if not isinstance(failure, errors.LatticeError):
                service.log.exception("%s %s failed", request.method, request.target)
            self._failed(request, failure, None, started)
            return
        finally:
            self._deadline = 0.0
            if self._interrupted and self.task is not None:
                self._interrupted = False
                self.task.uncancel()
        if body:
            service.outbox.flush()
            self._transport.write(head)
            self._transport.write(body)
        else:
            service.outbox.add(self._transport, head)
        if service.access.isEnabledFor(logging.INFO):
            service.log_access(self._transport, request, status, started)

    def _end_response(self, request: Request, response: ResponseBody, started: float) -> None:
        """Whoever was called is done with a response that had begun."""
        if not response.ended:
            response.fail(errors.ProviderError("the actor returned before its response was whole"))
        if self._service.access.isEnabledFor(logging.INFO):
            self._service.log_access(self._transport, request, response.status, started)

    def _failed(self, request: Request, failure: BaseException, why: refusal.Refusal | None, started: float) -> None:
        """Refuses a request whose call failed; `why` None: for the reason that the failure gives. A response that had
        begun breaks off, unless it was whole before."""
        if request.body is not None:
            request.body.leave(request, self._reader.body_bytes)
        if self.response is None:
            self._refuse(request, why or refusal.from_error(failure), started)
            return
        if isinstance(failure, errors.CallError):
            self.response.fail(failure)
        self._end_response(request, self.response, started)

    def _refuse(self, request: Request, why: refusal.Refusal, started: float) -> None:
        service = self._service
        if service.draining:
            self.part(request)
        service.outbox.add(self._transport, service.writer.refusal(why, request.method == "HEAD", request.connection))
        if service.access.isEnabledFor(logging.INFO):
            service.log_access(self._transport, request, why.status, started)

    def part(self, request: Request) -> None:
        """While draining: the last response says that it is the last."""
        arriving = request.body is not None and request.body is self._reader.body
        if not self._queue and (arriving or self._reader.stage in (BETWEEN, STOPPED)):
            request.keep_alive = False
            request.connection = CLOSE

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
        elif self._writing.blocked is not None:
            if self._writing.is_too_slow(self._transport.get_write_buffer_size(), now, settings):
                self._transport.abort()
        elif self._paused or (reader.body is not None and reader.body.continue_owed):
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
        if self._deadline and now > self._deadline + BACKSTOP_S:
            self._interrupt()
