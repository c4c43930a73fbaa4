"""The test kit: a provider on its own, with the host played by the test."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lattice import errors, wire
from lattice.contracts.message import Operation
from lattice.invocation import EntityId, Handler, Invocation, new_id
from lattice.links import Link
from lattice.provider import Context, Provider, validated

ActorStandIn = Callable[[Link, str, Any], Awaitable[Any]]
"""Plays the actors that a provider calls: gets (link, operation name, message), returns the reply message."""


class ProviderRig:
    """One started provider; calls go through the codec, as a guest's do.

    `failures` holds what the provider reported as its own crash.
    """

    def __init__(self, provider: Provider[Any, Any]) -> None:
        self.provider = provider
        self.failures: list[BaseException] = []
        self.links: dict[tuple[str, str], Link] = {}
        """Those of the test, by (actor, link name)."""

    async def attach(self, actor: str = "actor", name: str = "default", **config: str) -> Link:
        link = Link(actor, self.provider.context.key, self.provider.contract.id, name, target_config=config)
        self.links[actor, name] = link
        await self.provider.attach_link(link)
        return link

    async def route(self, actor: str = "actor", name: str = "default", **config: str) -> Any:
        """Returns what the provider's `route` returned, and the link as its attribute for `unroute`."""
        link = Link(self.provider.context.key, actor, self.provider.contract.id, name, source_config=config)
        self.links[actor, name] = link
        return link, await self.provider.route_link(link)

    async def call(
        self, operation: str, message: Any = None, *, actor: str = "actor", name: str = "default", timeout_s: float = 10
    ) -> Any:
        """Calls an operation by its wire name, as `actor` along the link `name`; returns the decoded reply."""
        found = self.operation(operation)
        reply = await self.provider.handle(
            Invocation(
                origin=EntityId(actor),
                contract=self.provider.contract.id,
                operation=operation,
                payload=wire.encoder(found.request)(message),
                id=new_id(),
                deadline=time.monotonic() + timeout_s,
                link_name=name,
            )
        )
        return wire.reply_decoder(found)(reply)

    def operation(self, name: str) -> Operation:
        contract = self.provider.contract
        for operation in (*contract.operations, *contract.actor_operations):
            if operation.name == name:
                return operation
        raise errors.OperationUnknown(f"{contract.id} has no operation {name!r}")


@asynccontextmanager
async def provider_rig(
    provider_type: type[Provider[Any, Any]],
    data: Path,
    actors: ActorStandIn | None = None,
    in_pieces: Handler | None = None,
    **config: str,
) -> AsyncIterator[ProviderRig]:
    """Starts a provider with its data under `data` and stops it at the end; `actors` answers what it calls. `in_pieces`
    does so in its place, and gets the calls as they are, with bodies in pieces."""
    provider = provider_type(validated(provider_type.settings_type, config, provider_type.name))
    rig = ProviderRig(provider)

    async def handler(call: Invocation) -> bytes:
        if actors is None or call.target is None:
            raise errors.TargetUnknown(f"no actor stands in for {call.target}")
        operation = rig.operation(call.operation)
        message = wire.request_decoder(operation)(call.payload)
        reply = await actors(rig.links[call.target.key, call.link_name], call.operation, message)
        return wire.encoder(operation.reply)(reply)

    log = logging.getLogger(f"lattice.provider.{provider.name}")
    provider.context = Context(f"V-{provider.name}", data, log, in_pieces or handler, rig.failures.append)
    provider.context.takes_pieces = lambda _key, _operation: in_pieces is not None
    try:
        await provider.start()
        yield rig
        await provider.drain()
    finally:
        await provider.stop()
        await provider.context.cancel_tasks()
