"""A host for tests: real guests on the real engine, capabilities in memory, virtual time, and a record of it all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from lattice import errors, wire
from lattice.contracts import blobstore, cron, httpserver, keyvalue, messaging, sqldb
from lattice.contracts.message import Operation
from lattice.invocation import EntityId, Invocation, new_id
from lattice.testing.kit import views, web
from lattice.testing.kit.clock import Clock
from lattice.testing.kit.expectations import Expectation, require_met
from lattice.testing.kit.faults import Faults
from lattice.testing.kit.opening import Opened, Providers, open_place
from lattice.testing.kit.recorder import Recorder
from lattice.testing.kit.shown import OPERATIONS
from lattice.testing.kit.stage import OPERATOR, LogLine, Stage
from lattice.testing.kit.transcript import Transcript
from lattice.testing.kit.watching import Forgotten, awaited

CALL_S_MAX = 60.0
"""Real time that a call of a test may take. The limits of actors end what runs for too long long before."""
REQUEST_MS = 5000
"""How long a test waits for the reply to a message, in real time."""
SHOWN_MAX = 40
"""Calls and log lines that are told of when a test fails."""

StandIn: TypeAlias = Callable[[str, bytes], bytes | Awaitable[bytes]]
"""Plays an actor: gets an operation and its payload, returns the reply."""


class TestHost:
    """What `host` gives. Everything that a call caused has been done when the call returns."""

    __test__ = False  # pytest collects what begins with Test

    def __init__(self, stage: Stage, recorder: Recorder, opened: Opened, world: web.Web) -> None:
        self._stage = stage
        self._recorder = recorder
        self._opened = opened
        self.web = world
        """The servers that actors ask."""
        self.clock: Clock = recorder.clock
        self.faults: Faults = recorder.faults
        self.forgotten = Forgotten()
        """What was not awaited, for `host` to tell."""

    # What a test does.

    @awaited
    async def http(
        self,
        method: str,
        target: str,
        *,
        json: Any = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> web.Reply:
        """One request through the HTTP server's own code, without a socket. `target` is a path with its query, or a URL
        whose host and port choose among several addresses. Failures are replies, as clients get them."""
        server: Any = self._stage.provider(httpserver.CONTRACT.id)
        data = web.request_bytes(method, target, headers, body, json)
        address = target.partition("://")[2].partition("/")[0]
        reply = await server.exchange(data, address if address in server.services else "")
        await self._recorder.settle()
        return web.reply(method, reply)

    @awaited
    async def call(self, operation: str, payload: Any = b"", *, actor: str = "") -> Any:
        """Calls an operation of an actor. For an operation of a contract `payload` is its message, or the fields of it,
        and so is what is returned; for others both are bytes. Raises `errors.CallError`."""
        known = OPERATIONS.get(operation)
        data = _payload(known, operation, payload)
        reply = await self._recorder(self._invocation(operation, data, actor))
        await self._recorder.settle()
        return reply if known is None or isinstance(payload, bytes) else wire.reply_decoder(known)(reply)

    @awaited
    async def publish(self, subject: str, body: Any = b"", *, reply_to: str | None = None) -> None:
        """Sends a message; returns when every actor that gets it is done. A dict or list goes as JSON."""
        provider: Any = self._stage.provider(messaging.CONTRACT.id)
        await provider.publish(None, messaging.PubMessage(subject=subject, reply_to=reply_to, body=_body(body)))
        await self._recorder.settle()

    @awaited
    async def request(self, subject: str, body: Any = b"", *, timeout_ms: int = REQUEST_MS) -> bytes:
        """The first reply to a message. Raises `errors.TargetUnknown` when nobody gets it, `errors.DeadlineExceeded`
        when nobody answers; that wait is real."""
        provider: Any = self._stage.provider(messaging.CONTRACT.id)
        message = messaging.RequestMessage(subject=subject, body=_body(body), timeout_ms=timeout_ms)
        reply: messaging.ReplyMessage = await provider.request(None, message)
        await self._recorder.settle()
        return reply.body

    @awaited
    async def tick(self, timer: str = "default", *, actor: str = "", missed: int = 0) -> None:
        """One tick of a timer now, whatever its times are. Raises `errors.CallError` of the actor's failure."""
        now_ms = round(self.clock.now * 1000)
        message = cron.Tick(timer=timer, scheduled_ms=now_ms, now_ms=now_ms, missed=missed)
        await self.call(cron.HANDLE_TICK.name, message, actor=actor)

    def _invocation(self, operation: str, payload: bytes, actor: str) -> Invocation:
        target = self._stage.key(actor or self._own())
        return Invocation(
            origin=EntityId(OPERATOR),
            contract="",
            operation=operation,
            payload=payload,
            id=new_id(),
            deadline=time.monotonic() + CALL_S_MAX,
            target=EntityId(target),
        )

    def _own(self) -> str:
        if not self._opened.own:
            raise errors.ConfigError("the application has several actors", remedy="say which one: actor=NAME")
        return self._opened.own

    # What a test plays.

    def stand_in(self, name: str, answer: StandIn | Mapping[str, bytes]) -> None:
        """Plays another actor, which actors call by this name: a function of (operation, payload), or the reply to each
        operation. Raises `errors.ConfigError` for a name that is taken."""

        async def handle(invocation: Invocation) -> bytes:
            if isinstance(answer, Mapping):
                if invocation.operation not in answer:
                    raise errors.OperationUnknown(f"the stand-in {name} has no operation {invocation.operation!r}")
                return answer[invocation.operation]
            found = answer(invocation.operation, invocation.payload)
            return found if isinstance(found, bytes) else await found

        self._stage.stand_in(name, handle)

    @awaited
    async def on_message(self, subjects: str, answer: Callable[[str, bytes], bytes | None]) -> None:
        """Plays somebody who gets messages on `subjects` (comma separated, with * and >): what the function of
        (subject, body) returns is sent to whoever asked."""
        provider: Any = self._stage.provider(messaging.CONTRACT.id)
        read = wire.request_decoder(messaging.HANDLE_MESSAGE)

        async def handle(invocation: Invocation) -> bytes:
            message: messaging.SubMessage = read(invocation.payload)
            reply = answer(message.subject, message.body)
            if reply is not None and message.reply_to:
                await provider.publish(None, messaging.PubMessage(subject=message.reply_to, body=reply))
            return b""

        name = f"subscriber of {subjects}"
        self._stage.stand_in(name, handle)
        await self._stage.subscribe(name, subjects)

    def expect(self, contract: str, operation: str, **fields: Any) -> Expectation:
        """A call of an actor to a contract, or to another actor by the name that it uses, that has to come by the end
        of the test: once, if nothing else is said. A field is a value, or a function that looks at it."""
        expectation = Expectation(contract, operation, fields)
        self._recorder.expectations.append(expectation)
        return expectation

    # What a test looks at.

    @property
    def transcript(self) -> Transcript:
        """Every call so far."""
        return self._recorder.transcript

    @property
    def logs(self) -> list[LogLine]:
        """What actors wrote and printed, and what is told of them."""
        return self._stage.lines

    @property
    def published(self) -> list[views.Published]:
        """The messages that actors published, in order."""
        return views.published(self._recorder.published)

    @property
    def keyvalue(self) -> views.KeyValueView:
        """The one bucket of the application; `bucket` where there are several."""
        provider: Any = self._stage.provider(keyvalue.CONTRACT.id)
        return self.bucket(views.only(provider.buckets))

    def bucket(self, name: str) -> views.KeyValueView:
        provider: Any = self._stage.provider(keyvalue.CONTRACT.id)
        return views.KeyValueView(provider.bucket(name))

    @property
    def blobs(self) -> views.BlobsView:
        """Objects by (container, name)."""
        provider: Any = self._stage.provider(blobstore.CONTRACT.id)
        return views.BlobsView(provider.store)

    @property
    def sql(self) -> views.SqlView:
        """The database that statements mean which name none."""
        provider = self._stage.provider(sqldb.CONTRACT.id)
        return views.SqlView(provider.context.data / "default.db")

    def report(self) -> str:
        """The last calls and log lines, for people to see what happened."""
        parts = []
        for title, found in (("calls", list(self.transcript)), ("log", self.logs)):
            if found:
                left = f" (the last {SHOWN_MAX} of {len(found)})" if len(found) > SHOWN_MAX else ""
                parts += [f"{title} of {self._opened.place}{left}:", *(f"  {one}" for one in found[-SHOWN_MAX:])]
        return "\n".join(parts)

    def require_expected(self) -> None:
        """What the end of the test does: raises `NotExpected` for what was expected and did not come."""
        require_met(self._recorder.expectations, self.transcript.calls)


