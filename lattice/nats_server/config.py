"""nats-server configurations as a lattice needs them: short pings, JetStream on a folder, clouds that know each other.

The files in docs/nats/ are what `render` makes; a test keeps the two equal.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """A server that this one joins as a leaf node."""

    url: str


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One server. `cluster_port` 0 means that it is in no cluster; `routes` are the other members' cluster URLs.

    `advertise` is what others are told to reach this one's cluster port by; with `no_gossip` nobody is told, and only
    the `routes` are used. `extra` is added as it is.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = 4222
    store: Path = Path("data")
    cluster: str = ""
    cluster_port: int = 0
    routes: tuple[str, ...] = ()
    advertise: str = ""
    no_gossip: bool = False
    domain: str = ""
    leaf_port: int = 0
    leaves: tuple[Leaf, ...] = ()
    store_bytes_max: int = 0
    extra: str = ""


def render(config: ServerConfig) -> str:
    """The text of a configuration file."""
    lines = [
        f"server_name: {_quoted(config.name)}",
        f'listen: "{config.host}:{config.port}"',
        "",
        "# A client, server or leaf that falls silent is noticed in 4 to 6 seconds; the defaults take minutes.",
        'ping_interval: "2s"',
        "ping_max: 2",
        'write_deadline: "2s"',
        "",
        "# What hosts keep: applications, links, configurations, images, large payloads.",
        "jetstream {",
        f"  store_dir: {_quoted(str(config.store))}",
        "  sync_interval: always",
    ]
    if config.store_bytes_max:
        lines.append(f"  max_file_store: {config.store_bytes_max}")
    if config.domain:
        lines.append(f"  domain: {_quoted(config.domain)}")
    lines.append("}")
    if config.cluster_port:
        lines += [
            "",
            "cluster {",
            f"  name: {_quoted(config.cluster)}",
            f'  listen: "{config.host}:{config.cluster_port}"',
        ]
        if config.no_gossip:
            lines.append("  no_advertise: true")
        if config.advertise:
            lines.append(f"  cluster_advertise: {_quoted(config.advertise)}")
        # One connection to each server: all traffic of a pair then fails, or comes back, together.
        lines += ["  pool_size: -1", '  ping_interval: "2s"', "  routes: ["]
        lines += [f"    {_quoted(route)}" for route in config.routes]
        lines += ["  ]", "}"]
    if config.leaf_port or config.leaves:
        lines += ["", "leafnodes {"]
        if config.leaf_port:
            lines.append(f'  listen: "{config.host}:{config.leaf_port}"')
        if config.leaves:
            lines.append("  reconnect: 1")
            lines += ["  remotes: ["]
            lines += [f"    {{ url: {_quoted(leaf.url)} }}" for leaf in config.leaves]
            lines += ["  ]"]
        lines.append("}")
    if config.extra:
        lines += ["", config.extra.strip()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text)
