"""Options of sockets, which TCP and UDP share: as wasi:sockets counts them, and as the system does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.socket_addresses import error_code

NS = 1_000_000_000
VALUE_MAX = 2**31 - 1
"""What a system call takes."""


class HasSocket(Protocol):
    """A resource over a socket of the system."""

    @property
    def system(self) -> socket.socket: ...

    @property
    def family(self) -> str: ...


class Option(msgspec.Struct, frozen=True):
    """`unit` is what one of the system's is here: a second has 10^9 of WASI's nanoseconds."""

    level: int
    name: int
    unit: int = 1
    least: int = 1
    most: int = VALUE_MAX
    boolean: bool = False
    level_6: int | None = None
    name_6: int | None = None

    def place(self, family: str) -> tuple[int, int]:
        if family == "ipv6" and self.level_6 is not None and self.name_6 is not None:
            return self.level_6, self.name_6
        return self.level, self.name


HOP_LIMIT = Option(
    socket.IPPROTO_IP, socket.IP_TTL, most=255, level_6=socket.IPPROTO_IPV6, name_6=socket.IPV6_UNICAST_HOPS
)
RECEIVE_BUFFER = Option(socket.SOL_SOCKET, socket.SO_RCVBUF)
SEND_BUFFER = Option(socket.SOL_SOCKET, socket.SO_SNDBUF)
KEEP_ALIVE = Option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, least=0, boolean=True)
KEEP_ALIVE_IDLE = Option(socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1), unit=NS, most=32767)
KEEP_ALIVE_INTERVAL = Option(socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -1), unit=NS, most=32767)
KEEP_ALIVE_COUNT = Option(socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", -1), most=127)


def _get(option: Option) -> Callable[[HasSocket], Ok | Err]:
    def get(of: HasSocket) -> Ok | Err:
        if option.name < 0:
            return Err("not-supported")
        try:
            value = of.system.getsockopt(*option.place(of.family))
        except OSError as error:
            return Err(error_code(error))
        return Ok(bool(value) if option.boolean else value * option.unit)

    return get


def _set(option: Option) -> Callable[[HasSocket, Any], Ok | Err]:
    def set_(of: HasSocket, value: int) -> Ok | Err:
        if option.name < 0:
            return Err("not-supported")
        if not option.boolean and value == 0:
            return Err("invalid-argument")
        rounded = min(max(int(value) // option.unit, option.least), option.most)
        try:
            of.system.setsockopt(*option.place(of.family), rounded)
        except OSError as error:
            return Err(error_code(error))
        return Ok(None)

    return set_


def functions(resource: str, options: Mapping[str, Option]) -> dict[str, Callable[..., Any]]:
    """`options` by the names of their getters; the setter of `x` is `set-x`."""
    made: dict[str, Callable[..., Any]] = {}
    for name, option in options.items():
        made[f"[method]{resource}.{name}"] = _get(option)
        made[f"[method]{resource}.set-{name}"] = _set(option)
    return made