@asynccontextmanager
async def host(
    place: Path | str,
    *,
    seed: int | str = 0,
    start_s: float | None = None,
    subscriptions: str = "",
    record: bool = True,
) -> AsyncIterator[TestHost]:
    """A host that runs `place`: a module, a project's folder (built first when it has changed), or a manifest.

    Capabilities are in memory and linked as the manifest says, or all of them where there is none; then `subscriptions`
    are the subjects (comma separated) whose messages the actor gets. `seed` decides what random bytes and numbers are,
    `start_s` what time it is at the start (seconds since 1970). At the end expectations are checked; what fails is told
    with the last calls and log lines. Without `record` there is no transcript.

    Raises `errors.LatticeError` for what cannot be started.
    """
    clock = Clock() if start_s is None else Clock(start_s)
    recorder = Recorder(clock, Faults(clock))
    recorder.records = record
    world = web.Web()
    providers = Providers(clock, str(seed), world)
    opened = await asyncio.to_thread(open_place, Path(place), providers, subscriptions)
    stage = Stage(clock, recorder, providers, str(seed))
    try:
        await stage.raise_(opened)
        under_test = TestHost(stage, recorder, opened, world)
        await recorder.settle()
        try:
            yield under_test
            if forgotten := under_test.forgotten.take():
                raise AssertionError(forgotten)
            await recorder.settle()
            under_test.require_expected()
        except Exception as error:
            for note in (under_test.forgotten.take(), under_test.report()):
                if note:
                    error.add_note(note)
            raise
    finally:
        await stage.close()


def _payload(known: Operation | None, operation: str, given: Any) -> bytes:
    """A message as bytes. Raises `errors.ConfigError`."""
    if isinstance(given, bytes):
        return given
    if known is None:
        if isinstance(given, str):
            return given.encode()
        raise errors.ConfigError(
            f"{operation} is an operation of no known contract, so its payload is bytes or text, not"
            f" {type(given).__name__}"
        )
    type_ = known.request
    try:
        if isinstance(given, dict) and isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            given = type_(**given)
        data = wire.encoder(type_)(given)
        wire.request_decoder(known)(data)
    except (TypeError, errors.MalformedMessage) as error:
        raise errors.ConfigError(f"{given!r} is no message of {operation}: {error}") from error
    return data


def _body(given: Any) -> bytes:
    if isinstance(given, bytes):
        return given
    return given.encode() if isinstance(given, str) else msgspec.json.encode(given)
