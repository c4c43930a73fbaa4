"""nats-server configurations as a lattice needs them: short pings, JetStream on a folder, clouds that know each other.

The files in docs/nats/ are what `render` makes; a test keeps the two equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lattice import errors

ANY_PORT = -1
"""What nats-server calls a port that it chooses."""
_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """`ca` signed the certificates of the other side; with `verify` the other side has to show one."""

    cert: Path
    key: Path
    ca: Path | None = None
    verify: bool = False


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects; what is not listed is denied. `*` stands for one word, `>` for the rest."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Logs in by `password` (text, a bcrypt hash, or `$NAME` of a variable in the server's environment), or by `nkey`,
    a public key `U…`. Without `permissions` everything in the account is allowed."""

    name: str = ""
    password: str = ""
    nkey: str = ""
    permissions: Permissions | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Messages and stored state of one account are out of reach for every other."""

    name: str
    users: tuple[User, ...]
    jetstream: bool = True


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """`routes` are the other members' cluster URLs. `advertise` ("host:port") is what others are told to reach this
    one's cluster port by. With `private_clients` clients are not told of the other members."""

    name: str
    port: int = 6222
    routes: tuple[str, ...] = ()
    advertise: str = ""
    private_clients: bool = False


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """A server that this one joins as a leaf node, with its local `account` ("" where there are none)."""

    url: str
    account: str = ""
    credentials: Path | None = None


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Joins whole clusters. `name` has to be the cluster's; `others` are the other gateways' URLs by their names."""

    name: str
    port: int = 7222
    others: dict[str, str] = {}


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One server. Times are in seconds.

    `port` 0 is one that the server chooses. `store` is where JetStream keeps its data, bounded by `store_bytes_max`
    (0: three quarters of the disk); `domain` names it, with leaf nodes. `tags` ("cloud:east") describe the server;
    with `unique_tag` ("cloud:") no two replicas are put on servers with the same tag that begins so.

    `tls` is for clients, `peer_tls` between servers. `monitor` ("127.0.0.1:8222") serves /healthz, /jsz and others to
    whoever asks. `advertise` is what clients are told to reach this server by. `extra` is added as it is.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = 4222
    advertise: str = ""
    monitor: str = ""
    payload_bytes_max: int = 0
    ping_interval_s: float = 2
    ping_max: int = 2
    write_deadline_s: float = 2
    store: Path = Path("data")
    store_bytes_max: int = 0
    domain: str = ""
    tags: tuple[str, ...] = ()
    unique_tag: str = ""
    cluster: Cluster | None = None
    gateway: Gateway | None = None
    leaf_port: int = 0
    leaves: tuple[Leaf, ...] = ()
    accounts: tuple[Account, ...] = ()
    tls: Tls | None = None
    peer_tls: Tls | None = None
    extra: str = ""


def render(config: ServerConfig) -> str:
    """The text of a configuration file. Raises `errors.ConfigError` for a text that no file can hold."""
    parts = [
        _server(config),
        _jetstream(config),
        _cluster(config),
        _gateway(config),
        _leafnodes(config),
        _accounts(config.accounts),
        config.extra.strip().splitlines(),
    ]
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part) + "\n"


def _server(config: ServerConfig) -> Iterator[str]:
    yield f"server_name: {_quoted(config.name)}"
    yield f"listen: {_address(config.host, config.port)}"
    if config.advertise:
        yield f"client_advertise: {_quoted(config.advertise)}"
    if config.monitor:
        yield f"http: {_quoted(config.monitor)}"
    if config.payload_bytes_max:
        yield f"max_payload: {config.payload_bytes_max}"
    if config.tags:
        yield f"server_tags: [{', '.join(map(_quoted, config.tags))}]"
    yield from _tls(config.tls, "")
    yield ""
    yield "# A client, server or leaf that falls silent is noticed in 4 to 6 seconds; the defaults take minutes."
    yield f"ping_interval: {_seconds(config.ping_interval_s)}"
    yield f"ping_max: {config.ping_max}"
    yield f"write_deadline: {_seconds(config.write_deadline_s)}"


def _jetstream(config: ServerConfig) -> Iterator[str]:
    yield "# What hosts keep: applications, links, configurations, images, large payloads."
    yield "jetstream {"
    yield f"  store_dir: {_quoted(str(config.store))}"
    yield "  # What was acknowledged is on the disk."
    yield "  sync_interval: always"
    if config.store_bytes_max:
        yield f"  max_file_store: {config.store_bytes_max}"
    if config.domain:
        yield f"  domain: {_quoted(config.domain)}"
    if config.unique_tag:
        yield f"  unique_tag: {_quoted(config.unique_tag)}"
    yield "}"


def _cluster(config: ServerConfig) -> Iterator[str]:
    cluster = config.cluster
    if cluster is None:
        return
    yield "cluster {"
    yield f"  name: {_quoted(cluster.name)}"
    yield f"  listen: {_address(config.host, cluster.port)}"
    if cluster.advertise:
        yield f"  cluster_advertise: {_quoted(cluster.advertise)}"
    if cluster.private_clients:
        yield "  no_advertise: true"
    yield "  # One connection to each server: all traffic of a pair then fails, or comes back, together."
    yield "  pool_size: -1"
    yield f"  ping_interval: {_seconds(config.ping_interval_s)}"
    yield from _tls(config.peer_tls, "  ")
    yield "  routes: ["
    yield from (f"    {_quoted(route)}" for route in cluster.routes)
    yield "  ]"
    yield "}"


def _gateway(config: ServerConfig) -> Iterator[str]:
    gateway = config.gateway
    if gateway is None:
        return
    yield "gateway {"
    yield f"  name: {_quoted(gateway.name)}"
    yield f"  listen: {_address(config.host, gateway.port)}"
    yield from _tls(config.peer_tls, "  ")
    yield "  gateways: ["
    for name, url in gateway.others.items():
        yield f"    {{ name: {_quoted(name)}, url: {_quoted(url)} }}"
    yield "  ]"
    yield "}"


def _leafnodes(config: ServerConfig) -> Iterator[str]:
    if not config.leaf_port and not config.leaves:
        return
    yield "leafnodes {"
    if config.leaf_port:
        yield f"  listen: {_address(config.host, config.leaf_port)}"
        yield from _tls(config.peer_tls, "  ")
    if config.leaves:
        yield '  reconnect: "1s"'
        yield "  remotes: ["
        for leaf in config.leaves:
            yield "    {"
            yield f"      url: {_quoted(leaf.url)}"
            if leaf.account:
                yield f"      account: {_quoted(leaf.account)}"
            if leaf.credentials is not None:
                yield f"      credentials: {_quoted(str(leaf.credentials))}"
            yield from _tls(config.peer_tls, "      ")
            yield "    }"
        yield "  ]"
    yield "}"


def _accounts(accounts: tuple[Account, ...]) -> Iterator[str]:
    if not accounts:
        return
    yield "accounts {"
    for account in accounts:
        yield f"  {_quoted(account.name)}: {{"
        if account.jetstream:
            yield "    jetstream: enabled"
        yield "    users: ["
        for user in account.users:
            yield "      {"
            yield from (f"        {line}" for line in _user(user))
            yield "      }"
        yield "    ]"
        yield "  }"
    yield "}"


def _user(user: User) -> Iterator[str]:
    if user.nkey:
        yield f"nkey: {_quoted(user.nkey)}"
    else:
        secret = user.password if _VARIABLE.fullmatch(user.password) else _quoted(user.password)
        yield f"user: {_quoted(user.name)}"
        yield f"password: {secret}"
    if user.permissions is not None:
        yield "permissions: {"
        for name, subjects in (("publish", user.permissions.publish), ("subscribe", user.permissions.subscribe)):
            yield f"  {name}: {{ allow: ["
            yield from (f"    {_quoted(subject)}" for subject in subjects)
            yield "  ] }"
        yield "}"


def _tls(tls: Tls | None, indent: str) -> Iterator[str]:
    if tls is None:
        return
    yield f"{indent}tls {{"
    yield f"{indent}  cert_file: {_quoted(str(tls.cert))}"
    yield f"{indent}  key_file: {_quoted(str(tls.key))}"
    if tls.ca is not None:
        yield f"{indent}  ca_file: {_quoted(str(tls.ca))}"
    if tls.verify:
        yield f"{indent}  verify: true"
    yield f"{indent}}}"


def _address(host: str, port: int) -> str:
    return _quoted(f"{f'[{host}]' if ':' in host else host}:{port or ANY_PORT}")


def _seconds(value: float) -> str:
    return f'"{value:g}s"'


def _quoted(text: str) -> str:
    if _CONTROL.search(text):
        raise errors.ConfigError(f"{text!r} cannot stand in the configuration of nats-server")
    return json.dumps(text, ensure_ascii=False)
