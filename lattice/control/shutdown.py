"""The word by which a provider is told to end, as hosts of the actor generation send it. There it could be sent by
anybody; here it has to be signed, in every lattice."""

from __future__ import annotations

import asyncio
import logging

from lattice import errors, subjects
from lattice.control import messages
from lattice.control.commands import Commands
from lattice.control.gate import Gate
from lattice.control.messages import Reply, StopProvider
from lattice.tasks import end_all
from lattice.transport.transport import Delivery, Subscription, Transport, answer

_log = logging.getLogger("lattice.control")

REQUESTS_MAX = 100
"""Requests at once; more get no answer. Strangers may send them."""


class ProviderShutdown:
    """One host's end. Every host hears each of them, and the one that runs the provider answers."""

    def __init__(self, transport: Transport, lattice: str, commands: Commands, gate: Gate) -> None:
        self._transport = transport
        self._lattice = lattice
        self._commands = commands
        self._gate = gate
        self._subscription: Subscription | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises `errors.Unreachable`."""
        subject = subjects.rpc_shutdown(self._lattice, "*", "*")
        self._subscription = await self._transport.subscribe(subject, self._received)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()
            self._subscription = None
        await end_all(self._tasks)

    def _received(self, delivery: Delivery) -> None:
        key = subjects.shutdown_of(self._lattice, delivery.subject)
        if not self._commands.runs_provider(key) or len(self._tasks) >= REQUESTS_MAX:
            return
        task = asyncio.create_task(self._serve(delivery, key), name="shutdown")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, delivery: Delivery, key: str) -> None:
        try:
            signer = await self._gate.require(delivery, always=True)
            self._commands.stop_provider(StopProvider(provider_id=key))
            _log.info("%s is ended, as %s says", key, signer)
            reply = Reply(success=True, message=f"{key} is being stopped; an application that wants it starts it again")
        except errors.LatticeError as error:
            reply = messages.failure(error)
        await answer(self._transport, delivery, messages.encode_reply(reply), _refusal)


def _refusal(error: errors.CallError) -> bytes:
    return messages.encode_reply(messages.failure(error))
