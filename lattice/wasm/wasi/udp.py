"""wasi:sockets/udp: datagrams to and from what was granted."""

from __future__ import annotations

import socket
from typing import Any

from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.poll import Pollable, subscribe
from lattice.wasm.wasi.socket_addresses import SystemAddress, error_code, family_of, from_wit, to_wit
from lattice.wasm.wasi.socket_options import HOP_LIMIT, RECEIVE_BUFFER, SEND_BUFFER, functions
from lattice.wasm.wasi.sockets import NO_LISTENERS, Network, created, opened, reach_of
from lattice.wasm.wasi.table import Interface
from lattice.wasm.wasi.tcp import Connection

DATAGRAMS_MAX = 16
"""Received or sent by one call."""
DATAGRAM_BYTES_MAX = 65_535


class UdpSocket:
    """The resource `udp-socket`. `streams` counts pairs of streams: those of an older pair are closed."""

    __slots__ = ("_instance", "_starting", "bound", "connection", "family", "peer", "streams")

    def __init__(self, instance: Instance, family: str) -> None:
        system = opened(socket.SOCK_DGRAM, family)
        self._instance = instance
        self._starting = False
        self.connection = Connection(instance, system)
        self.bound = False
        self.family = family
        self.peer: SystemAddress | None = None
        self.streams = 0

    @property
    def system(self) -> socket.socket:
        return self.connection.system

    def start_bind(self, local: tuple[str, Any]) -> Ok | Err:
        if self.bound or self._starting:
            return Err("invalid-state")
        if family_of(local) != self.family:
            return Err("invalid-argument")
        address, port, system = from_wit(local)
        if not address.is_unspecified or port:
            return reach_of(self._instance).refuse(f"bind to {address} port {port}", NO_LISTENERS)
        try:
            self.system.bind(system)
        except OSError as error:
            return Err(error_code(error))
        self._starting = True
        return Ok(None)

    def finish_bind(self) -> Ok | Err:
        if not self._starting:
            return Err("not-in-progress")
        self._starting, self.bound = False, True
        return Ok(None)

    def stream(self, remote: tuple[str, Any] | None) -> Ok | Err:
        if not self.bound:
            return Err("invalid-state")
        self.peer = None
        if remote is not None:
            target = self.target(remote)
            if isinstance(target, Err):
                return target
            self.peer = target
        self.streams += 1
        incoming = self._instance.own(IncomingDatagrams(self))
        outgoing = self._instance.own(OutgoingDatagrams(self))
        return Ok((incoming, outgoing))

    def target(self, remote: tuple[str, Any]) -> SystemAddress | Err:
        """Where datagrams for `remote` go, if they may."""
        address, port, system = from_wit(remote)
        if family_of(remote) != self.family or address.is_unspecified or not port:
            return Err("invalid-argument")
        return reach_of(self._instance).require("udp", address, port) or system

    def from_friend(self, sender: SystemAddress) -> bool:
        """Whether a datagram is for the guest. What strangers send is nothing that it tried, and not in the audit."""
        if self.peer is not None:
            return sender[:2] == self.peer[:2]
        address, port, _ = from_wit(to_wit(sender))
        return reach_of(self._instance).permits("udp", address, port)

    def address(self, remote: bool) -> Ok | Err:
        if remote:
            return Ok(to_wit(self.peer)) if self.peer is not None else Err("invalid-state")
        return Ok(to_wit(self.system.getsockname())) if self.bound else Err("invalid-state")

    def close(self) -> None:
        self.connection.release()


class _Datagrams:
    """One direction of a socket."""

    __slots__ = ("_connection", "_pair", "_socket", "attach", "detach", "ready")

    def __init__(self, of: UdpSocket, *, writes: bool) -> None:
        self._socket = of
        self._connection = of.connection.hold()
        self._pair = of.streams
        side = self._connection.writable if writes else self._connection.readable
        self.ready, self.attach, self.detach = side.ready, side.attach, side.detach

    def _current(self) -> bool:
        return self._pair == self._socket.streams

    def close(self) -> None:
        self._connection.release()


