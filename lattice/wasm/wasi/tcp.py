"""wasi:sockets/tcp: connections to what was granted. Nothing listens."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Any

from lattice.streams import StreamClosed, StreamFailed, Waiter
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.poll import Pollable, subscribe
from lattice.wasm.wasi.socket_addresses import SystemAddress, error_code, family_of, from_wit, to_wit
from lattice.wasm.wasi.socket_options import (
    HOP_LIMIT,
    KEEP_ALIVE,
    KEEP_ALIVE_COUNT,
    KEEP_ALIVE_IDLE,
    KEEP_ALIVE_INTERVAL,
    RECEIVE_BUFFER,
    SEND_BUFFER,
    functions,
)
from lattice.wasm.wasi.socket_waiting import Readiness
from lattice.wasm.wasi.sockets import NO_LISTENERS, Network, created, opened, reach_of
from lattice.wasm.wasi.streams import InputStream, IoError, OutputStream
from lattice.wasm.wasi.table import Interface

SEND_BYTES_MAX = 64 * 1024
"""Given to the system at a time; what it does not take waits here."""
_SHUTDOWNS = {"receive": socket.SHUT_RD, "send": socket.SHUT_WR, "both": socket.SHUT_RDWR}


class Connection:
    """A socket of the system, which closes when the guest has dropped all that it has of it."""

    __slots__ = ("_holders", "_instance", "readable", "system", "writable")

    def __init__(self, instance: Instance, system: socket.socket) -> None:
        self.system = system
        self.readable = Readiness(system)
        self.writable = Readiness(system, writes=True)
        self._instance = instance
        self._holders = 1
        reach_of(instance).open += 1

    def hold(self) -> Connection:
        self._holders += 1
        return self

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            reach_of(self._instance).open -= 1
            self.system.close()


class Received:
    """The source of a connection's input stream."""

    __slots__ = ("_connection", "attach", "detach", "ready")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection.hold()
        readable = connection.readable
        self.ready, self.attach, self.detach = readable.ready, readable.attach, readable.detach

    def take(self, size: int) -> bytes:
        if not size:
            return b""
        try:
            data = self._connection.system.recv(size)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            raise StreamFailed(_io_error(error)) from error
        if not data:
            raise StreamClosed
        return data

    def close(self) -> None:
        self._connection.release()


class Sent:
    """The sink of a connection's output stream: keeps what the system did not take at once."""

    __slots__ = ("_connection", "_rest", "attach", "detach")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection.hold()
        self._rest = b""
        self.attach, self.detach = connection.writable.attach, connection.writable.detach

    def room(self) -> int:
        self._go_on()
        return 0 if self._rest or not self._connection.writable.ready() else SEND_BYTES_MAX

    def put(self, data: bytes) -> None:
        self._rest += data
        self._go_on()

    def _go_on(self) -> None:
        if not self._rest:
            return
        try:
            sent = self._connection.system.send(self._rest)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._rest = b""
            if error.errno in (errno.EPIPE, errno.ECONNRESET):
                raise StreamClosed from error
            raise StreamFailed(_io_error(error)) from error
        self._rest = self._rest[sent:]

    def flush(self) -> None:
        self._go_on()

    def flushed(self) -> bool:
        """Sends on what is left. A failure ends the flush; the next write says what it was."""
        with contextlib.suppress(StreamClosed, StreamFailed):
            self._go_on()
        return not self._rest

    def ready(self) -> bool:
        return self._connection.writable.ready()

    def close(self) -> None:
        self.flushed()
        self._connection.release()


def _io_error(error: OSError) -> IoError:
    return IoError(f"the connection failed: {error.strerror or error}", network_code=error_code(error))


