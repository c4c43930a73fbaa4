"""Bytes into requests: the parser's callbacks, the checks it leaves to its user, and the limits.

The parser (llhttp, by httptools) is strict about the grammar and the framing of a message. It accepts some that are
not for this server: two Host headers, HTTP/0.9 and 2.0, transfer codings besides chunked, RTSP. Those are refused here.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any

import httptools
import msgspec

from lattice import errors
from lattice.bodies import Bodies, Header
from lattice.contracts.httpserver import HttpRequest
from lattice.provider import Caller
from lattice_http_server import refusal
from lattice_http_server.bodies import WHOLE_BYTES_MAX, RequestBody
from lattice_http_server.request import Refused, Request, parse_target
from lattice_http_server.response import CLOSE, NO_TRAILERS
from lattice_http_server.routing import Route, is_plain, normalise_path
from lattice_http_server.settings import METHODS

if TYPE_CHECKING:
    from lattice_http_server.connection import Connection
    from lattice_http_server.service import Service

HEAD_SLICE_BYTES = 4096
"""The parser gets heads in pieces of this size: the limits on heads and on waiting requests hold to within one piece,
which has room for at most 160 requests. Nearly all heads are smaller and are given in one."""
BODY_SLICE_BYTES = 65536
"""The same for bodies in chunks, where the parser alone knows where they end."""
_CHUNK_OVERHEAD = 16
"""Bytes of framing a chunked body may have for each of its bytes, besides its trailer: one-byte chunks have five. More
is somebody who sends chunk extensions for their own sake."""

_encode = msgspec.msgpack.Encoder().encode
_BLANK = ("", " ", "\t")
_KEEP_ALIVE = b"connection: keep-alive\r\n"


class Stage(enum.Enum):
    BETWEEN = enum.auto()
    """No byte of the next request is here."""
    HEAD = enum.auto()
    BODY = enum.auto()
    STOPPED = enum.auto()
    """No further request will be read from this connection."""


BETWEEN, HEAD, BODY, STOPPED = Stage
"""A member is slow to reach through its class, and these are reached ten times for each request."""


class RequestReader:
    """Reads one connection. Finished and refused requests go to `connection.arrived`."""

    def __init__(self, connection: Connection, service: Service) -> None:
        self._connection = connection
        self._service = service
        self._known = service.names.lower
        self._hosts = service.names.hosts
        self._parser: Any = httptools.HttpRequestParser(self)
        self.stage: Stage = BETWEEN
        self.since = 0.0
        """When the head began; in a body, when the last byte of it came."""
        self.body_since = 0.0
        self.body_bytes = 0
        self._target = b""
        self._header: dict[str, list[str]] = {}
        self._header_count = 0
        self._fed_bytes = 0
        """Of this head, or of this body with its framing."""
        self._barren_bytes = 0  # fed since the last byte of content
        self._chunked = False
        self._length = 0
        self._body: list[bytes] = []
        self.body: RequestBody | None = None
        """The body that is arriving, if it goes on as it comes."""
        self._trailers: Header = {}
        self._request = Request("-", "-", False, CLOSE, None)
        self._message: tuple[str, str, str] = ("", "", "")
        self._body_max = 0

    def slice_bytes(self) -> int:
        """How many of the bytes at hand to give to `feed` at once."""
        if self.stage is not BODY:
            return HEAD_SLICE_BYTES
        return BODY_SLICE_BYTES if self._chunked else max(self._length - self.body_bytes, HEAD_SLICE_BYTES)

    def feed(self, data: bytes | memoryview) -> None:
        """Takes bytes of the connection, at most `slice_bytes()` of them."""
        size = len(data)
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # Upgrades are not offered, so the client goes on in HTTP/1.1, and so does the parser.
                data = data[upgrade.args[0] :]
                if self.stage is not STOPPED and len(data):
                    continue
            except httptools.HttpParserError as error:
                if self.stage is not STOPPED:
                    self.refuse(refusal.malformed(str(error)))
            break
        if self.stage is HEAD:
            self._fed_bytes += size
            if self._fed_bytes > self._service.header_bytes_max:
                self._refuse_head()
        elif self._chunked and self.stage is BODY:
            self._fed_bytes += size
            self._barren_bytes += size
            overhead, most = self._fed_bytes - self.body_bytes, self._service.header_bytes_max + BODY_SLICE_BYTES
            # The parser holds an extension or a trailer to its end, which the content before it does not pay for.
            if overhead > most + _CHUNK_OVERHEAD * self.body_bytes or self._barren_bytes > most + BODY_SLICE_BYTES:
                self.refuse(refusal.malformed("the chunks of the body have more framing than content"))

    def refuse(self, why: refusal.Refusal) -> None:
        """Ends the reading of this connection with `why` as the answer to the request being read."""
        if self.stage is BETWEEN:
            self._request = Request("-", "-", False, CLOSE, None)
        self.stage = STOPPED
        request = self._request
        request.refusal, request.keep_alive, request.connection = why, False, CLOSE
        body = self.body
        self._drop_body()
        if body is None:
            self._connection.arrived(request)
        else:
            body.fail(errors.Cancelled(f"the request was refused: {why.message}"))
            self._connection.cut_off(request)

    def stop(self) -> None:
        """Reads nothing further."""
        self.stage = STOPPED
        self._drop_body()

    def close(self) -> None:
        """The connection is gone; lets go of the parser, which holds this object."""
        self.stop()
        self._parser = None
        self._request = Request("-", "-", False, CLOSE, None)

    def _drop_body(self) -> None:
        if self.body is None:
            self._service.bodies_bytes -= self.body_bytes
        self.body = None
        self.body_bytes = 0
        self._body = []

    def _refuse_head(self) -> None:
        limit = self._service.header_bytes_max
        if not self._header and len(self._target) > self._service.target_bytes_max:
            self.refuse(refusal.target_too_long(self._service.target_bytes_max))
        else:
            self.refuse(refusal.head_too_large(f"the headers are larger than {limit} bytes"))

    # What the parser calls. A callback that raises would break the parser, so these do not.

    def on_message_begin(self) -> None:
        if self.stage is STOPPED:
            return
        self.stage = HEAD
        self.since = self._service.now
        self._target = b""
        self._header = {}
        self._header_count = 0
        self._fed_bytes = 0
        self._request = Request("-", "-", False, CLOSE, None)

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.stage is not HEAD:
            if self.body is not None:
                self._take_trailer(name, value)
            return  # for those who get whole messages there are no trailers
        known = self._known.get(name) or self._service.names.lower_case(name)
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        if text[-1:] in _BLANK:
            text = text.rstrip(" \t")
        self._header_count += 1
        header = self._header
        if known in header:
            header[known].append(text)
        else:
            header[known] = [text]

    def on_headers_complete(self) -> None:
        if self.stage is not HEAD:
            return
        try:
            self._check_head()
        except Refused as refused:
            self.refuse(refused.refusal)
        else:
            if self.body is not None:
                self._connection.arrived(self._request)

    def on_body(self, data: bytes) -> None:
        if self.stage is not BODY:
            return
        self.since = self._service.now
        self.body_bytes += len(data)
        self._barren_bytes = 0
        if self.body is not None:
            self.body.arrived(data)
        else:
            self._service.bodies_bytes += len(data)
            self._body.append(data)
        if self.body_bytes > self._body_max:
            self.refuse(refusal.body_too_large(self._body_max))
        elif self._service.bodies_bytes > self._service.settings.bodies_bytes_max:
            self.refuse(refusal.bodies_full(self._service.settings.bodies_bytes_max))

    def on_message_complete(self) -> None:
        if self.stage is STOPPED:
            return
        request = self._request
        self.stage = BETWEEN if request.keep_alive else STOPPED
        if self.body is not None:
            self.body.trailers = self._trailers or None
            self.body.end()
            self.body, self.body_bytes = None, 0
            return
        if request.refusal is None:
            body = self._body
            request.payload = _encode(
                self._message_with(b"" if not body else body[0] if len(body) == 1 else b"".join(body))
            )
            if body:
                request.body_bytes, self.body_bytes, self._body = self.body_bytes, 0, []
        self._connection.arrived(request)

    def _message_with(self, body: bytes) -> HttpRequest:
        method, path, query = self._message
        message = HttpRequest(method=method, path=path, query_string=query, header=self._header, body=body)
        route = self._request.route
        if route is not None and route.client:
            scheme, address = self._connection.client()
            message = msgspec.structs.replace(message, scheme=scheme, remote_address=address)
        return message

    def _take_trailer(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        if self._header_count > self._service.header_count_max:
            self.refuse(refusal.head_too_large("there are too many headers and trailers"))
            return
        known = self._known.get(name) or self._service.names.lower_case(name)
        if known not in NO_TRAILERS:
            self._trailers.setdefault(known, []).append(value.decode("latin-1").rstrip(" \t"))

    def _check_head(self) -> None:
        """Everything about a request that its head decides. Raises `Refused`."""
        request, header, service, parser = self._request, self._header, self._service, self._parser
        if len(self._target) > service.target_bytes_max:
            raise Refused(refusal.target_too_long(service.target_bytes_max))
        request.target = target = self._target.decode("latin-1")
        method = METHODS.get(parser.get_method())
        if method is None:
            raise Refused(refusal.Refusal(501, "http_method_unknown", "this server does not know the method"))
        request.method = method
        keep_alive = parser.should_keep_alive()
        # HTTP/1.1 alone keeps connections unasked, and asking the parser for the version costs as much as a route.
        version = "1.1" if keep_alive and "connection" not in header else parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise Refused(refusal.Refusal(505, "http_version", "this server speaks HTTP/1.1 and HTTP/1.0"))
        if self._header_count > service.header_count_max:
            raise Refused(refusal.head_too_large(f"there are more than {service.header_count_max} headers"))
        hosts = header.get("host")
        if hosts is None:
            if version == "1.1":
                raise Refused(refusal.malformed("the Host header is missing"))
            host = ""
        elif len(hosts) > 1:
            raise Refused(refusal.malformed("there is more than one Host header"))
        else:
            name = hosts[0]
            host = self._hosts.get(name) or service.names.host(name)
        if target[:1] == "/" and "#" not in target and target.isascii():
            path, _, query = target.partition("?")
        else:
            authority, path, query = parse_target(target, method)
            if authority is not None:
                host = service.names.host(authority)
        has_body = False
        if "content-length" in header or "transfer-encoding" in header:
            has_body = self._check_framing(version)
        if "upgrade" in header and has_body and parser.should_upgrade():
            # The parser would leave the body to the new protocol, and take it for the next request.
            raise Refused(refusal.malformed("upgrades are not offered, and this one has a body"))
        if keep_alive:
            request.keep_alive = True
            request.connection = b"" if version == "1.1" else _KEEP_ALIVE
        route = self._route(method, host, path, has_body)
        self._body_max = service.body_bytes_max if route is None else route.body_bytes_max
        request.route = route
        self._message = (method, path, query)
        request.is_old = version == "1.0"
        if "te" in header:
            request.takes_trailers = any("trailers" in value.lower() for value in header["te"])
        if has_body:
            self._begin_body(version)

    def _route(self, method: str, host: str, path: str, has_body: bool) -> Route | None:
        """The route of a request; None when the server has answered it itself. Raises `Refused`."""
        if path == "*":
            self._answer(refusal.options("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"), has_body)
            return None
        plain = path if is_plain(path) else normalise_path(path)
        if plain is None:
            raise Refused(refusal.malformed("the path has a broken escape, or climbs above its root"))
        place = self._service.routes.find(host, plain)
        if place is None:
            self._answer(refusal.no_route(), has_body)
            return None
        route = place.find(method)
        if route is None:
            if method == "OPTIONS":
                self._answer(refusal.options(place.allow), has_body)
            else:
                self._answer(refusal.method_not_allowed(method, place.allow), has_body)
        return route

    def _answer(self, why: refusal.Refusal, has_body: bool) -> None:
        """Answers without an actor. What has a body ends the connection, so that nobody sends it for nothing."""
        if has_body:
            raise Refused(why)
        self._request.refusal = why

    def _check_framing(self, version: str) -> bool:
        """Whether a body follows. The parser has refused conflicts and what is no number. Raises `Refused`."""
        codings = self._header.get("transfer-encoding")
        self._chunked = codings is not None
        if codings is None:
            self._length = int(self._header["content-length"][0])
            return self._length > 0
        if version != "1.1":
            raise Refused(refusal.malformed("HTTP/1.0 has no Transfer-Encoding"))
        if len(codings) != 1 or codings[0].lower() != "chunked":
            message = "chunked is the one transfer coding this server knows"
            raise Refused(refusal.Refusal(501, "http_transfer_coding", message))
        return True

    def _begin_body(self, version: str) -> None:
        """Checks what can be known of a body before it comes. Raises `Refused`."""
        if not self._chunked and self._length > self._body_max:
            raise Refused(refusal.body_too_large(self._body_max))
        expected = self._header.get("expect") if version == "1.1" else None
        route = self._request.route
        pieces = self._chunked or self._length > WHOLE_BYTES_MAX
        pieces = pieces and route is not None and route.in_pieces()
        self.stage = BODY
        self.since = self.body_since = self._service.now
        self._fed_bytes = self._barren_bytes = 0
        if expected is not None:
            if expected[0].lower() != "100-continue":
                raise Refused(
                    refusal.Refusal(417, "http_expectation", "100-continue is the one expectation known here")
                )
            if not pieces:
                self._connection.continue_wanted()
        if pieces:
            message, request = self._message_with(b""), self._request
            request.payload = _encode(message)
            request.whole = partial(_with_body, message)
            length = None if self._chunked else self._length
            self.body = request.body = RequestBody(self._connection, self._service, length, expected is not None)
            self._trailers = {}


def _with_body(message: HttpRequest, body: bytes) -> bytes:
    return _encode(msgspec.structs.replace(message, body=body))


def with_text_headers(call: Caller) -> Caller:
    """For actors of early 2021, whose requests have one text for each header.

    The request is read and written again, a few microseconds that only such routes pay.
    """

    def call_with_text(
        payload: bytes, deadline: float, repeatable: bool = False, _bodies: Bodies | None = None, /
    ) -> Awaitable[bytes]:
        request = msgspec.msgpack.decode(payload)
        # Several lines of one header mean the same as one with commas (RFC 9110, 5.2); cookies have another mark.
        request["header"] = {
            name: ("; " if name == "cookie" else ", ").join(values) for name, values in request["header"].items()
        }
        return call(_encode(request), deadline, repeatable)

    return call_with_text
