"""What is wanted and what is there: the two records that planning compares. Pure data.

`Desired` is folded from the lattice's stored state by `control.desired`, `Observed` from what hosts say of themselves
by `control.peers`. Every host holds both.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from lattice.config import Limits, Surroundings
from lattice.control.manifest.records import Scaling
from lattice.links import Link
from lattice.secretref import SecretRef

Kind = Literal["actor", "provider"]

APPLICATION = "nanolattice.application"
"""Annotation: the application that a component belongs to."""
FINGERPRINT = "nanolattice.fingerprint"
"""Annotation: `Wanted.fingerprint` of what was started."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A component that shall run. `key` is its public id, `name` that of the manifest's component.

    `image` is a reference as text: `file:///…`, `stored://SHA256/NAME.wasm` (in the lattice's own store of images),
    `builtin://NAME`. `contract` is a provider's, "" for an actor. `version` is the application's.
    """

    key: str
    name: str
    kind: Kind
    image: str
    application: str = ""
    version: str = ""
    contract: str = ""
    alias: str = ""
    config: dict[str, str] = {}
    secrets: tuple[SecretRef, ...] = ()
    """Further values of `config`, looked up by the host when it starts it."""
    limits: Limits = Limits()
    surroundings: Surroundings = Surroundings()
    scaling: Scaling = Scaling()
    goes_back: bool = False
    """By a rollback: an earlier revision of a signed actor may come after a later one, when that has ended."""

    @property
    def fingerprint(self) -> str:
        """Equal for two that need no change of what runs. Secrets count by their references."""
        limits = msgspec.to_builtins(self.limits)
        # Without secrets it is what hosts of the version before say, and nothing restarts while hosts are upgraded; and
        # so for surroundings, and for instances that are not used again.
        if not self.limits.reuse_max:
            del limits["reuse_max"]
        said = (self.kind, self.image, self.alias, self.contract, sorted(self.config.items()), limits)
        more: tuple[object, ...] = (sorted(self.secrets, key=lambda one: one.name),) if self.secrets else ()
        if self.surroundings != Surroundings():
            around = self.surroundings
            more += ("surroundings", sorted(around.environment.items()), around.volumes, around.entrypoint)
            more += around.sockets
        return hashlib.sha256(msgspec.json.encode(said + more)).hexdigest()[:16]


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is wanted of a lattice. `revision` grows with each change of the stored state."""

    wanted: dict[str, Wanted] = {}
    """By key."""
    links: tuple[Link, ...] = ()
    problems: dict[str, str] = {}
    """By application: why a deployed manifest cannot be used (its last usable version stays wanted)."""
    revision: int = 0


class ActorSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An actor that runs on a host. `count` is its share of the replicas. `fingerprint` as `Wanted.fingerprint`, ""
    for what was started by hand. `revision` counts versions of the image, from its claims."""

    key: str
    name: str
    image: str
    count: int = 1
    application: str = ""
    alias: str = ""
    fingerprint: str = ""
    digest: str = ""
    revision: int = 0
    status: str = "running"
    annotations: dict[str, str] = {}
    limits: Limits = Limits()


class ProviderSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that runs on a host; `status` is the supervisor's, `message` its reason."""

    key: str
    name: str
    image: str
    contract: str
    application: str = ""
    fingerprint: str = ""
    status: str = "running"
    message: str = ""
    restarts: int = 0
    urls: tuple[str, ...] = ()
    links: int = -1
    """How many it has taken; -1 where it does not say."""
    annotations: dict[str, str] = {}


Seen = ActorSeen | ProviderSeen


class HostSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A host that gives signs of life. A draining one answers what it has begun and takes nothing new."""

    key: str
    name: str = ""
    labels: dict[str, str] = {}
    version: str = ""
    uptime_s: int = 0
    draining: bool = False
    actors: dict[str, ActorSeen] = {}
    providers: dict[str, ProviderSeen] = {}

    @property
    def items(self) -> dict[str, Seen]:
        """Actors and providers, by key."""
        return {**self.actors, **self.providers}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a host could not do what it was told. `at` is a time of the observer's event loop."""

    host: str
    key: str
    code: str
    message: str
    remedy: str = ""
    at: float = 0.0
    attempts: int = 1
    fingerprint: str = ""
    """Of what was tried; another one is a new try."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """The lattice as one host sees it. `lost` are hosts that fell silent a short while ago, as they were."""

    hosts: dict[str, HostSeen] = {}
    lost: dict[str, HostSeen] = {}
    failures: dict[tuple[str, str], Failure] = {}
    """By (host, key); gone when the host succeeds."""
