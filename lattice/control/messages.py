"""What hosts and tools say to each other: pulses, inventories, events, requests of the control interface.

JSON in the shapes of wasmCloud 1.x, so that its tools can read and send them; pulses are this project's own and small.
Reading is tolerant of fields that are not known here and strict about those that are.
"""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec

from lattice import errors, wire
from lattice.config import Limits
from lattice.control.state import APPLICATION, FINGERPRINT, ActorSeen, HostSeen, ProviderSeen

EVENT_TYPE = "com.wasmcloud.lattice."
BUILTIN = "builtin://"

T = TypeVar("T")


class Pulse(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A sign of life. `boot` tells one run of a host from the next; `inventory` counts changes of what runs there;
    `state` is the digest of the stored state that is known there."""

    host: str
    boot: str
    inventory: int
    draining: bool = False
    state: str = ""


encode_pulse = wire.encode
decode_pulse = wire.decoder(Pulse, "the pulse")


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """An actor in an inventory. What stands behind `revision` is an addition."""

    id: str
    image_ref: str
    name: str | None = None
    annotations: dict[str, str] | None = None
    revision: int = 0
    max_instances: int = 1
    limits: Any = None
    alias: str = ""
    digest: str = ""
    status: str = "running"


class ProviderItem(msgspec.Struct, frozen=True, kw_only=True):
    """A provider in an inventory. What stands behind `annotations` is an addition."""

    id: str
    image_ref: str | None = None
    name: str | None = None
    revision: int = 0
    annotations: dict[str, str] | None = None
    contract: str = ""
    status: str = "running"
    message: str = ""
    restarts: int = 0
    urls: list[str] = []
    links: int = -1


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a host says of itself: the answer to `host.get` and the data of `host_heartbeat`."""

    host_id: str
    friendly_name: str = ""
    labels: dict[str, str] = {}
    version: str = ""
    uptime_human: str = ""
    uptime_seconds: int = 0
    components: list[Component] = []
    providers: list[ProviderItem] = []
    boot: str = ""
    inventory_revision: int = 0
    draining: bool = False
    lattice: str = ""
    state: str = ""
    """Digest of the lattice's stored state as this host knows it."""


def inventory_of(host: HostSeen, *, boot: str, revision: int, lattice: str, state: str = "") -> Inventory:
    return Inventory(
        host_id=host.key,
        friendly_name=host.name,
        labels=host.labels,
        version=host.version,
        uptime_human=human(host.uptime_s),
        uptime_seconds=host.uptime_s,
        components=[_component(actor) for actor in host.actors.values()],
        providers=[_provider(provider) for provider in host.providers.values()],
        boot=boot,
        inventory_revision=revision,
        draining=host.draining,
        lattice=lattice,
        state=state,
    )


def host_seen(inventory: Inventory) -> HostSeen:
    """What an inventory tells, also one of a host that knows none of the additions."""
    return HostSeen(
        key=inventory.host_id,
        name=inventory.friendly_name,
        labels=inventory.labels,
        version=inventory.version,
        uptime_s=inventory.uptime_seconds,
        draining=inventory.draining,
        actors={item.id: _actor_seen(item) for item in inventory.components},
        providers={item.id: _provider_seen(item) for item in inventory.providers},
    )


def _component(actor: ActorSeen) -> Component:
    return Component(
        id=actor.key,
        image_ref=actor.image,
        name=actor.name,
        annotations=_annotations(actor),
        revision=actor.revision,
        max_instances=actor.count,
        limits=actor.limits,
        alias=actor.alias,
        digest=actor.digest,
        status=actor.status,
    )


def _actor_seen(item: Component) -> ActorSeen:
    annotations = item.annotations or {}
    try:
        limits = msgspec.convert(item.limits, Limits) if item.limits else Limits()
    except msgspec.ValidationError:
        limits = Limits()  # of another kind of host
    return ActorSeen(
        key=item.id,
        name=item.name or item.id,
        image=item.image_ref,
        count=item.max_instances,
        application=annotations.get(APPLICATION, ""),
        alias=item.alias,
        fingerprint=annotations.get(FINGERPRINT, ""),
        digest=item.digest,
        revision=item.revision,
        status=item.status,
        annotations=annotations,
        limits=limits,
    )


def _provider(provider: ProviderSeen) -> ProviderItem:
    return ProviderItem(
        id=provider.key,
        image_ref=provider.image,
        name=provider.name,
        annotations=_annotations(provider),
        contract=provider.contract,
        status=provider.status,
        message=provider.message,
        restarts=provider.restarts,
        urls=list(provider.urls),
        links=provider.links,
    )


def _provider_seen(item: ProviderItem) -> ProviderSeen:
    annotations = item.annotations or {}
    return ProviderSeen(
        key=item.id,
        name=item.name or item.id,
        image=item.image_ref or "",
        contract=item.contract,
        application=annotations.get(APPLICATION, ""),
        fingerprint=annotations.get(FINGERPRINT, ""),
        status=item.status,
        message=item.message,
        restarts=item.restarts,
        urls=tuple(item.urls),
        links=item.links,
        annotations=annotations,
    )


def _annotations(seen: ActorSeen | ProviderSeen) -> dict[str, str]:
    known = {APPLICATION: seen.application, FINGERPRINT: seen.fingerprint}
    return {**seen.annotations, **{name: value for name, value in known.items() if value}}


# Events.


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent 1.0."""

    type: str
    source: str
    data: Any = None
    id: str = ""
    specversion: str = "1.0"
    time: str = ""
    datacontenttype: str = "application/json"

    @property
    def name(self) -> str:
        """`host_started`; "" for an event that is not of a lattice."""
        return self.type.removeprefix(EVENT_TYPE) if self.type.startswith(EVENT_TYPE) else ""


def encode_event(name: str, source: str, data: Any) -> bytes:
    """`source` is the host's key."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return encode(Event(type=EVENT_TYPE + name, source=source, data=data, id=str(uuid.uuid4()), time=time))


# Requests of the control interface.


class ScaleComponent(msgspec.Struct, frozen=True, kw_only=True):
    """`count` 0 stops it; `max_instances` is what some tools call it."""

    component_id: str
    component_ref: str = ""
    annotations: dict[str, str] | None = None
    count: int | None = None
    max_instances: int | None = None
    host_id: str = ""
    config: list[str] = []
    allow_update: bool = False
    component_limits: Any = None

    @property
    def wanted_count(self) -> int:
        given = self.count if self.count is not None else self.max_instances
        return 1 if given is None else given


class UpdateComponent(msgspec.Struct, frozen=True, kw_only=True):
    component_id: str
    new_component_ref: str = ""
    annotations: dict[str, str] | None = None
    host_id: str = ""


class StartProvider(msgspec.Struct, frozen=True, kw_only=True):
    provider_id: str
    provider_ref: str = ""
    host_id: str = ""
    config: list[str] = []
    annotations: dict[str, str] | None = None


class StopProvider(msgspec.Struct, frozen=True, kw_only=True):
    provider_id: str
    host_id: str = ""
    annotations: dict[str, str] | None = None


class StopHost(msgspec.Struct, frozen=True, kw_only=True):
    """`timeout` in milliseconds, as upstream."""

    host_id: str = ""
    timeout: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Auction(msgspec.Struct, frozen=True, kw_only=True):
    """For an actor or a provider; `constraints` are labels a host has to have."""

    component_ref: str = ""
    component_id: str = ""
    provider_ref: str = ""
    provider_id: str = ""
    constraints: dict[str, str] = {}


class LinkItem(msgspec.Struct, frozen=True, kw_only=True):
    """`granted_by`, a key, and `operations` are additions."""

    source_id: str
    target: str
    name: str = "default"
    wit_namespace: str = ""
    wit_package: str = ""
    interfaces: list[str] = []
    source_config: list[str] | dict[str, str] = []
    target_config: list[str] | dict[str, str] = []
    granted_by: str = ""
    operations: list[str] = []


class DeleteLink(msgspec.Struct, frozen=True, kw_only=True):
    source_id: str
    name: str = "default"
    wit_namespace: str = ""
    wit_package: str = ""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    value: str = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to every request; `response` is left out where there is none. `code` and `remedy` are additions, of
    failures only."""

    success: bool
    message: str = ""
    response: Any = None
    code: str = ""
    remedy: str = ""


def encode(message: Any) -> bytes:
    return msgspec.json.encode(message)


def encode_reply(reply: Reply) -> bytes:
    told: dict[str, Any] = {"success": reply.success, "message": reply.message}
    if reply.response is not None:
        told["response"] = reply.response
    if not reply.success:
        told.update(code=reply.code, remedy=reply.remedy)
    return msgspec.json.encode(told)


def decode(data: bytes, type_: type[T], what: str) -> T:
    """Raises `errors.MalformedMessage` that says what is wrong with `what`."""
    try:
        found = msgspec.json.decode(data or b"{}", type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.MalformedMessage(f"{what} cannot be read: {error}") from error
    return found


def failure(error: errors.LatticeError) -> Reply:
    return Reply(success=False, message=str(error), code=error.code, remedy=error.remedy)


def error_of(reply: Reply) -> errors.LatticeError:
    """The error that a reply tells of."""
    type_ = errors.error_classes().get(reply.code, errors.LatticeError)
    if issubclass(type_, errors.ManifestError):
        type_ = errors.ConfigError
    return type_(reply.message or "it was refused without a reason", remedy=reply.remedy)


def human(seconds: float) -> str:
    """1d 2h 3m 4s, without leading zeros."""
    left = max(0, math.floor(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join([*parts, f"{left}s"])
