"""What a host trusts, as frozen records, and the file they are read from. Nothing is decided here.

docs/guides/trust.md explains the file:

    [actors]
    issuers = ["AC…"]               # accounts whose actors run here, or "any"
    unsigned = false                # whether modules without a token run
    folders = ["/srv/data"]         # where volumes of commands and components may lie
    sockets = ["tcp://db:5432"]     # where components may connect to

    [cluster]
    keys = ["cluster.nk"]           # seeds: the first signs, all are trusted. Paths are relative to this file
    trusted = ["CC…"]               # other cluster keys whose signatures count, while keys rotate

    [control]
    signers = ["UA…"]               # who may sign control messages; given, every control message has to be signed

    [policy]                        # who may call whom and what may start here, besides claims and links: `rules.py`
    default = "allow"
    [secrets]
    environment = ["DB_*"]          # variables that manifests may refer to, besides LATTICE_SECRET_*
    files = ["/run/secrets"]        # folders whose files they may refer to
    keys = ["secrets.xk"]           # seeds that open the lattice's stored secrets; their own seals count
    senders = ["XB…"]               # who else may have sealed one
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from lattice import endpoints, errors
from lattice.endpoints import Endpoint
from lattice.security import keys, rules, sealing
from lattice.security.keys import KeyPair, Role
from lattice.security.rules import PolicySettings
from lattice.security.sealing import CurvePair

ANY = "any"
OFFERED = "LATTICE_SECRET_*"
"""Variables with this beginning are set for manifests to refer to, so every host offers them."""
SETTINGS_BYTES_MAX = 256 * 1024
"""A policy with a thousand rules has about 100 KB."""


class ActorTrust(msgspec.Struct, frozen=True, kw_only=True):
    """Which actors run, on which folders, and which sockets they get. `issuers` are public keys of accounts; None is
    any.

    In `folders` are those that volumes of commands may be; beside them what lies beside a manifest that the owner runs
    alone."""

    issuers: frozenset[str] | None = None
    unsigned: bool = False
    folders: tuple[Path, ...] = ()
    sockets: tuple[Endpoint, ...] = ()


class ClusterTrust(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs calls between hosts. `signing` is None on a host without a cluster key: its lattice signs no calls.
    `trusted` are public keys, that of `signing` among them."""

    signing: KeyPair | None = None
    trusted: frozenset[str] = frozenset()


class ControlTrust(msgspec.Struct, frozen=True, kw_only=True):
    """Who may sign control messages; None: they need not be signed, and NATS decides who may send them."""

    signers: frozenset[str] | None = None


class SecretTrust(msgspec.Struct, frozen=True, kw_only=True):
    """Which secrets manifests may refer to on this host. `environment` are names of variables, or beginnings of names
    that end with `*`. `keys` open what is stored in the lattice; it counts if one of `senders` sealed it, or of
    `keys`."""

    environment: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    keys: tuple[CurvePair, ...] = ()
    senders: frozenset[str] = frozenset()

    def offers_variable(self, name: str) -> bool:
        offered = (OFFERED, *self.environment)
        return any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in offered)


class SecuritySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a host is told about trust. `file` is where it was read from, None when nobody wrote it down."""

    actors: ActorTrust = ActorTrust()
    cluster: ClusterTrust = ClusterTrust()
    control: ControlTrust = ControlTrust()
    policy: PolicySettings = PolicySettings()
    secrets: SecretTrust = SecretTrust()
    file: Path | None = None


LOCAL = SecuritySettings(actors=ActorTrust(unsigned=True))
"""For one's own machine: any valid signature, and unsigned modules with a warning."""


class _Actors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    issuers: list[str] | Literal["any"] = []
    unsigned: bool = False
    folders: list[str] = []
    sockets: list[str] = []


class _Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[str] = []
    trusted: list[str] = []


class _Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signers: list[str] | None = None


class _Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    environment: list[str] = []
    files: list[str] = []
    keys: list[str] = []
    senders: list[str] = []


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    actors: _Actors = _Actors()
    cluster: _Cluster = _Cluster()
    control: _Control = _Control()
    policy: rules.Table = rules.Table()
    secrets: _Secrets = _Secrets()


def load(path: Path) -> SecuritySettings:
    """Reads a file and the keys that it names. Raises `errors.ConfigError`."""
    try:
        with path.open("rb") as file:
            data = file.read(SETTINGS_BYTES_MAX + 1)
    except OSError as error:
        raise errors.ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > SETTINGS_BYTES_MAX:
        raise errors.ConfigError(f"{path} is larger than {SETTINGS_BYTES_MAX // 1024} KiB")
    try:
        found = msgspec.toml.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise errors.ConfigError(f"{path}: {error}", remedy="docs/guides/trust.md says what it may hold") from error
    try:
        return SecuritySettings(
            actors=ActorTrust(
                issuers=issuers(found.actors.issuers),
                unsigned=found.actors.unsigned,
                folders=tuple(path.parent / name for name in found.actors.folders),
                sockets=tuple(endpoints.parse(place) for place in found.actors.sockets),
            ),
            cluster=cluster([path.parent / name for name in found.cluster.keys], found.cluster.trusted),
            control=ControlTrust(signers=_signers(found.control.signers)),
            policy=rules.read(found.policy),
            secrets=_secrets(found.secrets, path.parent),
            file=path,
        )
    except errors.ConfigError as error:
        raise errors.ConfigError(f"{path}: {error}", remedy=error.remedy) from error


def issuers(given: list[str] | str) -> frozenset[str] | None:
    """Accounts by their public keys, None for "any". Raises `errors.ConfigError`."""
    if given == ANY or ANY in given:
        if given not in (ANY, [ANY]):
            raise errors.ConfigError("issuers are named one by one, or are any; not both")
        return None
    return _public(given, "account")


def cluster(seeds: list[Path], trusted: list[str]) -> ClusterTrust:
    """Reads seeds; the first signs. Raises `errors.ConfigError`."""
    pairs = [keys.read_seed(path, "cluster") for path in seeds]
    own = frozenset(pair.public for pair in pairs)
    others = _public(trusted, "cluster")
    if others and not pairs:
        raise errors.ConfigError(
            "cluster.trusted names keys, and without one of its own a host looks at no signature of a call",
            remedy="give it one: keys beside trusted",
        )
    return ClusterTrust(signing=pairs[0] if pairs else None, trusted=own | others)


def _signers(given: list[str] | None) -> frozenset[str] | None:
    return None if given is None else _public(given, "user", "account", "operator")


def _secrets(given: _Secrets, folder: Path) -> SecretTrust:
    for name in given.environment:
        if not name.rstrip("*") or "*" in name[:-1]:
            raise errors.ConfigError(
                f"environment: {name!r} is neither the name of a variable nor the beginning of one before a *",
                remedy="name what manifests may have: a host's environment holds its own credentials too",
            )
    pairs = tuple(pair for name in given.keys for pair in sealing.read_seeds(folder / name))
    return SecretTrust(
        environment=tuple(given.environment),
        files=tuple(folder / name for name in given.files),
        keys=pairs,
        senders=_public(given.senders, "curve"),
    )


def _public(given: list[str] | str, *roles: Role) -> frozenset[str]:
    for key in given:
        role, _ = keys.decode_public(key)
        if role not in roles:
            raise errors.ConfigError(f"{key} is an {role}'s key, and one of {' or '.join(roles)} is wanted here")
    return frozenset(given)
