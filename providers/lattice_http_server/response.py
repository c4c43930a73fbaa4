"""Replies of actors as bytes for the wire. The framing is the server's: an actor cannot break into it.

Invariant: no byte of an actor's header reaches the wire unchecked (a line in the cache was checked when it was made).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

import msgspec

from lattice import errors
from lattice.bodies import Header
from lattice.contracts.httpserver import HttpResponse
from lattice_http_server.refusal import Refusal

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OWN = frozenset(
    {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length"}
    | {"te", "trailer", "upgrade", "date"}
)
"""Headers about the connection and the framing: the server writes them, and drops an actor's."""
_LINES_MAX = 512
"""Header lines kept ready. Actors send the same few again and again; when it is full it starts anew."""
_LINE_CHARS_MAX = 256
"""Longer lines are rarely the same twice."""
JOIN_BYTES_MAX = 64 * 1024
"""Up to this a body is joined to its head for one write; above it the copy costs more than the second write."""

CLOSE = b"connection: close\r\n"
"""The header line of a response that is the last."""

_decode = msgspec.msgpack.Decoder(HttpResponse).decode

_STATUS_LINES = {status: b"HTTP/1.1 %d \r\n" % status for status in range(200, 600)} | {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
    if status.value >= 200
}
_BODILESS = frozenset({204, 205, 304})
NO_TRAILERS = _OWN | {"host", "authorization", "set-cookie", "content-encoding", "content-type", "content-range"}
"""Headers that say how to read, or whom to trust, come too late after the body (RFC 9110, 6.5.1)."""


class Framing(msgspec.Struct, frozen=True):
    """How the end of a response's body is told. Neither chunked nor of a length: by the end of the connection."""

    chunked: bool
    length: int | None
    bodiless: bool
    """The body is for nobody: of an answer to HEAD, or a status that has none."""


class ResponseWriter:
    """Turns replies into bytes; one for each address, with its clock and its cache of header lines."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], bytes] = {}
        self._date = b""
        self.tick()

    def tick(self) -> None:
        """Brings the Date header up to date; called at least every second."""
        self._date = b"date: %s\r\n" % formatdate(usegmt=True).encode()

    def reply(self, data: bytes, head_only: bool, connection: bytes) -> tuple[int, bytes, bytes]:
        """(status, head, body) of an actor's reply, as bytes for the wire.

        `connection` is the Connection header line, or empty. Raises `errors.CallError` for a reply that cannot be sent.
        """
        try:
            response = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.MalformedMessage(f"the actor's reply is no HttpResponse: {error}") from error
        status = response.status_code
        first = _STATUS_LINES.get(status)
        if first is None:
            raise _no_status(status)
        body = response.body or b""
        lines = connection
        if response.header:
            lines += self._header(response.header.items())
        if status in _BODILESS:
            length = b"content-length: 0\r\n" if status == 205 else b""
            return status, b"".join((first, self._date, lines, length, b"\r\n")), b""
        if head_only:
            # The length of what a GET would bring is known only when the actor made that body.
            length = b"content-length: %d\r\n" % len(body) if body else b""
            return status, b"".join((first, self._date, lines, length, b"\r\n")), b""
        length = b"content-length: %d\r\n\r\n" % len(body)
        if len(body) > JOIN_BYTES_MAX:
            return status, b"".join((first, self._date, lines, length)), body
        return status, b"".join((first, self._date, lines, length, body)), b""

    def begin(
        self, response: HttpResponse, head_only: bool, connection: bytes, length: int | None, chunks: bool
    ) -> tuple[bytes, Framing]:
        """The head of a response whose body comes in pieces, and how that is framed; `chunks` says that the client
        knows those. Raises `errors.CallError`."""
        status = response.status_code
        first = _STATUS_LINES.get(status)
        if first is None:
            raise _no_status(status)
        bodiless = head_only or status in _BODILESS
        framing = Framing(chunks and length is None and not bodiless, length, bodiless)
        line = b""
        if framing.chunked:
            line = b"transfer-encoding: chunked\r\n"
        elif status == 205:
            line = b"content-length: 0\r\n"
        elif length is not None and status not in _BODILESS and (length or not head_only):
            line = b"content-length: %d\r\n" % length
        header = self._header((response.header or {}).items())
        return b"".join((first, self._date, connection, header, line, b"\r\n")), framing

    def trailer(self, trailer: Header) -> bytes:
        """The lines after a body in chunks. What cannot be sent there is left out."""
        lines = b""
        for name, values in trailer.items():
            if name.lower() not in NO_TRAILERS:
                lines += self._header([(name, values)])
        return lines

    def _header(self, header: Iterable[tuple[str, list[str] | str]]) -> bytes:
        """Raises `errors.MalformedMessage`."""
        known, lines = self._lines, b""
        for name, values in header:
            for value in (values,) if isinstance(values, str) else values:
                line = known.get((name, value))
                lines += self._line(name, value) if line is None else line
        return lines

    def refusal(self, refusal: Refusal, head_only: bool, connection: bytes) -> bytes:
        """A response of the server's own, whole."""
        body = refusal.body()
        length = b"" if refusal.status == 204 else b"content-length: %d\r\n" % len(body)
        first = _STATUS_LINES[refusal.status]
        head = (first, self._date, refusal.headers(), connection, length, b"\r\n")
        return b"".join(head if head_only else (*head, body))

    def _line(self, name: str, value: str) -> bytes:
        """One header line, checked; empty for a header that is not the actor's to set."""
        if not _TOKEN.fullmatch(name):
            raise errors.MalformedMessage(f"the actor's reply has the header name {name[:100]!r}, which is no token")
        if _FORBIDDEN.search(value):
            raise errors.MalformedMessage(f"the actor's reply has a control character in its header {name!r}")
        lower = name.lower()
        line = b"" if lower in _OWN else b"%s: %s\r\n" % (lower.encode(), value.strip(" \t").encode())
        if len(name) + len(value) <= _LINE_CHARS_MAX:
            if len(self._lines) >= _LINES_MAX:
                self._lines.clear()
            self._lines[name, value] = line
        return line


def _no_status(status: int) -> errors.MalformedMessage:
    return errors.MalformedMessage(f"the actor's reply has the status {status}; a final one is 200 to 599")
