"""wasi:sockets: every function is there and none gives a guest a socket. What was asked for goes to the audit.

Calls over a network are made through contracts, where a link says which hosts they may reach. A guest that gets no
socket and no name resolved cannot have the other resources either; their functions are here so that nothing traps for
want of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lattice.wasm.component.host import Err
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.streams import IoError
from lattice.wasm.wasi.table import Interface

REASON = "actors get no sockets; they make calls along links, over HTTP as wasi:http/outgoing-handler"


class Network:
    """The resource `network`: a name for what there is none of."""

    __slots__ = ()

    def close(self) -> None:
        """Nothing to free."""


def _instance_network(instance: Instance) -> Network:
    return instance.own(Network())


def _refused(what: str) -> Callable[..., Err]:
    def refuse(instance: Instance, *_arguments: Any) -> Err:
        instance.refused(f"wasi:sockets {what}", REASON)
        return Err("access-denied")

    return refuse


def _network_error_code(_error: IoError) -> None:
    """No stream here is of a socket."""


def _no_such(resource: str, *names: str) -> dict[str, Callable[..., Any]]:
    return {f"[method]{resource}.{name}": _refused(resource) for name in names}


INSTANCE_NETWORK = Interface("wasi:sockets/instance-network", functions={"instance-network": _instance_network})

NETWORK = Interface(
    "wasi:sockets/network", plain={"network-error-code": _network_error_code}, resources=frozenset({"network"})
)

IP_NAME_LOOKUP = Interface(
    "wasi:sockets/ip-name-lookup",
    functions={
        "resolve-addresses": _refused("resolve-addresses"),
        **_no_such("resolve-address-stream", "resolve-next-address", "subscribe"),
    },
    resources=frozenset({"resolve-address-stream"}),
)

TCP_CREATE = Interface("wasi:sockets/tcp-create-socket", functions={"create-tcp-socket": _refused("tcp-socket")})

UDP_CREATE = Interface("wasi:sockets/udp-create-socket", functions={"create-udp-socket": _refused("udp-socket")})

TCP = Interface(
    "wasi:sockets/tcp",
    functions=_no_such(
        "tcp-socket",
        *("start-bind", "finish-bind", "start-connect", "finish-connect", "start-listen", "finish-listen", "accept"),
        *("local-address", "remote-address", "is-listening", "address-family", "set-listen-backlog-size"),
        *("keep-alive-enabled", "set-keep-alive-enabled", "keep-alive-idle-time", "set-keep-alive-idle-time"),
        *("keep-alive-interval", "set-keep-alive-interval", "keep-alive-count", "set-keep-alive-count"),
        *("hop-limit", "set-hop-limit", "receive-buffer-size", "set-receive-buffer-size", "send-buffer-size"),
        *("set-send-buffer-size", "subscribe", "shutdown"),
    ),
    resources=frozenset({"tcp-socket"}),
)

UDP = Interface(
    "wasi:sockets/udp",
    functions={
        **_no_such(
            "udp-socket",
            *("start-bind", "finish-bind", "stream", "local-address", "remote-address", "address-family"),
            *("unicast-hop-limit", "set-unicast-hop-limit", "receive-buffer-size", "set-receive-buffer-size"),
            *("send-buffer-size", "set-send-buffer-size", "subscribe"),
        ),
        **_no_such("incoming-datagram-stream", "receive", "subscribe"),
        **_no_such("outgoing-datagram-stream", "check-send", "send", "subscribe"),
    },
    resources=frozenset({"udp-socket", "incoming-datagram-stream", "outgoing-datagram-stream"}),
)
