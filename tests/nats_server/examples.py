"""The configurations in docs/nats/, and how they are written anew: `python -m tests.nats_server.examples`."""

from __future__ import annotations

from pathlib import Path

from lattice.nats_server.config import ServerConfig, Tls, render
from lattice.nats_server.topologies import Site, hub_and_leaf, lattice_account, stretch

FOLDER = Path(__file__).parent.parent.parent / "docs" / "nats"
STORE = Path("/var/lib/nats")
CERTIFICATES = Path("/etc/nats/tls")
ROLES = ("host", "tool", "dashboard", "secrets")


def certificates(folder: Path = CERTIFICATES) -> Tls:
    """What servers show to each other: both ends prove who they are."""
    return Tls(cert=folder / "server.pem", key=folder / "server.key", ca=folder / "ca.pem", verify=True)


def site(name: str) -> Site:
    return Site(name=name, address=f"nats.{name}.example.net", store=STORE)


def examples() -> dict[str, tuple[str, ServerConfig]]:
    """What each file is about, and its configuration, by the file's name."""
    single = ServerConfig(name="nats", host="0.0.0.0", store=STORE, monitor="127.0.0.1:8222")
    found = {"single.conf": ("One server. What it keeps is lost with its disk.", single)}
    two = stretch([site("east"), site("west"), site("witness")], peer_tls=certificates())
    for name, config in two.items():
        found[f"two-clouds-{name}.conf"] = (f"Two clouds and a witness: the server in {name}.", config)
    three = stretch([site("east"), site("west"), site("north")], peer_tls=certificates())
    for name, config in three.items():
        found[f"three-clouds-{name}.conf"] = (f"Three clouds: the server in {name}.", config)
    about = {"hub": "A hub that leaf nodes join.", "edge": "A leaf node, which nobody has to reach."}
    for name, config in hub_and_leaf(site("hub"), site("edge"), peer_tls=certificates()).items():
        found[f"leaf-{name}.conf"] = (about[name], config)
    accounts = tuple(
        lattice_account(lattice, {role: f"${lattice}_{role}_PASSWORD".upper() for role in ROLES})
        for lattice in ("default", "staging")
    )
    found["permissions.conf"] = (
        "Two lattices that cannot reach each other, with a user for each role. Passwords come from the environment.",
        ServerConfig(name="nats", host="0.0.0.0", store=STORE, accounts=accounts),
    )
    clients = Tls(cert=CERTIFICATES / "server.pem", key=CERTIFICATES / "server.key", ca=CERTIFICATES / "ca.pem")
    found["tls.conf"] = (
        "Clients use TLS: lattice host --nats tls://nats.example.net:4222",
        ServerConfig(name="nats", host="0.0.0.0", store=STORE, tls=clients),
    )
    return found


def text(about: str, config: ServerConfig) -> str:
    return f"# {about}\n\n{render(config)}"


if __name__ == "__main__":
    for name, example in examples().items():
        (FOLDER / name).write_text(text(*example))
