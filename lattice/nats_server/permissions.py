"""What each role in a lattice may publish and subscribe to, as permissions of a NATS user.

They keep a user to one lattice and one role. Streams are made and changed by hosts alone: whoever may change one can
have it capture, copy and send on what is no business of its, orders among them. Who may subscribe to inboxes sees
answers to others of its account: lattices that must not trust each other need an account each (docs/guides/nats.md).
"""

from __future__ import annotations

from lattice import subjects
from lattice.nats_server.config import Permissions

INBOX = "_INBOX.>"
"""Where answers go. A host moves to another server with requests under way, so answers cannot be allowed one by one."""
_READ = ("STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET")
_MAKE = ("STREAM.CREATE", "STREAM.UPDATE")
"""Creating a stream that is not there, and giving it the replicas it can have."""


def host(lattice: str, domain: str = "") -> Permissions:
    """A host: calls, commands, events, and the lattice's stored state. `domain` is the JetStream domain it is in."""
    calls, control, events, own = subjects.rpc_actor(lattice, ">"), _control(lattice), _events(lattice), _own(lattice)
    streams = (
        *(_bucket(name, domain) for name in _buckets(lattice)),
        *(_objects(name, domain) for name in _object_stores(lattice)),
        _api(f"KV_{subjects.secret_bucket(lattice)}", domain, *_READ),
        *(_api(stream, domain, *_MAKE) for stream in _streams(lattice)),
    )
    stored = tuple(subject for stream in streams for subject in stream)
    return Permissions(
        publish=(calls, control, events, own, *stored, INBOX),
        subscribe=(calls, control, events, subjects.app(lattice, ">"), own, INBOX),
    )


def tool(lattice: str, domain: str = "") -> Permissions:
    """An operator's `lattice`, `wash` or `wadm` client: commands, applications, calls; images and large payloads."""
    stored = tuple(subject for name in _object_stores(lattice) for subject in _objects(name, domain))
    return Permissions(
        publish=(subjects.rpc_actor(lattice, ">"), _control(lattice), subjects.app(lattice, ">"), *stored, INBOX),
        subscribe=(_events(lattice), _own(lattice), INBOX),
    )


def secrets(lattice: str, domain: str = "") -> Permissions:
    """Whoever runs `lattice secret`: the bucket of sealed secrets, and nothing else."""
    return Permissions(publish=(*_bucket(subjects.secret_bucket(lattice), domain), INBOX), subscribe=(INBOX,))


def dashboard(lattice: str) -> Permissions:
    """Looks and changes nothing: events, inventories, links, and how applications are doing. Neither manifests nor
    configurations, which may hold secrets."""
    questions = (("host", "ping"), ("host", "get", "*"), ("claims", "get"), ("link", "get"))
    applications = (
        ("model", "get"),
        ("model", "list"),
        ("model", "status", "*"),
        ("model", "versions", "*"),
        ("model", "history", "*"),
    )
    return Permissions(
        publish=(
            *(subjects.ctl(lattice, *words) for words in questions),
            *(subjects.app(lattice, *words) for words in applications),
            INBOX,
        ),
        subscribe=(_events(lattice), subjects.pulse(lattice), INBOX),
    )


def _control(lattice: str) -> str:
    return subjects.ctl(lattice, ">")


def _events(lattice: str) -> str:
    return subjects.event(lattice, ">")


def _own(lattice: str) -> str:
    return f"nanolattice.{lattice}.>"


def _buckets(lattice: str) -> tuple[str, ...]:
    return (
        subjects.data_bucket(lattice),
        subjects.lease_bucket(lattice),
        subjects.config_bucket(lattice),
        subjects.manifest_bucket(lattice),
    )


def _object_stores(lattice: str) -> tuple[str, ...]:
    return subjects.image_objects(lattice), subjects.payload_objects(lattice)


def _streams(lattice: str) -> tuple[str, ...]:
    buckets = (*_buckets(lattice), subjects.secret_bucket(lattice))
    return (*(f"KV_{name}" for name in buckets), *(f"OBJ_{name}" for name in _object_stores(lattice)))


def _bucket(name: str, domain: str) -> tuple[str, ...]:
    keys = f"$KV.{name}.>"
    return (*_api(f"KV_{name}", domain, *_READ), *((f"$JS.{domain}.API.{keys}", keys) if domain else (keys,)))


def _objects(name: str, domain: str) -> tuple[str, ...]:
    return (*_api(f"OBJ_{name}", domain, *_READ, "STREAM.PURGE"), f"$O.{name}.>")


def _api(stream: str, domain: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{verb}.{stream}" for prefix in _prefixes(domain) for verb in verbs)


def _prefixes(domain: str) -> tuple[str, ...]:
    """A server of the domain itself takes the domain out of a subject before it looks whether that is allowed."""
    return (f"$JS.{domain}.API", "$JS.API") if domain else ("$JS.API",)
