"""The control interface of wasmCloud 1.x over the lattice's subjects: JSON in, `{success, message, response}` out.

Requests to one host carry its key in the subject; `host.ping` and auctions are answered by every host; what concerns
the whole lattice is answered by whichever host the queue group chooses. docs/guides/control-interface.md lists
all of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from lattice import errors, grants, subjects
from lattice.control import messages
from lattice.control.commands import Commands
from lattice.control.gate import LOOKS, Gate
from lattice.control.messages import Reply
from lattice.control.presence import Presence
from lattice.control.records import StoredLink
from lattice.control.state import HostSeen
from lattice.control.store import Store
from lattice.links import DEFAULT_LINK, Link
from lattice.tasks import end_all
from lattice.transport.transport import Delivery, Subscription, Transport
from lattice.transport.transport import answer as answer_to

_log = logging.getLogger("lattice.control")

QUEUE = "nanolattice-control"
REQUESTS_MAX = 1_000
"""Requests at once; more are told to come back."""
REQUEST_S_MAX = 10.0
OWN_LABELS = "hostcore."
"""How labels begin that no tool may change."""
OF_ALL = {"link", "config", "registry"}
"""What changes is of the whole lattice, and whichever host hears it changes it."""
_NOTHING = object()

Answer = Callable[[list[str], bytes], Awaitable[Any]]


class ControlInterface:
    """One host's end of it."""

    def __init__(
        self,
        transport: Transport,
        lattice: str,
        host: str,
        *,
        commands: Commands,
        store: Store,
        presence: Presence,
        labels: dict[str, str],
        claims: Callable[[], list[dict[str, str]]],
        stop_host: Callable[[float | None], None],
        gate: Gate,
        relabelled: Callable[[], None] = lambda: None,
        held: Callable[[str, str], grants.Held] = lambda _key, _host: None,
    ) -> None:
        """`relabelled` is called when this host has other labels; `held` knows the claims of actors, for grants."""
        self._transport = transport
        self._lattice = lattice
        self._host = host
        self._commands = commands
        self._store = store
        self._presence = presence
        self._labels = labels
        self._claims = claims
        self._stop_host = stop_host
        self._relabelled = relabelled
        self._held = held
        self._gate = gate
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[tuple[str, str], Answer] = {
            ("host", "ping"): self._ping,
            ("host", "get"): self._get,
            ("host", "stop"): self._stop,
            ("component", "auction"): self._component_auction,
            ("provider", "auction"): self._provider_auction,
            ("component", "scale"): self._scale,
            ("component", "update"): self._update,
            ("provider", "start"): self._start_provider,
            ("provider", "stop"): self._stop_provider,
            ("label", "put"): self._put_label,
            ("label", "del"): self._delete_label,
            ("claims", "get"): self._get_claims,
            ("link", "get"): self._get_links,
            ("link", "put"): self._put_link,
            ("link", "del"): self._delete_link,
            ("config", "get"): self._get_config,
            ("config", "put"): self._put_config,
            ("config", "del"): self._delete_config,
            ("config", "list"): self._list_configs,
            ("registry", "put"): self._put_registry,
        }

    async def start(self) -> None:
        def at(*words: str) -> str:
            return subjects.ctl(self._lattice, *words)

        for subject in (
            at("*", "*", self._host),
            at("host", "ping"),
            at("component", "auction"),
            at("provider", "auction"),
        ):
            self._subscriptions.append(await self._transport.subscribe(subject, self._received))
        for subject in (at("claims", "get"), at("link", "*"), at("config", ">"), at("registry", "put")):
            self._subscriptions.append(await self._transport.subscribe(subject, self._received, queue=QUEUE))

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        self._subscriptions.clear()
        await end_all(self._tasks)

    def _received(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._serve(delivery), name="control")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, delivery: Delivery) -> None:
        words = subjects.ctl_words(self._lattice, delivery.subject)
        try:
            if len(self._tasks) > REQUESTS_MAX:
                raise errors.Overloaded(f"{REQUESTS_MAX} requests are being answered", remedy="try again")
            answer = self._answers.get((words[0], words[1])) if len(words) > 1 else None
            if answer is None:
                raise errors.OperationUnknown(f"the control interface has no {'.'.join(words[:2])}")
            async with asyncio.timeout(REQUEST_S_MAX):
                if (words[0], words[1]) not in LOOKS:
                    await self._gate.require(delivery, shared=words[0] in OF_ALL)
                response = await answer(words[2:], delivery.payload)
            if response is _NOTHING:
                return
            reply = response if isinstance(response, Reply) else Reply(success=True, response=response)
        except errors.LatticeError as error:
            reply = messages.failure(error)
        except TimeoutError:
            reply = messages.failure(errors.DeadlineExceeded(f"not done within {REQUEST_S_MAX:g} s"))
        except Exception as error:
            _log.exception("%s failed", delivery.subject)
            reply = messages.failure(errors.LatticeError(f"{type(error).__name__}: {error}"))
        await answer_to(self._transport, delivery, messages.encode_reply(reply), _refusal)

    # Hosts.

    async def _ping(self, _words: list[str], _payload: bytes) -> Any:
        own = self._presence.document()
        return {
            "id": own.host_id,
            "host_id": own.host_id,
            "friendly_name": own.friendly_name,
            "labels": own.labels,
            "lattice": self._lattice,
            "version": own.version,
            "uptime_human": own.uptime_human,
            "uptime_seconds": own.uptime_seconds,
            "components": len(own.components),
            "providers": len(own.providers),
            "draining": own.draining,
        }

    async def _get(self, _words: list[str], _payload: bytes) -> Any:
        return self._presence.document()

    async def _stop(self, _words: list[str], payload: bytes) -> Any:
        request = messages.decode(payload, messages.StopHost, "host.stop")
        self._stop_host(None if request.timeout is None else request.timeout / 1000)
        return None

    async def _component_auction(self, _words: list[str], payload: bytes) -> Any:
        auction = messages.decode(payload, messages.Auction, "component.auction")
        if not self._fits(auction.constraints) or auction.component_id in self._presence.own.actors:
            return _NOTHING
        return {
            "host_id": self._host,
            "component_ref": auction.component_ref,
            "component_id": auction.component_id,
            "constraints": auction.constraints,
        }

    async def _provider_auction(self, _words: list[str], payload: bytes) -> Any:
        auction = messages.decode(payload, messages.Auction, "provider.auction")
        if not self._fits(auction.constraints) or auction.provider_id in self._presence.own.providers:
            return _NOTHING
        return {
            "host_id": self._host,
            "provider_ref": auction.provider_ref,
            "provider_id": auction.provider_id,
            "constraints": auction.constraints,
        }

    def _fits(self, constraints: dict[str, str]) -> bool:
        own: HostSeen = self._presence.own
        return not own.draining and all(own.labels.get(name) == value for name, value in constraints.items())

    async def _put_label(self, _words: list[str], payload: bytes) -> Any:
        label = messages.decode(payload, messages.Label, "label.put")
        _check_label(label.key)
        self._labels[label.key] = label.value
        await self._labels_changed()

    async def _delete_label(self, _words: list[str], payload: bytes) -> Any:
        label = messages.decode(payload, messages.Label, "label.del")
        _check_label(label.key)
        self._labels.pop(label.key, None)
        await self._labels_changed()

    async def _labels_changed(self) -> None:
        self._presence.changed()
        self._relabelled()
        await self._presence.event("labels_changed", {"host_id": self._host, "labels": dict(self._labels)})

    # Components, providers.

    async def _scale(self, _words: list[str], payload: bytes) -> Any:
        self._commands.scale(messages.decode(payload, messages.ScaleComponent, "component.scale"))

    async def _update(self, _words: list[str], payload: bytes) -> Any:
        self._commands.update(messages.decode(payload, messages.UpdateComponent, "component.update"))

    async def _start_provider(self, _words: list[str], payload: bytes) -> Any:
        self._commands.start_provider(messages.decode(payload, messages.StartProvider, "provider.start"))

    async def _stop_provider(self, _words: list[str], payload: bytes) -> Any:
        self._commands.stop_provider(messages.decode(payload, messages.StopProvider, "provider.stop"))

    # What the lattice keeps.

    async def _get_claims(self, _words: list[str], _payload: bytes) -> Any:
        await self._store.refresh()
        return self._claims()

    async def _get_links(self, _words: list[str], _payload: bytes) -> Any:
        await self._store.refresh()
        return [_link_item(link, stored) for link, stored in self._store.links()]

    async def _put_link(self, _words: list[str], payload: bytes) -> Any:
        item = messages.decode(payload, messages.LinkItem, "link.put")
        source, target = item.source_config, item.target_config
        link = StoredLink(
            source=item.source_id,
            target=item.target,
            contract=_contract(item.wit_namespace, item.wit_package),
            name=item.name or DEFAULT_LINK,
            interfaces=tuple(item.interfaces),
            source_names=tuple(source) if isinstance(source, list) else (),
            target_names=tuple(target) if isinstance(target, list) else (),
            source_config=source if isinstance(source, dict) else {},
            target_config=target if isinstance(target, dict) else {},
            granted_by=item.granted_by,
            operations=tuple(item.operations),
        )
        # Values that were given with the link may be secrets; events are for everybody.
        told = {**_link_item(link.link({}), link), "interfaces": item.interfaces}
        try:
            if not subjects.is_word(link.source) or not subjects.is_word(link.target):
                raise errors.MalformedMessage("a link has a source_id and a target, which are words")
            for name in (*link.source_names, *link.target_names):
                await self._require_config(name)
            await self._store.refresh()
            self._store.require_given(link, self._held)
            await self._store.put_link(link)
        except errors.LatticeError as error:
            await self._presence.event("linkdef_set_failed", {**told, "error": str(error)})
            raise
        await self._presence.event("linkdef_set", told)

    async def _require_config(self, name: str) -> None:
        if await self._store.config(name) is None:
            raise errors.ConfigError(
                f"there is no configuration {name!r}", remedy=f"lattice config put {name} KEY=VALUE"
            )

    async def _delete_link(self, _words: list[str], payload: bytes) -> Any:
        item = messages.decode(payload, messages.DeleteLink, "link.del")
        contract = _contract(item.wit_namespace, item.wit_package)
        told = msgspec.to_builtins(item)
        gone = await self._store.delete_link(item.source_id, contract, item.name or DEFAULT_LINK)
        for link in gone:
            more = {"target": link.target, "interfaces": list(link.interfaces)}
            await self._presence.event("linkdef_deleted", {**told, **more})
        if not gone:
            await self._presence.event("linkdef_deleted", told)

    async def _get_config(self, words: list[str], _payload: bytes) -> Any:
        name = _name(words)
        found = await self._store.config(name)
        return found if found is not None else Reply(success=True, message=f"there is no configuration {name}")

    async def _put_config(self, words: list[str], payload: bytes) -> Any:
        name = _name(words)
        await self._store.put_config(name, messages.decode(payload, dict[str, str], "config.put"))
        await self._presence.event("config_set", {"config_name": name})

    async def _delete_config(self, words: list[str], _payload: bytes) -> Any:
        name = _name(words)
        await self._store.delete_config(name)
        await self._presence.event("config_deleted", {"config_name": name})

    async def _list_configs(self, _words: list[str], _payload: bytes) -> Any:
        await self._store.refresh()
        return self._store.configs()

    async def _put_registry(self, _words: list[str], _payload: bytes) -> Any:
        raise errors.ConfigError(
            "logins for registries are not taken over the lattice, where every tool could read them",
            remedy="each host has its own: docker login, or LATTICE_REGISTRY, _USER and _PASSWORD where it is started",
        )


