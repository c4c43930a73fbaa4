"""Every subject of a lattice, built and taken apart in one place.

`wasmbus.…` are the subjects of wasmCloud 1.x and of the actor generation before it, `wadm.api.…` those of its
application manager; what this project adds stands under `nanolattice.…`, or behind a word no other tool uses. Every
subject holds the lattice's name, so that permissions can be given for one lattice (docs/guides/nats.md).
"""

from __future__ import annotations

import re

from lattice import errors

LATTICE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WORD = re.compile(r"[^\s.*>]{1,256}")


def check_lattice(name: str) -> str:
    """Raises `errors.ConfigError` for a name that cannot stand in subjects and names of buckets."""
    if not LATTICE_NAME.fullmatch(name):
        raise errors.ConfigError(
            f"{name!r} cannot be the name of a lattice", remedy="use letters, digits, - and _, at most 64"
        )
    return name


def is_word(text: str) -> bool:
    """Whether a key can stand between the dots of a subject."""
    return _WORD.fullmatch(text) is not None


_ORDERS = ("$", "wasmbus.", "wadm.", "nanolattice.")


def takes_answers(reply: str) -> bool:
    """Whether an answer may go there. Whoever asks chooses the subject, and NATS does not look whether they may publish
    on it: an answer on a subject of orders, or of the server's store, would be the host's own word."""
    return reply != "" and not reply.startswith(_ORDERS)


# Calls.


def rpc_actor(lattice: str, key: str) -> str:
    """Any copy of an actor; the queue group has the same name."""
    return f"wasmbus.rpc.{lattice}.{key}"


def rpc_provider(lattice: str, key: str, link: str) -> str:
    """Any copy of a provider; the queue group is `rpc`."""
    return f"wasmbus.rpc.{lattice}.{key}.{link}"


def rpc_on_host(lattice: str, key: str, host: str) -> str:
    """The copy of an actor or provider on one host (an addition)."""
    return f"wasmbus.rpc.{lattice}.{key}.on.{host}"


CALLS = "_calls"
"""Stands where the key of an actor or provider would: the question which calls a host is answering (an addition)."""


def rpc_calls(lattice: str, host: str) -> str:
    return rpc_on_host(lattice, CALLS, host)


def rpc_to_host(lattice: str, host: str) -> str:
    """What a host subscribes to for all of its `rpc_on_host`."""
    return rpc_on_host(lattice, "*", host)


def rpc_shutdown(lattice: str, key: str, link: str) -> str:
    """Ends a provider, on every host that runs it. Has to be signed."""
    return f"wasmbus.rpc.{lattice}.{key}.{link}.shutdown"


def shutdown_of(lattice: str, subject: str) -> str:
    """The key of the provider that such a subject is about."""
    return subject[len(f"wasmbus.rpc.{lattice}.") :].partition(".")[0]


# Control, events.


def ctl(lattice: str, *words: str) -> str:
    """`ctl("default", "host", "get", HOST)`; the whole interface is in `control.interface`."""
    return ".".join(("wasmbus.ctl.v1", lattice, *words))


def ctl_words(lattice: str, subject: str) -> list[str]:
    """The words behind the lattice's name, [] for a subject that is not of this lattice's control interface."""
    prefix = f"wasmbus.ctl.v1.{lattice}."
    return subject[len(prefix) :].split(".") if subject.startswith(prefix) else []


def event(lattice: str, name: str) -> str:
    return f"wasmbus.evt.{lattice}.{name}"


def pulse(lattice: str) -> str:
    """Small signs of life, several in a second (an addition; the heartbeat event carries the whole inventory)."""
    return f"nanolattice.{lattice}.pulse"


def changed(lattice: str) -> str:
    """Hint that the lattice's stored state changed (an addition); who misses it looks again some seconds later."""
    return f"nanolattice.{lattice}.changed"


def app(lattice: str, *words: str) -> str:
    """`app("default", "model", "put")`: applications, as wadm has them."""
    return ".".join(("wadm.api", lattice, *words))


def app_words(lattice: str, subject: str) -> list[str]:
    prefix = f"wadm.api.{lattice}."
    return subject[len(prefix) :].split(".") if subject.startswith(prefix) else []


# Stored state: names of JetStream buckets.


def data_bucket(lattice: str) -> str:
    """Links put through the control interface."""
    return f"LATTICEDATA_{lattice}"


def lease_bucket(lattice: str) -> str:
    """Who reconciles. Apart, because it changes every second."""
    return f"LEASE_{lattice}"


def config_bucket(lattice: str) -> str:
    return f"CONFIGDATA_{lattice}"


def manifest_bucket(lattice: str) -> str:
    return f"MANIFESTS_{lattice}"


def secret_bucket(lattice: str) -> str:
    """Secrets, sealed (docs/guides/secrets.md)."""
    return f"SECRETS_{lattice}"


def image_objects(lattice: str) -> str:
    """Images that were given as files, by digest."""
    return f"IMAGES_{lattice}"


def payload_objects(lattice: str) -> str:
    """Payloads too large for one message, by the id of their call."""
    return lattice
