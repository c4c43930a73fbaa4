"""How registries are reached: which may be without TLS, whose certificates count, who logs in, how long is waited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from lattice import errors
from lattice.artifacts.credentials import Credential, Login
from lattice.artifacts.reference import host_name

INSECURE, PRIVATE, CA = "LATTICE_INSECURE_REGISTRIES", "LATTICE_REGISTRY_PRIVATE_HOSTS", "LATTICE_REGISTRY_CA"
LOGIN = ("LATTICE_REGISTRY", "LATTICE_REGISTRY_USER", "LATTICE_REGISTRY_PASSWORD")


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long a registry may take."""

    connect_s: float = 10.0
    idle_s: float = 30.0
    """Between two pieces of an answer."""
    answer_s: float = 60.0
    """A whole answer that is no image: a manifest, a token."""
    bytes_per_s_min: int = 64 * 1024
    """An image has `answer_s` and what it takes at this rate, so that one that trickles ends."""
    attempts: int = 4
    backoff_s: float = 0.5
    """Before the second attempt; it doubles for each further one."""

    def transfer_s(self, size: int) -> float:
        return self.answer_s + size / self.bytes_per_s_min


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """`insecure` are registries by HOST:PORT that are spoken to in plain HTTP. `private` are hosts that registries may
    send this one to although their addresses are not public. `ca` certifies registries besides the system's own
    authorities. `docker_config` is the folder with Docker's config.json, None for none. `login` goes before it."""

    insecure: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    ca: Path | None = None
    docker_config: Path | None = None
    login: Login | None = None
    patience: Patience = Patience()

    def is_insecure(self, host: str, port: int | None) -> bool:
        return f"{host}:{port or 80}" in self.insecure


def registry_settings(
    environment: Mapping[str, str],
    *,
    insecure: Iterable[str] = (),
    private: Iterable[str] = (),
    ca: Path | None = None,
) -> RegistrySettings:
    """What variables say and what is given, together. Raises `errors.ConfigError`."""
    plain = [host_name(name) for name in (*_words(environment, INSECURE), *insecure)]
    reachable = [host_name(name)[0] for name in (*_words(environment, PRIVATE), *private)]
    chosen = ca or (Path(environment[CA]) if environment.get(CA) else None)
    if chosen is not None and not chosen.is_file():
        raise errors.ConfigError(f"there is no file {chosen} with the authority of registries", remedy="--registry-ca")
    docker = environment.get("DOCKER_CONFIG")
    home = environment.get("HOME")
    folder = Path(docker) if docker else Path(home) / ".docker" if home else None
    return RegistrySettings(
        insecure=frozenset(f"{host}:{port or 80}" for host, port in plain),
        private=frozenset(reachable),
        ca=chosen,
        docker_config=folder,
        login=_login(environment),
    )


def _words(environment: Mapping[str, str], name: str) -> list[str]:
    return environment.get(name, "").replace(",", " ").split()


def _login(environment: Mapping[str, str]) -> Login | None:
    """Names its registry, so that a password goes to no other one that a manifest happens to name."""
    registry, user, password = (environment.get(name, "") for name in LOGIN)
    if not (user or password):
        return None
    if not (registry and user and password):
        raise errors.ConfigError(
            f"of {', '.join(LOGIN)} some are set and some are not", remedy="set all three, or none of them"
        )
    host, port = host_name(registry)
    return Login(f"{host}:{port}" if port else host, Credential(user, password))