class IncomingDatagrams(_Datagrams):
    """The resource `incoming-datagram-stream`."""

    __slots__ = ()

    def __init__(self, of: UdpSocket) -> None:
        super().__init__(of, writes=False)

    def receive(self, most: int) -> Ok | Err:
        if not self._current():
            return Err("invalid-state")
        found: list[tuple[bytes, tuple[str, Any]]] = []
        # Others than the peer may send as much as they like; it does not keep the loop.
        for _ in range(min(most, DATAGRAMS_MAX)):
            try:
                data, sender = self._connection.system.recvfrom(DATAGRAM_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if found:
                    break
                return Err(error_code(error))
            if self._socket.from_friend(sender):
                found.append((data, to_wit(sender)))
        return Ok(found)


class OutgoingDatagrams(_Datagrams):
    """The resource `outgoing-datagram-stream`."""

    __slots__ = ()

    def __init__(self, of: UdpSocket) -> None:
        super().__init__(of, writes=True)

    def check_send(self) -> Ok | Err:
        if not self._current():
            return Err("invalid-state")
        return Ok(DATAGRAMS_MAX if self.ready() else 0)

    def send(self, datagrams: list[tuple[bytes, tuple[str, Any] | None]]) -> Ok | Err:
        if not self._current():
            return Err("invalid-state")
        sent = 0
        for data, remote in datagrams[:DATAGRAMS_MAX]:
            failure = self._send(data, remote)
            if failure == "would-block":
                break
            if failure:
                return Ok(sent) if sent else Err(failure)
            sent += 1
        return Ok(sent)

    def _send(self, data: bytes, remote: tuple[str, Any] | None) -> str:
        """ "" when it went."""
        peer = self._socket.peer
        if remote is None:
            target: SystemAddress | Err = peer or Err("invalid-argument")
        else:
            target = self._socket.target(remote)
            if peer is not None and target != peer and not isinstance(target, Err):
                return "invalid-argument"
        if isinstance(target, Err):
            return str(target.value)
        try:
            self._connection.system.sendto(data, target)
        except (BlockingIOError, InterruptedError):
            return "would-block"
        except OSError as error:
            return error_code(error)
        return ""


def _create(instance: Instance, family: str) -> Ok | Err:
    return created(instance, "udp", lambda: UdpSocket(instance, family))


def _start_bind(udp: UdpSocket, _network: Network, local: tuple[str, Any]) -> Ok | Err:
    return udp.start_bind(local)


def _local_address(udp: UdpSocket) -> Ok | Err:
    return udp.address(remote=False)


def _remote_address(udp: UdpSocket) -> Ok | Err:
    return udp.address(remote=True)


def _family(udp: UdpSocket) -> str:
    return udp.family


def _subscribe(instance: Instance, udp: UdpSocket) -> Pollable:
    return subscribe(instance, udp.connection.writable)


def _subscribe_stream(instance: Instance, stream: _Datagrams) -> Pollable:
    return subscribe(instance, stream)


UDP_CREATE = Interface("wasi:sockets/udp-create-socket", functions={"create-udp-socket": _create})

UDP = Interface(
    "wasi:sockets/udp",
    functions={
        "[method]udp-socket.subscribe": _subscribe,
        "[method]incoming-datagram-stream.subscribe": _subscribe_stream,
        "[method]outgoing-datagram-stream.subscribe": _subscribe_stream,
    },
    plain={
        "[method]udp-socket.start-bind": _start_bind,
        "[method]udp-socket.finish-bind": UdpSocket.finish_bind,
        "[method]udp-socket.stream": UdpSocket.stream,
        "[method]udp-socket.local-address": _local_address,
        "[method]udp-socket.remote-address": _remote_address,
        "[method]udp-socket.address-family": _family,
        "[method]incoming-datagram-stream.receive": IncomingDatagrams.receive,
        "[method]outgoing-datagram-stream.check-send": OutgoingDatagrams.check_send,
        "[method]outgoing-datagram-stream.send": OutgoingDatagrams.send,
        **functions(
            "udp-socket",
            {"unicast-hop-limit": HOP_LIMIT, "receive-buffer-size": RECEIVE_BUFFER, "send-buffer-size": SEND_BUFFER},
        ),
    },
    resources=frozenset({"udp-socket", "incoming-datagram-stream", "outgoing-datagram-stream"}),
)
