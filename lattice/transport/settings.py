"""How a host or tool reaches NATS. A frozen record; nothing here connects."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from lattice import errors

SCHEMES = ("nats", "tls")


class NatsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`urls` are servers, the near one first; others are used while it is away.

    `creds` is a file with a user's JWT and seed, `nkey_seed` one with a seed alone. `tls_ca` is the authority that
    signed the servers' certificates, when it is not one that the system trusts; `tls_cert` and `tls_key` prove who
    this is. `domain` names a JetStream domain, for a lattice on leaf nodes. `replicas` of stored state; None takes as
    many as the cluster has servers, up to 3. `grows` is false for tools, which leave it to hosts to give what is stored
    more replicas: they may not.
    """

    urls: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    name: str = ""
    creds: Path | None = None
    nkey_seed: Path | None = None
    user: str = ""
    password: str = ""
    token: str = ""
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    domain: str = ""
    replicas: int | None = None
    grows: bool = True

    def __post_init__(self) -> None:
        if not self.urls:
            raise errors.ConfigError(
                "no NATS server is named", remedy="give at least one, such as nats://127.0.0.1:4222"
            )
        for url in self.urls:
            check_url(url)
        if bool(self.tls_cert) != bool(self.tls_key):
            raise errors.ConfigError("a TLS certificate and its key are given together or not at all")
        if sum((self.creds is not None, self.nkey_seed is not None, bool(self.user), bool(self.token))) > 1:
            raise errors.ConfigError("credentials, nkey, user and token exclude each other", remedy="give one of them")

    def __repr__(self) -> str:
        return f"NatsSettings({', '.join(self.shown)})"

    @property
    def shown(self) -> tuple[str, ...]:
        """The addresses without what logs in."""
        return tuple(shown(url) for url in self.urls)


def shown(url: str) -> str:
    """A URL as it may be printed: without user and password."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or 4222}"


def check_url(url: str) -> None:
    """Raises `errors.ConfigError` for what is not the URL of a NATS server."""
    remedy = "write nats://HOST:PORT, or tls://HOST:PORT"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise errors.ConfigError(f"the NATS URL has no usable host and port: {error}", remedy=remedy) from error
    if parts.scheme not in SCHEMES or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise errors.ConfigError(
            f"{parts.scheme}://{parts.hostname or ''} is not the URL of a NATS server", remedy=remedy
        )
