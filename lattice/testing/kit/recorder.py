"""What every call of a host under test goes through: written down, expected, made to fail, counted in virtual time.

Calls that providers begin by themselves (messages, ticks, pieces of objects) take turns, in the order in which they
came, and begin when no other call runs. So the same test makes the same calls in the same order on every run.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from lattice import errors
from lattice.contracts import blobstore, cron, messaging
from lattice.invocation import Handler, Invocation
from lattice.pipeline import made_whole
from lattice.router import Route
from lattice.testing.kit import shown
from lattice.testing.kit.clock import Clock, End
from lattice.testing.kit.expectations import Expectation
from lattice.testing.kit.faults import Faults
from lattice.testing.kit.transcript import Call, Transcript

QUIET_TURNS = 25
"""Of the loop, in which nothing is called, before nothing is taken to be left to do: what providers do between taking a
message and calling its actor takes three."""
SETTLE_S_MAX = 30.0
"""Real time for what a test caused, such as messages, to be done. A guest that computes without end is ended before."""
_TURNS = frozenset({messaging.CONTRACT.id, cron.CONTRACT.id, blobstore.CONTRACT.id})
_PUBLISHES = "Messaging.Publish"
_WAITS_FOR_OTHERS = "Messaging.Request"


class Recorder:
    """A `Handler` in front of the pipeline."""

    def __init__(self, clock: Clock, faults: Faults) -> None:
        self.clock = clock
        self.faults = faults
        self.transcript = Transcript()
        self.expectations: list[Expectation] = []
        self.records = True
        self.published: list[tuple[str, bytes]] = []
        """(who, message) of each message that an actor sent."""
        self.names: dict[str, str] = {}
        """What people call those who have these keys."""
        self.time_s_max: Callable[[str], float | None] = lambda _key: None
        """The limit of an actor's calls; None for what is no actor."""
        self._told = shown.Names()
        self._inner: Handler | None = None
        self._look: Callable[[Invocation], Awaitable[Route]] | None = None
        self._running = 0
        self._waiting_for_others = 0
        self._background = 0
        """Calls that run and that providers began."""
        self._turns: deque[asyncio.Future[None]] = deque()
        self._begun = 0
        self._inside: ContextVar[bool] = ContextVar("inside", default=False)

    def join(self, inner: Handler, look: Callable[[Invocation], Awaitable[Route]]) -> None:
        """`inner` makes the calls. `look` says where one goes, and raises what refuses it."""
        self._inner, self._look = inner, look

    async def __call__(self, invocation: Invocation) -> bytes:
        if invocation.bodies is not None:
            invocation = await made_whole(invocation)  # a transcript shows whole messages
        is_root = invocation.depth == 0
        takes_turns = is_root and invocation.origin.contract in _TURNS
        if is_root:
            await self._begin(takes_turns)
        self._background += takes_turns
        waits = not is_root and invocation.operation == _WAITS_FOR_OTHERS
        if waits:
            self._waiting_for_others += 1
            self._next()
        self._begun += 1
        inside = self._inside.set(True)
        # What a provider began in the middle of a call is no part of it.
        ends = self.clock.end.set(None) if is_root else None
        call = self._noted(invocation)
        try:
            reply = await self._answer(invocation, call)
            call.outcome, call.answer = "=", shown.reply(invocation.operation, reply, self._told)
            return reply
        except errors.CallError as error:
            call.outcome, call.answer = "!", f"{error.code}: {error.message}"
            raise
        except asyncio.CancelledError:
            call.outcome, call.answer = "!", "ended with the call that made it"
            raise
        finally:
            self._inside.reset(inside)
            if ends is not None:
                self.clock.end.reset(ends)
            if waits:
                self._waiting_for_others -= 1
            self._background -= takes_turns
            if is_root:
                self._running -= 1
                self._next()

    async def _answer(self, invocation: Invocation, call: Call) -> bytes:
        assert self._inner is not None
        assert self._look is not None
        route = await self._look(invocation)
        if invocation.bodies is not None:
            # A body is of use to a transcript and to what a test answers when all of it is there.
            invocation = await made_whole(invocation)
            call.request = shown.request(invocation.operation, invocation.payload, self._told)
        if not route.target.contract:
            call.target = self._name(route.target.key)
        reset = self._limit(route)
        try:
            contract, operation = invocation.contract, invocation.operation
            faults = self.faults.striking(contract, operation) if invocation.origin.contract == "" else []
            await self.faults.before(faults)
            for expectation in self.expectations:
                if expectation.takes(contract, operation, invocation.payload):
                    reply = expectation.answer()
                    break
            else:
                reply = None
            if reply is None:
                reply = await self._inner(invocation)
            if operation == _PUBLISHES and not invocation.origin.contract:
                self.published.append((call.origin, invocation.payload))
            await self.faults.after(faults)
            return reply
        finally:
            reset()

    def _limit(self, route: Route) -> Callable[[], None]:
        """From here on, and until what is returned is called, the limit of the target counts, if it is an actor."""
        limit_s = self.time_s_max(route.target.key)
        current = self.clock.end.get()
        if limit_s is None:
            return _nothing
        at_s = self.clock.elapsed_s + limit_s
        if current is not None and current.at_s <= at_s:
            return _nothing
        token = self.clock.end.set(End(at_s, route.target.key))
        return lambda: self.clock.end.reset(token)

    def _noted(self, invocation: Invocation) -> Call:
        target = invocation.contract
        if invocation.target is not None:
            target = self._name(invocation.target.key)
        elif invocation.link_name != "default":
            target = f"{target}@{invocation.link_name}"
        call = Call(
            at_s=round(self.clock.elapsed_s, 3),
            depth=invocation.depth,
            origin=self._name(invocation.origin.key),
            target=target,
            operation=invocation.operation,
            request=shown.request(invocation.operation, invocation.payload, self._told),
        )
        if self.records:
            self.transcript.add(call)
        return call

    def _name(self, key: str) -> str:
        return self.names.get(key, key)

    # Turns.

    async def _begin(self, takes_turns: bool) -> None:
        """Counts a call that no other call made; one that takes turns waits for its own."""
        if takes_turns and (self._turns or not self._is_free):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._turns.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._turns:
                    self._turns.remove(turn)
                else:
                    self._running -= 1
                    self._next()
                raise
        else:
            self._running += 1

    @property
    def _is_free(self) -> bool:
        return self._running <= self._waiting_for_others

    def _next(self) -> None:
        """The next one's turn, if it is free."""
        while self._turns and self._is_free:
            turn = self._turns.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)

    async def settle(self) -> None:
        """Returns when what was caused has been done: nothing runs but what the test itself still waits for. Within a
        call, as in a stand-in, it returns at once: what takes turns comes after that call.

        Raises `errors.DeadlineExceeded`.
        """
        if self._inside.get():
            return
        quiet, began, turns = 0, time.monotonic(), 0
        while quiet < QUIET_TURNS:
            before = self._begun
            await asyncio.sleep(0 if turns < 1000 else 0.001)
            turns += 1
            quiet = quiet + 1 if before == self._begun and not self._turns and not self._background else 0
            if time.monotonic() - began > SETTLE_S_MAX:
                running = [str(call) for call in self.transcript if call.outcome == "?"]
                raise errors.DeadlineExceeded(
                    f"what the test caused is not done after {SETTLE_S_MAX:g} s: {'; '.join(running[:5])}"
                )


def _nothing() -> None:
    """There is no limit to take back."""
