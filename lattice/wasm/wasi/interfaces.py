"""All interfaces together, for one guest instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from lattice.wasm import output
from lattice.wasm.component.host import ByType, KnownFunction
from lattice.wasm.wasi import (
    actor_world,
    blobstore,
    cli,
    clocks,
    configuration,
    filesystem,
    http_functions,
    http_outgoing,
    keyvalue,
    keyvalue_atomics,
    logs,
    messaging,
    poll,
    preopens,
    randomness,
    sockets,
    stream_functions,
    tcp,
    udp,
)
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.table import Interface, waits

INTERFACES: Mapping[str, Interface] = MappingProxyType(
    {
        interface.name: interface
        for interface in (
            *(poll.POLL, stream_functions.STREAMS, stream_functions.ERROR),
            *(clocks.MONOTONIC, clocks.WALL, clocks.TIMEZONE),
            *(randomness.RANDOM, randomness.INSECURE, randomness.INSECURE_SEED),
            *(cli.ENVIRONMENT, cli.EXIT, cli.STDIN, cli.STDOUT, cli.STDERR),
            *(cli.TERMINAL_INPUT, cli.TERMINAL_OUTPUT),
            *(cli.TERMINAL_STDIN, cli.TERMINAL_STDOUT, cli.TERMINAL_STDERR),
            *(filesystem.TYPES, preopens.PREOPENS),
            *(sockets.INSTANCE_NETWORK, sockets.NETWORK, sockets.IP_NAME_LOOKUP),
            *(tcp.TCP_CREATE, tcp.TCP, udp.UDP_CREATE, udp.UDP),
            *(http_functions.TYPES, http_outgoing.OUTGOING_HANDLER),
            *(keyvalue.STORE, keyvalue_atomics.ATOMICS, keyvalue.BATCH),
            *(configuration.STORE, configuration.RUNTIME, logs.LOGGING),
            *(blobstore.TYPES, blobstore.CONTAINER, blobstore.BLOBSTORE),
            *(messaging.CONSUMER, messaging.TYPES),
            *(actor_world.HOST, actor_world.TYPES),
        )
    }
)
"""Every interface there is, by its name without a version."""


def known(interface: str, name: str) -> KnownFunction | None:
    """What `InstanceInterfaces.function` gives to every instance, before there is one."""
    found = INTERFACES.get(interface)
    if found is None:
        return None
    function = found.functions.get(name)
    if function is not None:
        return KnownFunction(function, of_instance=True, waits=waits(function))
    function = found.plain.get(name)
    return None if function is None else KnownFunction(function, of_instance=False, waits=waits(function))


class InstanceInterfaces(Instance):
    """What one guest instance imports: the `HostInterfaces` of the canonical ABI. `close` frees all that it holds."""

    __slots__ = ()

    def function(self, interface: str, name: str) -> Callable[..., Any] | ByType | None:
        found = INTERFACES.get(interface)
        if found is None:
            return None
        function = found.functions.get(name)
        if function is None:
            return found.plain.get(name)
        if isinstance(function, ByType):
            made = function.made
            return ByType(lambda type_: partial(made(type_), self))
        return partial(function, self)

    def resource(self, interface: str, name: str) -> bool:
        found = INTERFACES.get(interface)
        return found is not None and name in found.resources

    def drop(self, _interface: str, _name: str, resource: object) -> None:
        self.let_go(resource)  # type: ignore[arg-type]  # only resources of this host reach it

    def close(self) -> None:
        output.finish(self)
        super().close()
