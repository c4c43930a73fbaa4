"""The instances of one revision of an actor: bounded, waited for in order, never shared by two calls.

A call takes an idle instance, or makes one while there are fewer than the limit, or waits in a queue with a limit. An
instance that failed, or whose call was cancelled, is thrown away. With `isolation: call` every call gets a new one.
Where the guest says so, few wait idle, and not for long.
"""

from __future__ import annotations

import asyncio
from collections import deque

from lattice import errors
from lattice.config import Limits
from lattice.invocation import Invocation
from lattice.wasm.guest import Guest, GuestInstance, Resting


class Pool:
    """Serves calls with instances of one guest. `drain` and then `close` end it."""

    def __init__(self, guest: Guest, key: str, limits: Limits) -> None:
        self.limits = limits
        self.live = 0
        self.active = 0
        self._guest = guest
        self._key = key
        self._reuse = limits.isolation == "instance"
        self._idle: list[GuestInstance] = []
        self._resting = guest.resting
        self._since: list[float] = []
        """Since when each idle instance waits, by the loop's clock, where that is bounded. They are taken from the end,
        so the first has waited longest; what lies past those that are idle is old."""
        self._sweep: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Future[GuestInstance | None]] = deque()
        self._at_rest = asyncio.Event()

    def in_pieces(self, operation: str) -> bool:
        """Whether the guest takes the bodies of this operation in pieces."""
        return operation in self._guest.in_pieces

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def prove(self, deadline: float) -> None:
        """Makes one instance, so that code which cannot even start is found now. Raises what that raises."""
        self.live += 1
        instance: GuestInstance | None = None
        try:
            instance = await self._instantiate(deadline)
        finally:
            self._give_back(instance)

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        """Answers one call. Raises `errors.Overloaded` when the queue is full, and what the guest raises."""
        self.active += 1
        try:
            instance: GuestInstance | None = None
            if self._idle:
                instance = self._idle.pop()
            elif self.live < self.limits.instances_max:
                self.live += 1
            else:
                instance = await self._wait()
            # From here on one place among the live instances is this call's, with an instance in it or without.
            try:
                if instance is None:
                    instance = await self._instantiate(deadline)
                return await instance.serve(invocation, deadline)
            finally:
                self._give_back(instance)
        finally:
            self.active -= 1
            if not self.active:
                self._at_rest.set()

    async def _instantiate(self, deadline: float) -> GuestInstance:
        try:
            return await self._guest.instantiate(deadline)
        except errors.InstancesExhausted as error:
            raise errors.Overloaded(error.message, remedy=error.remedy) from error

    async def _wait(self) -> GuestInstance | None:
        """A place among the live instances, given back by another call: with its instance, or empty."""
        if len(self._waiting) >= self.limits.queue_max:
            raise errors.Overloaded(
                f"{self._key} has {self.limits.instances_max} calls running and {self.limits.queue_max} waiting",
                remedy="raise limits.instances or limits.queue of the actor, or run more copies",
            )
        place: asyncio.Future[GuestInstance | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._waiting.remove(place)
            else:  # given a place and cancelled in the same turn
                self._give_back(place.result())
            raise

    def _give_back(self, instance: GuestInstance | None) -> None:
        """Ends a hold on a place: the longest waiter gets it; else its instance goes idle, or the place is free."""
        if instance is not None and not (self._reuse and instance.usable):
            instance.close()
            instance = None
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(instance)
                return
        if instance is not None:
            self._idle.append(instance)
            if self._resting is not None:
                self._rest(self._resting)
        else:
            self.live -= 1

    def _rest(self, resting: Resting) -> None:
        """An instance began to wait: it is the last of the idle ones."""
        loop = asyncio.get_running_loop()
        del self._since[len(self._idle) - 1 :]
        self._since.append(loop.time())
        if len(self._idle) > resting.instances_max:
            self._drop(1)
        if self._sweep is None:
            self._sweep = loop.call_later(resting.s_max, self._drop_those_due, resting)

    def _drop_those_due(self, resting: Resting) -> None:
        loop = asyncio.get_running_loop()
        since = self._since[: len(self._idle)]
        due = loop.time() - resting.s_max
        count = sum(begun <= due for begun in since)
        self._drop(count)
        waiting = since[count:]
        self._sweep = None
        if waiting:
            self._sweep = loop.call_at(waiting[0] + resting.s_max, self._drop_those_due, resting)

    def _drop(self, count: int) -> None:
        """Closes those that have waited longest."""
        for instance in self._idle[:count]:
            instance.close()
        del self._idle[:count], self._since[:count]
        self.live -= count

    async def drain(self, deadline: float) -> bool:
        """Waits until no call runs or waits; False when `deadline` came first."""
        try:
            async with asyncio.timeout_at(deadline):
                while self.active:
                    self._at_rest.clear()
                    await self._at_rest.wait()
        except TimeoutError:
            return not self.active
        return True

    def close(self) -> None:
        """Frees instances and code. No call may be running."""
        assert not self.active, "a pool is closed after its calls"
        self._drop(len(self._idle))
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self._guest.close()
