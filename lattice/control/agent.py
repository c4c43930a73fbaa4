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
from lattice.invocation import EntityId, Handler, Invocation, new_id
from lattice.links import Link, LinkTable
from lattice.supervisor import RunningProvider, Supervisor

CALL_S_MAX = 3600.0
"""The longest a caller may ask to wait; the actor's own limit usually ends the call before."""


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change while a host runs. `started_at` is seconds since 1970 UTC."""

    key: str
    name: str
    version: str
    started_at: float
    lattice: str = "default"
    labels: dict[str, str] = {}


class Agent:
    """`answer(command, arguments)` is all there is to it."""

    def __init__(
        self, facts: HostFacts, actors: Actors, supervisor: Supervisor, links: LinkTable, outbound: Handler
    ) -> None:
        self._facts = facts
        self._actors = actors
        self._supervisor = supervisor
        self._links = links
        self._outbound = outbound
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
        return [{**self._host(), "components": len(list(self._actors)), "providers": len(list(self._supervisor))}]

    async def _inventory(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        host = self._host()
        return {
            "host_id": host.pop("id"),
            **host,
            "components": [_component(actor) for actor in self._actors],
            "providers": [_provider(provider) for provider in self._supervisor],
        }

    async def _all_links(self, _arguments: dict[str, Any]) -> list[dict[str, Any]]:
        return [_link(link) for link in self._links]

    async def _claims(self, _arguments: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for actor in self._actors:
            claims = actor.revision.claims
            if claims is not None:
                found.append({"component": actor.spec.name, **msgspec.to_builtins(claims)})
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
            origin=EntityId(self._facts.key),
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

    def _host(self) -> dict[str, Any]:
        uptime_s = max(0, int(time.time() - self._facts.started_at))
        return {
            "id": self._facts.key,
            "friendly_name": self._facts.name,
            "lattice": self._facts.lattice,
            "labels": dict(self._facts.labels),
            "version": self._facts.version,
            "uptime_human": _human(uptime_s),
            "uptime_seconds": uptime_s,
        }


def _component(actor: Actor) -> dict[str, Any]:
    claims = actor.revision.claims
    return {
        "id": actor.key,
        "name": actor.spec.name,
        "alias": actor.alias,
        "image_ref": f"file://{actor.revision.image}",
        "digest": _digest(actor),
        "annotations": {"application": actor.spec.application},
        "revision": (claims.rev if claims else None) or 0,
        "max_instances": actor.spec.limits.instances_max,
        "limits": msgspec.to_builtins(actor.spec.limits),
        "status": actor.status,
    }


def _digest(actor: Actor) -> str:
    return f"sha256:{actor.revision.digest}"


def _provider(provider: RunningProvider) -> dict[str, Any]:
    return {
        "id": provider.key,
        "name": provider.name,
        "image_ref": f"builtin://{provider.name}",
        "annotations": {},
        "revision": 0,
        "contract": provider.type.contract.id,
        "status": provider.status,
        "message": str(provider.cause) if provider.cause else "",
        "restarts": provider.restarts,
        "urls": provider.urls(),
    }


def _link(link: Link) -> dict[str, Any]:
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
    }


def _text(arguments: dict[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise errors.MalformedMessage(f"{name} has to be a text")
    return value


def _human(seconds: int) -> str:
    """1d 2h 3m 4s, without leading zeros."""
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            parts.append(f"{seconds // size}{unit}")
            seconds %= size
    return " ".join([*parts, f"{seconds}s"])
