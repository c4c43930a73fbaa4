"""wasi:sockets for all of its kinds: what was granted, looking up names, and refusals, which go to the audit.

A guest reaches the places its manifest names under `sockets` and its host grants. Where those are names, it has to look
them up here first: then the addresses found are what the grant means.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from lattice.endpoints import Address
from lattice.streams import Signal, Waiter
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.instance import Instance, Resource
from lattice.wasm.wasi.poll import Pollable, subscribe
from lattice.wasm.wasi.socket_addresses import FAMILIES, address_to_wit, error_code, reachable
from lattice.wasm.wasi.streams import IoError
from lattice.wasm.wasi.table import Interface

NOT_GRANTED = "it is not among the sockets that the manifest names and the host grants"
NO_LISTENERS = "actors answer requests and take no connections; a provider listens for them"
SOCKETS_MAX = 64
"""Of one instance at a time; each holds a descriptor of the host."""
LOOKUPS_MAX = 16
"""Names that one instance may look up at a time; how many of them are asked for at once says `LOOKING_UP_MAX`."""
FOUND_MAX = 1024
"""Addresses whose names are remembered, and so what a grant of a name means; for one more the oldest is forgotten."""


class Network:
    """The resource `network`."""

    __slots__ = ()

    def close(self) -> None:
        """Nothing to free."""


class Reach:
    """What one instance may reach, and what the names mean that it has looked up."""

    __slots__ = ("_found", "_instance", "looking_up", "lookups", "open")

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._found: dict[Address, set[str]] = {}
        self.looking_up = instance.actor.looking_up
        self.open = 0
        self.lookups = 0

    def anything(self, protocol: str) -> bool:
        return any(endpoint.protocol == protocol for endpoint in self._instance.grants.sockets)

    def name(self, name: str) -> bool:
        """Whether a grant is for this name."""
        return any(endpoint.host in ("*", name) for endpoint in self._instance.grants.sockets)

    def remember(self, name: str, addresses: list[Address]) -> None:
        for address in addresses:
            address = reachable(address)
            names = self._found.pop(address, set())
            self._found[address] = names | {name}
            if len(self._found) > FOUND_MAX:
                del self._found[next(iter(self._found))]

    def permits(self, protocol: str, address: Address, port: int) -> bool:
        address = reachable(address)
        names = self._found.get(address, ())
        return any(one.permits(protocol, address, port, names) for one in self._instance.grants.sockets)

    def require(self, protocol: str, address: Address, port: int) -> Err | None:
        """None when the guest may go there; otherwise its answer, and the audit has it."""
        if self.permits(protocol, address, port):
            return None
        return self.refuse(f"{protocol}://{f'[{address}]' if address.version == 6 else address}:{port}")

    def refuse(self, what: str, why: str = NOT_GRANTED) -> Err:
        self._instance.refused(f"wasi:sockets {what}", why)
        return Err("access-denied")


S = TypeVar("S", bound=Resource)


def opened(kind: int, family: str) -> socket.socket:
    """A socket of the system that never waits. Raises `OSError`."""
    system = socket.socket(FAMILIES[family], kind)
    system.setblocking(False)
    if family == "ipv6":
        system.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return system


def created(instance: Instance, protocol: str, make: Callable[[], S]) -> Ok | Err:
    """A socket for a guest that was granted any place by this protocol."""
    reach = reach_of(instance)
    if not reach.anything(protocol):
        return reach.refuse(f"{protocol}-socket")
    if reach.open >= SOCKETS_MAX:
        return Err("new-socket-limit")
    try:
        return Ok(instance.own(make()))
    except OSError as error:
        return Err(error_code(error))


def reach_of(instance: Instance) -> Reach:
    if instance.reach is None:
        instance.reach = Reach(instance)
    reach: Reach = instance.reach
    return reach


class Lookup:
    """The resource `resolve-address-stream`."""

    __slots__ = ("_changed", "_failure", "_found")

    def __init__(self) -> None:
        self._changed = Signal()
        self._found: deque[Address] | None = None
        self._failure: str = ""

    async def run(self, name: str, reach: Reach) -> None:
        try:
            found = await _asked(name, reach.looking_up)
        except OSError as error:
            self._failure = error_code(error)
        except ValueError:  # no name at all: too long a part, a NUL
            self._failure = "invalid-argument"
        else:
            addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
            reach.remember(name.lower(), addresses)
            self._found = deque(addresses)
        self._changed.fire()

    def over(self, reach: Reach, _task: asyncio.Task[None]) -> None:
        reach.lookups -= 1
        if not self.ready():  # the call that it was made in has ended
            self._failure = "temporary-resolver-failure"
            self._changed.fire()

    def answered(self, address: Address) -> None:
        self._found = deque([address])

    def next(self) -> Ok | Err:
        if self._failure:
            return Err(self._failure)
        if self._found is None:
            return Err("would-block")
        return Ok(address_to_wit(self._found.popleft()) if self._found else None)

    def ready(self) -> bool:
        return self._found is not None or bool(self._failure)

    def attach(self, waiter: Waiter) -> None:
        self._changed.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._changed.detach(waiter)

    def close(self) -> None:
        """The search ends with the instance at the latest."""


def _instance_network(instance: Instance) -> Network:
    return instance.own_beyond_calls(Network())


def _resolve_addresses(instance: Instance, _network: Network, name: str) -> Ok | Err:
    reach, lookup = reach_of(instance), Lookup()
    try:
        # An address is no question to anybody; whether it may be reached is asked when it is connected to.
        lookup.answered(ipaddress.ip_address(name))
        return Ok(instance.own(lookup))
    except ValueError:
        pass
    if not reach.name(name.lower()):
        return reach.refuse(f"resolve-addresses {name[:200]!r}")
    if reach.lookups >= LOOKUPS_MAX:
        return Err("temporary-resolver-failure")
    reach.lookups += 1
    instance.own(lookup)
    instance.start(lookup.run(name, reach)).add_done_callback(partial(lookup.over, reach))
    return Ok(lookup)


async def _asked(name: str, looking_up: asyncio.Semaphore) -> list[Any]:
    """What the system's resolver says. It is asked in a thread, which nobody can call back when the guest is gone: so
    its place is free when the thread is."""
    await looking_up.acquire()
    ask = partial(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM)
    asked = asyncio.get_running_loop().run_in_executor(None, ask)
    asked.add_done_callback(lambda _: looking_up.release())
    return await asyncio.shield(asked)


def _next_address(lookup: Lookup) -> Ok | Err:
    return lookup.next()


def _subscribe(instance: Instance, lookup: Lookup) -> Pollable:
    return subscribe(instance, lookup)


def _network_error_code(error: IoError) -> Any:
    return error.network_code


INSTANCE_NETWORK = Interface("wasi:sockets/instance-network", functions={"instance-network": _instance_network})

NETWORK = Interface(
    "wasi:sockets/network", plain={"network-error-code": _network_error_code}, resources=frozenset({"network"})
)

IP_NAME_LOOKUP = Interface(
    "wasi:sockets/ip-name-lookup",
    functions={"resolve-addresses": _resolve_addresses, "[method]resolve-address-stream.subscribe": _subscribe},
    plain={"[method]resolve-address-stream.resolve-next-address": _next_address},
    resources=frozenset({"resolve-address-stream"}),
)
