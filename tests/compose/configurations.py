"""The servers of compose.yaml, and how their files are written anew: `python -m tests.compose.configurations`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lattice.nats_server.config import render
from lattice.nats_server.topologies import Site, stretch

FOLDER = Path(__file__).parents[2] / "scripts" / "compose"


def configurations() -> dict[str, str]:
    """By name of the file. Servers know each other by the names of their services. Clients are told of no address but
    those in their list: one of a network that is cut off would only cost time."""
    sites = [Site(name=name, address=f"nats-{name}") for name in ("east", "west", "witness")]
    found = {}
    for name, config in stretch(sites).items():
        assert config.cluster is not None
        cluster = msgspec.structs.replace(config.cluster, advertise=f"nats-{name}:6222", private_clients=True)
        own = msgspec.structs.replace(config, cluster=cluster, monitor="127.0.0.1:8222")
        found[f"nats-{name}.conf"] = f"# compose.yaml: the server in {name}. Nothing is encrypted.\n\n{render(own)}"
    return found


if __name__ == "__main__":
    for name, text in configurations().items():
        (FOLDER / name).write_text(text)
