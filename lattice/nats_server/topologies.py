"""Servers that belong together: clouds in one stretched cluster, a hub and its leaf, an account for each lattice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from lattice import errors
from lattice.nats_server import permissions
from lattice.nats_server.config import Account, Cluster, Leaf, ServerConfig, Tls, User

CLUSTER = "lattice"
SITES_MIN = 3
"""Of two servers neither knows, when the other is silent, which of them is cut off: nobody may decide then."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One server of a cluster: `host` is the interface it listens at, `address` how others reach that."""

    name: str
    address: str
    host: str = "0.0.0.0"  # noqa: S104  # a server for other machines listens for them
    port: int = 4222
    cluster_port: int = 6222
    store: Path = Path("/var/lib/nats")


def stretch(
    sites: Sequence[Site],
    *,
    cluster: str = CLUSTER,
    peer_tls: Tls | None = None,
    route: Callable[[Site, Site], str] | None = None,
) -> dict[str, ServerConfig]:
    """A JetStream cluster of one server in each cloud (with two clouds, a witness in a third place), by names of sites.

    Stored state has a replica at each of three sites, and the loss of any one leaves a majority. Every server has a
    route to every other; `route(from, to)` is its URL where that is not `to`'s address. Raises `errors.ConfigError`.
    """
    if len(sites) < SITES_MIN or len({site.name for site in sites}) < len(sites):
        raise errors.ConfigError(
            f"a stretched cluster needs {SITES_MIN} servers with names of their own, not {len(sites)}",
            remedy="with two clouds, add a small server in a third place as a witness",
        )
    url_of = route or _direct
    return {
        site.name: ServerConfig(
            name=site.name,
            host=site.host,
            port=site.port,
            store=site.store,
            tags=(f"cloud:{site.name}",),
            unique_tag="cloud:",
            cluster=Cluster(
                name=cluster,
                port=site.cluster_port,
                routes=tuple(url_of(site, other) for other in sites if other is not site),
            ),
            peer_tls=peer_tls,
        )
        for site in sites
    }


def _direct(_site: Site, other: Site) -> str:
    return f"nats://{other.address}:{other.cluster_port}"


def hub_and_leaf(
    hub: Site, leaf: Site, *, leaf_port: int = 7422, peer_tls: Tls | None = None
) -> dict[str, ServerConfig]:
    """A server that others can reach, and one that only reaches out, each with a JetStream domain named after it."""
    remote = Leaf(url=f"nats-leaf://{hub.address}:{leaf_port}")
    return {
        hub.name: ServerConfig(
            name=hub.name,
            host=hub.host,
            port=hub.port,
            store=hub.store,
            domain=hub.name,
            leaf_port=leaf_port,
            peer_tls=peer_tls,
        ),
        leaf.name: ServerConfig(
            name=leaf.name,
            host=leaf.host,
            port=leaf.port,
            store=leaf.store,
            domain=leaf.name,
            leaves=(remote,),
            peer_tls=peer_tls,
        ),
    }


def lattice_account(lattice: str, passwords: Mapping[str, str], domain: str = "") -> Account:
    """An account for one lattice, with the users `host`, `tool`, `dashboard` and `secrets`, each held to its
    role.

    `passwords` are by these names; each user is called `{lattice}-{role}`, since names count for the whole server.
    """
    roles = {
        "host": permissions.host(lattice, domain),
        "tool": permissions.tool(lattice, domain),
        "dashboard": permissions.dashboard(lattice),
        "secrets": permissions.secrets(lattice, domain),
    }
    users = tuple(
        User(name=f"{lattice}-{role}", password=passwords[role], permissions=allowed) for role, allowed in roles.items()
    )
    return Account(name=lattice, users=users)