class TcpSocket:
    """The resource `tcp-socket`. Its states: new, bound, connecting, connected, closed."""

    __slots__ = ("_connection", "_failure", "_instance", "_remote", "_starting", "family", "state")

    def __init__(self, instance: Instance, family: str) -> None:
        system = opened(socket.SOCK_STREAM, family)
        self._instance = instance
        self._connection = Connection(instance, system)
        self._failure = 0
        self._starting = False
        self.family = family
        self.state = "new"

    @property
    def system(self) -> socket.socket:
        return self._connection.system

    def start_bind(self, local: tuple[str, Any]) -> Ok | Err:
        if self.state != "new" or self._starting:
            return Err("invalid-state")
        if family_of(local) != self.family:
            return Err("invalid-argument")
        address, port, _ = from_wit(local)
        if not address.is_unspecified or port:
            return reach_of(self._instance).refuse(f"bind to {address} port {port}", NO_LISTENERS)
        self._starting = True
        return Ok(None)

    def finish_bind(self) -> Ok | Err:
        if self.state != "new" or not self._starting:
            return Err("not-in-progress")
        self._starting, self.state = False, "bound"
        return Ok(None)

    def start_connect(self, remote: tuple[str, Any]) -> Ok | Err:
        if self._starting:
            return Err("concurrency-conflict")
        if self.state not in ("new", "bound"):
            return Err("concurrency-conflict" if self.state == "connecting" else "invalid-state")
        address, port, system = from_wit(remote)
        mapped = address.version == 6 and getattr(address, "ipv4_mapped", None) is not None
        if family_of(remote) != self.family or address.is_unspecified or not port or mapped or address.is_multicast:
            return Err("invalid-argument")
        refusal = reach_of(self._instance).require("tcp", address, port)
        if refusal is not None:
            return refusal
        self._failure = self.system.connect_ex(system)
        self.state = "connecting"
        return Ok(None)

    def finish_connect(self) -> Ok | Err:
        if self.state != "connecting":
            return Err("not-in-progress")
        connection = self._connection
        if self._failure in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            if not connection.writable.ready():
                return Err("would-block")
            self._failure = self.system.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if self._failure:
            self.state = "closed"
            return Err(error_code(OSError(self._failure, "")))
        self.state = "connected"
        incoming = self._instance.own(InputStream(Received(connection)))
        outgoing = self._instance.own(OutputStream(Sent(connection)))
        return Ok((incoming, outgoing))

    def address(self, remote: bool) -> Ok | Err:
        if self.state != "connected" and (remote or self.state != "bound"):
            return Err("invalid-state")
        try:
            found: SystemAddress = self.system.getpeername() if remote else self.system.getsockname()
        except OSError as error:
            return Err(error_code(error))
        return Ok(to_wit(found))

    def shutdown(self, which: str) -> Ok | Err:
        if self.state != "connected":
            return Err("invalid-state")
        try:
            self.system.shutdown(_SHUTDOWNS[which])
        except OSError as error:
            return Err(error_code(error))
        return Ok(None)

    def ready(self) -> bool:
        return self.state != "connecting" or self._connection.writable.ready()

    def attach(self, waiter: Waiter) -> None:
        self._connection.writable.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._connection.writable.detach(waiter)

    def close(self) -> None:
        self.state = "closed"
        self._connection.release()


def _create(instance: Instance, family: str) -> Ok | Err:
    return created(instance, "tcp", lambda: TcpSocket(instance, family))


def _start_bind(tcp: TcpSocket, _network: Network, local: tuple[str, Any]) -> Ok | Err:
    return tcp.start_bind(local)


def _start_connect(tcp: TcpSocket, _network: Network, remote: tuple[str, Any]) -> Ok | Err:
    return tcp.start_connect(remote)


def _local_address(tcp: TcpSocket) -> Ok | Err:
    return tcp.address(remote=False)


def _remote_address(tcp: TcpSocket) -> Ok | Err:
    return tcp.address(remote=True)


def _start_listen(instance: Instance, _tcp: TcpSocket) -> Err:
    return reach_of(instance).refuse("listen", NO_LISTENERS)


def _never(_tcp: TcpSocket) -> Err:
    return Err("invalid-state")


def _not_listening(_tcp: TcpSocket) -> bool:
    return False


def _family(tcp: TcpSocket) -> str:
    return tcp.family


def _backlog(_tcp: TcpSocket, size: int) -> Ok | Err:
    return Ok(None) if size else Err("invalid-argument")


def _subscribe(instance: Instance, tcp: TcpSocket) -> Pollable:
    return subscribe(instance, tcp)


TCP_CREATE = Interface("wasi:sockets/tcp-create-socket", functions={"create-tcp-socket": _create})

TCP = Interface(
    "wasi:sockets/tcp",
    functions={"[method]tcp-socket.start-listen": _start_listen, "[method]tcp-socket.subscribe": _subscribe},
    plain={
        "[method]tcp-socket.start-bind": _start_bind,
        "[method]tcp-socket.finish-bind": TcpSocket.finish_bind,
        "[method]tcp-socket.start-connect": _start_connect,
        "[method]tcp-socket.finish-connect": TcpSocket.finish_connect,
        "[method]tcp-socket.finish-listen": _never,
        "[method]tcp-socket.accept": _never,
        "[method]tcp-socket.local-address": _local_address,
        "[method]tcp-socket.remote-address": _remote_address,
        "[method]tcp-socket.is-listening": _not_listening,
        "[method]tcp-socket.address-family": _family,
        "[method]tcp-socket.set-listen-backlog-size": _backlog,
        "[method]tcp-socket.shutdown": TcpSocket.shutdown,
        **functions(
            "tcp-socket",
            {
                "keep-alive-enabled": KEEP_ALIVE,
                "keep-alive-idle-time": KEEP_ALIVE_IDLE,
                "keep-alive-interval": KEEP_ALIVE_INTERVAL,
                "keep-alive-count": KEEP_ALIVE_COUNT,
                "hop-limit": HOP_LIMIT,
                "receive-buffer-size": RECEIVE_BUFFER,
                "send-buffer-size": SEND_BUFFER,
            },
        ),
    },
    resources=frozenset({"tcp-socket"}),
)
