"""What a host says of itself: a pulse twice a second, its inventory when that changes, and events."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import msgspec

from lattice import errors, subjects
from lattice.control import messages
from lattice.control.messages import Inventory, Pulse
from lattice.control.peers import Peers
from lattice.control.state import HostSeen
from lattice.tasks import end_all
from lattice.transport.transport import State, Transport

_log = logging.getLogger("lattice.peers")

PULSE_S = 0.5
HEARTBEAT_EVERY_S = 15.0
LEEWAY_S = 0.005
GATHER_S = 0.05
"""Changes of the inventory within this time are told together."""


class Presence:
    """`inventory` tells what runs here, `state` is the digest of the stored state that is known here. `peers` is looked
    over with each pulse."""

    def __init__(
        self,
        transport: Transport,
        lattice: str,
        key: str,
        boot: str,
        inventory: Callable[[], HostSeen],
        state: Callable[[], str] = lambda: "",
    ) -> None:
        self._transport = transport
        self._lattice = lattice
        self._key = key
        self._boot = boot
        self._inventory = inventory
        self._state = state
        self._revision = 0
        self._draining = False
        self._tell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, peers: Peers) -> None:
        self._transport.on_state(self._connection)
        await self.event("host_started", self.document())
        self._tasks = [
            asyncio.create_task(self._pulse(peers), name="pulse"),
            asyncio.create_task(self._tell_inventory(), name="heartbeat"),
        ]
        await self._send_pulse()

    def changed(self) -> None:
        """Something was started, stopped or changed here."""
        self._revision += 1
        self._tell.set()

    async def announce_draining(self) -> None:
        """From now on others call and place nothing here. Told at once, and with every pulse."""
        self._draining = True
        self.changed()
        await self._send_pulse()

    async def stop(self) -> None:
        """Says good-bye: others need not wait for the silence."""
        await end_all(self._tasks)
        await self.event("host_stopped", {"labels": self._inventory().labels, "host_id": self._key})

    @property
    def own(self) -> HostSeen:
        return msgspec.structs.replace(self._inventory(), draining=self._draining)

    def document(self) -> Inventory:
        """What this host answers to `host.get`."""
        return messages.inventory_of(
            self.own, boot=self._boot, revision=self._revision, lattice=self._lattice, state=self._state()
        )

    async def event(self, name: str, data: Any) -> None:
        """Publishes a CloudEvent, if anybody can hear it."""
        try:
            payload = messages.encode_event(name, self._key, data)
            await self._transport.publish(subjects.event(self._lattice, name), payload)
        except errors.PayloadTooLarge as error:
            _log.error("%s could not be told: %s; others do not know what runs here", name, error)
        except errors.CallError as error:
            _log.debug("%s was not told: %s", name, error)

    async def _pulse(self, peers: Peers) -> None:
        loop = asyncio.get_running_loop()
        due, silent_s = loop.time() + PULSE_S, math.inf
        while True:
            # Limits of silence that end before the next pulse are looked at when they end.
            wait_s = due - loop.time()
            if silent_s < wait_s:
                await asyncio.sleep(silent_s + LEEWAY_S)
                silent_s = peers.sweep()
                continue
            await asyncio.sleep(wait_s)
            late_s = loop.time() - due
            if late_s > PULSE_S:
                due += late_s
                peers.excuse(late_s)
            due += PULSE_S
            await self._send_pulse()
            silent_s = peers.sweep()

    async def _send_pulse(self) -> None:
        pulse = Pulse(self._key, self._boot, self._revision, self._draining, self._state())
        try:
            await self._transport.publish(subjects.pulse(self._lattice), messages.encode_pulse(pulse))
        except errors.CallError:
            return  # not connected, which the transport tells of

    async def _tell_inventory(self) -> None:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_EVERY_S):
                    await self._tell.wait()
                await asyncio.sleep(GATHER_S)
            except TimeoutError:
                pass
            self._tell.clear()
            await self.event("host_heartbeat", self.document())

    def _connection(self, state: State) -> None:
        if state == "connected":
            self._tell.set()
