"""Answers what people and tools ask of one host: what is here, who may call whom, and calls by its owner.

Documents have the fields of the wasmCloud 1.x control interface (host, inventory, link), and more; the transport that a
question came over is not known here.
"""

from __future__ import annotations

import base64
import binascii
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from lattice import errors
from lattice.actors import Actor, Actors
from lattice.control.messages import Inventory
from lattice.invocation import EntityId, Handler, Invocation, new_id
from lattice.links import Link, LinkTable
from lattice.security.claims import Claims

CALL_S_MAX = 3600.0
"""The longest a caller may ask to wait; the actor's own limit usually ends the call before."""


class Agent:
    """`answer(command, arguments)` is all there is to it. `inventory` is the host's own."""

    def __init__(
        self, inventory: Callable[[], Inventory], actors: Actors, links: LinkTable, outbound: Handler, lattice: str
    ) -> None:
        self._document = inventory
        self._actors = actors
        self._links = links
        self._outbound = outbound
        self._lattice = lattice
        self._commands: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "hosts": self._hosts,
            "inventory": self._inventory,
            "links": self._all_links,
            "claims": self._claims,
            "call": self._call,
            "update": self._update,
        }

    async def answer(self, command: str, arguments: dict[str, Any]) -> Any:
        """JSON data. Raises `errors.OperationUnknown` for a command that is none, and what the command raises."""
        run = self._commands.get(command)
        if run is None:
            raise errors.OperationUnknown(f"no command {command!r}; there are {', '.join(self._commands)}")
        return await run(arguments)

    async def _hosts(self, _arguments: dict[str, Any]) -> list[dict[str, Any]]:
        return [host_document(self._document(), self._lattice)]

    async def _inventory(self, _arguments: dict[str, Any]) -> Any:
        return msgspec.to_builtins(self._document())

    async def _all_links(self, _arguments: dict[str, Any]) -> list[dict[str, Any]]:
        return [link_document(link) for link in self._links]

    async def _claims(self, _arguments: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for actor in self._actors:
            claims = actor.revision.claims
            if claims is not None:
                found.append(claims_document(actor.spec.name, claims))
        return found

    async def _call(self, arguments: dict[str, Any]) -> dict[str, str]:
        """`target`: key, alias or name of an actor; `payload` and the reply's are base64."""
        target, operation = _text(arguments, "target"), _text(arguments, "operation")
        timeout_s = arguments.get("timeout_s", 10.0)
        if not isinstance(timeout_s, int | float) or not math.isfinite(timeout_s) or not 0 < timeout_s <= CALL_S_MAX:
            raise errors.MalformedMessage(f"timeout_s has to be more than 0 and at most {CALL_S_MAX:g}")
        try:
            payload = base64.b64decode(arguments.get("payload", ""), validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise errors.MalformedMessage(f"the payload is not base64: {error}") from error
        invocation = Invocation(
            origin=EntityId(self._document().host_id),
            contract="",
            operation=operation,
            payload=payload,
            id=new_id(),
            deadline=time.monotonic() + timeout_s,
            target=EntityId(self._find(target).key),
        )
        return {"payload": base64.b64encode(await self._outbound(invocation)).decode()}

    async def _update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`target` as for a call; `image`: the absolute path of a file on this machine. The old image serves until the
        new one has started, and goes on when it does not."""
        target, image = _text(arguments, "target"), Path(_text(arguments, "image"))
        if not image.is_absolute():
            raise errors.MalformedMessage(f"image has to be an absolute path, not {image}")
        actor = self._find(target)
        old = actor.revision
        try:
            new = await self._actors.replace(actor.key, image)
        except errors.LatticeError as error:
            if self._actors.get(actor.key) is actor:
                keeps = f"{actor.spec.name} keeps serving {_digest(actor)}"
                error.remedy = f"{error.remedy}; {keeps}" if error.remedy else keeps
            raise
        return {
            "id": actor.key,
            "name": actor.spec.name,
            "image_ref": f"file://{new.image}",
            "old_digest": f"sha256:{old.digest}",
            "digest": f"sha256:{new.digest}",
            "from_cache": new.from_cache,
        }

    def _find(self, target: str) -> Actor:
        """The actor with this key, else the one with this alias, else the one with this name."""
        found = self._actors.get(target)
        if found is not None:
            return found
        for matches in (
            [actor for actor in self._actors if actor.alias == target],
            [actor for actor in self._actors if actor.spec.name == target],
        ):
            if len(matches) > 1:
                keys = ", ".join(actor.key for actor in matches)
                raise errors.TargetUnknown(f"several actors are called {target!r}", remedy=f"use a key: {keys}")
            if matches:
                return matches[0]
        names = ", ".join(sorted(actor.spec.name for actor in self._actors)) or "none"
        raise errors.TargetUnknown(f"no actor here is called {target!r}", remedy=f"actors here: {names}")


def host_document(inventory: Inventory, lattice: str) -> dict[str, Any]:
    """A host in a list of hosts."""
    return {
        "id": inventory.host_id,
        "friendly_name": inventory.friendly_name,
        "lattice": lattice,
        "labels": inventory.labels,
        "version": inventory.version,
        "uptime_human": inventory.uptime_human,
        "uptime_seconds": inventory.uptime_seconds,
        "components": len(inventory.components),
        "providers": len(inventory.providers),
    }


def claims_document(component: str, claims: Claims) -> dict[str, Any]:
    return {"component": component, **msgspec.to_builtins(claims)}


def _digest(actor: Actor) -> str:
    return f"sha256:{actor.revision.digest}"


def link_document(link: Link) -> dict[str, Any]:
    namespace, _, package = link.contract.partition(":")
    return {
        "source_id": link.source,
        "target": link.target,
        "name": link.name,
        "contract": link.contract,
        "wit_namespace": namespace,
        "wit_package": package,
        "interfaces": [],
        "source_config": link.source_config,
        "target_config": link.target_config,
        "granted_by": link.granted_by,
        "operations": list(link.operations),
        "source_secrets": [msgspec.to_builtins(one) for one in link.source_secrets],
        "target_secrets": [msgspec.to_builtins(one) for one in link.target_secrets],
    }


def _text(arguments: dict[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise errors.MalformedMessage(f"{name} has to be a text")
    return value