def _refusal(error: errors.CallError) -> bytes:
    return messages.encode_reply(messages.failure(error))


def _check_label(key: str) -> None:
    """Raises `errors.MalformedMessage`, and `errors.ConfigError` for what says how the machine is."""
    if not key:
        raise errors.MalformedMessage("a label has a key")
    if key.lower().startswith(OWN_LABELS):
        raise errors.ConfigError(f"{key} is what the host found out itself", remedy="use a label of another name")


def _link_item(link: Link, stored: StoredLink | None) -> dict[str, Any]:
    """A link as tools read it: names of configurations, and never values. Those of applications have none."""
    namespace, _, package = link.contract.partition(":")
    return {
        "source_id": link.source,
        "target": link.target,
        "name": link.name,
        "wit_namespace": namespace,
        "wit_package": package,
        "interfaces": list(stored.interfaces) if stored is not None else [],
        "source_config": list(stored.source_names) if stored is not None else [],
        "target_config": list(stored.target_names) if stored is not None else [],
        "contract": link.contract,
        "granted_by": link.granted_by,
        "operations": list(link.operations),
    }


def _contract(namespace: str, package: str) -> str:
    return f"{namespace}:{package}" if namespace or package else ""


def _name(words: list[str]) -> str:
    name = ".".join(words)
    if not name:
        raise errors.MalformedMessage("the subject names a configuration: config.get.NAME")
    return name
