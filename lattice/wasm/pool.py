"""The instances of one revision of an actor: bounded, waited for in order, never shared by two calls.

A call takes an idle instance, or makes one while there are fewer than the limit, or waits in a queue with a limit. An
instance that failed, or whose call was cancelled, is thrown away. With `isolation: call` every call gets a new one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from lattice import errors
from lattice.config import Limits
from lattice.invocation import Handler, Invocation
from lattice.wasm.guest import Guest, GuestInstance


class Pool:
    """Serves calls with instances of one guest. `drain` and then `close` end it."""

    def __init__(self, guest: Guest, key: str, outbound: Handler, limits: Limits) -> None:
        self.limits = limits
        self.live = 0
        self.active = 0
        self._guest = guest
        self._key = key
        self._outbound = outbound
        self._reuse = limits.isolation == "instance"
        self._idle: list[GuestInstance] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._drained: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def prove(self, deadline: float) -> None:
        """Makes one instance, so that code which cannot even start is found now. Raises what that raises."""
        self.live += 1
        instance = await self._instantiate(deadline)
        if self._reuse:
            self._idle.append(instance)
        else:
            self._discard(instance)

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        """Answers one call. Raises `errors.Overloaded` when the queue is full, and what the guest raises."""
        self.active += 1
        instance: GuestInstance | None = None
        try:
            if self._idle:
                instance = self._idle.pop()
            else:
                if self.live >= self.limits.instances_max:
                    await self._wait_for_room()
                if self._idle:
                    instance = self._idle.pop()
                else:
                    self.live += 1
                    instance = await self._instantiate(deadline)
            return await instance.serve(invocation, deadline)
        finally:
            self.active -= 1
            if instance is not None:
                if self._reuse and instance.usable:
                    self._idle.append(instance)
                else:
                    self._discard(instance)
            if self._waiting:
                self._let_one_in()
            if self._drained is not None and not self.active and not self._drained.done():
                self._drained.set_result(None)

    async def _instantiate(self, deadline: float) -> GuestInstance:
        """Makes an instance whose place in `live` is already taken; gives the place back when that fails."""
        try:
            return await self._guest.instantiate(self._key, self._outbound, self.limits.memory_bytes_max, deadline)
        except errors.InstancesExhausted as error:
            self.live -= 1
            raise errors.Overloaded(error.message, remedy=error.remedy) from error
        except BaseException:
            self.live -= 1
            raise

    async def _wait_for_room(self) -> None:
        if len(self._waiting) >= self.limits.queue_max:
            raise errors.Overloaded(
                f"{self._key} has {self.limits.instances_max} calls running and {self.limits.queue_max} waiting",
                remedy="raise limits.instances or limits.queue of the actor, or run more copies",
            )
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            # Let in and cancelled in the same turn: the place goes to the next.
            if place.done() and not place.cancelled():
                self._let_one_in()
            else:
                self._waiting.remove(place)
            raise

    def _let_one_in(self) -> None:
        while self._waiting and (self._idle or self.live < self.limits.instances_max):
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return

    def _discard(self, instance: GuestInstance) -> None:
        instance.close()
        self.live -= 1

    async def drain(self, deadline: float) -> bool:
        """Waits until no call runs or waits; False when `deadline` came first."""
        if self.active:
            self._drained = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await self._drained
            except TimeoutError:
                return False
        return True

    def close(self) -> None:
        """Frees instances and code. No call may be running."""
        for instance in self._idle:
            self._discard(instance)
        self._idle.clear()
        if not self.active:
            self._guest.close()
