"""Requests that are wrong, odd or hostile, and what the server must make of them.

Each case: a name, the bytes of one connection, the statuses of all responses to them in order, and whether the server
then closes. A request for a path that contains `smuggled` must never reach the actor.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    name: str
    data: bytes
    statuses: tuple[int, ...]
    closes: bool = True


def _get(*headers: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: test\r\n") -> bytes:
    return line + b"\r\n" + host + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


def _post(*headers: bytes, body: bytes = b"") -> bytes:
    return _get(*headers, line=b"POST / HTTP/1.1") + body


_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked"
_END = b"0\r\n\r\n"

LINES = [
    Case("bare LF ends the request line", b"GET / HTTP/1.1\nHost: test\r\n\r\n", (400,)),
    Case("bare LF everywhere", b"GET / HTTP/1.1\nHost: test\n\n", (400,)),
    Case("bare LF ends a header", b"GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n", (400,)),
    Case("bare LF ends the head", b"GET / HTTP/1.1\r\nHost: test\r\n\n" + _SMUGGLED, (400,)),
    Case("bare CR within a header", b"GET / HTTP/1.1\r\nHost: test\rX: y\r\n\r\n", (400,)),
    Case("no version", b"GET /\r\nHost: test\r\n\r\n", (505,)),
    Case("HTTP/0.9", b"GET /\r\n\r\n", (505,)),
    Case("HTTP/1.2", _get(line=b"GET / HTTP/1.2"), (400,)),
    Case("HTTP/2.0", _get(line=b"GET / HTTP/2.0"), (505,)),
    Case("HTTP/3", _get(line=b"GET / HTTP/3"), (400,)),
    Case("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)),
    Case("lower-case version", _get(line=b"GET / http/1.1"), (400,)),
    Case("unknown method", _get(line=b"FROB / HTTP/1.1"), (400,)),
    Case("lower-case method", _get(line=b"get / HTTP/1.1"), (400,)),
    Case("method of RTSP", _get(line=b"DESCRIBE / HTTP/1.1"), (400,)),
    Case("method of Icecast", _get(line=b"SOURCE / ICE/1.0"), (501,)),
    Case("tab after the method", _get(line=b"GET\t/ HTTP/1.1"), (400,)),
    Case("space within the target", _get(line=b"GET /a b HTTP/1.1"), (400,)),
    Case("control character in the target", _get(line=b"GET /\x01 HTTP/1.1"), (400,)),
    Case("NUL in the target", _get(line=b"GET /\x00 HTTP/1.1"), (400,)),
    Case("byte over 127 in the path", _get(line=b"GET /\xc3\xa9 HTTP/1.1"), (400,)),
    Case("byte over 127 in the query", _get(line=b"GET /?\xc3\xa9 HTTP/1.1"), (400,)),
    Case("fragment", _get(line=b"GET /a#b HTTP/1.1"), (400,)),
    Case("a TLS hello", bytes.fromhex("16030100c8010000c40303") + bytes(60), (400,)),
    Case("zeros", bytes(64), (400,)),
    Case("a line of a mail server", b"EHLO mail.example.org\r\n", (400,)),
    Case("empty lines before a request", b"\r\n\r\n" + _get(), (200,), closes=False),
    Case("nothing after the target", b"GET / \r\n\r\n", (400,)),
]

TARGETS = [
    Case("absolute form", _get(line=b"GET http://test/a HTTP/1.1"), (200,), closes=False),
    Case("absolute form without a path", _get(line=b"GET http://test HTTP/1.1"), (200,), closes=False),
    Case("absolute form with a query alone", _get(line=b"GET http://test?a=b HTTP/1.1"), (200,), closes=False),
    Case("absolute form without a host", _get(line=b"GET http:///a HTTP/1.1"), (400,)),
    Case("absolute form with a user", _get(line=b"GET http://me:pw@test/a HTTP/1.1"), (400,)),
    Case("absolute form of another scheme", _get(line=b"GET ftp://test/a HTTP/1.1"), (400,)),
    Case("authority form", _get(line=b"GET test:80 HTTP/1.1"), (400,)),
    Case("CONNECT", _get(line=b"CONNECT test:80 HTTP/1.1") + _SMUGGLED, (501,)),
    Case("asterisk for OPTIONS", _get(line=b"OPTIONS * HTTP/1.1"), (204,), closes=False),
    Case("asterisk for GET", _get(line=b"GET * HTTP/1.1"), (400,)),
    Case("climbs above the root", _get(line=b"GET /../../etc/passwd HTTP/1.1"), (400,)),
    Case("climbs above the root in disguise", _get(line=b"GET /a/%2e%2E/%2e./b HTTP/1.1"), (400,)),
    Case("climbs above the root with %2F", _get(line=b"GET /a/..%2F../b HTTP/1.1"), (400,)),
    Case("broken escape", _get(line=b"GET /%zz HTTP/1.1"), (400,)),
    Case("escape cut short", _get(line=b"GET /a% HTTP/1.1"), (400,)),
    Case("escaped NUL", _get(line=b"GET /a%00 HTTP/1.1"), (400,)),
    Case("backslash", _get(line=b"GET /a\\..\\b HTTP/1.1"), (400,)),
    Case("escaped backslash", _get(line=b"GET /a%5c..%5cb HTTP/1.1"), (400,)),
    Case("broken escape in the query is the actor's", _get(line=b"GET /?%zz HTTP/1.1"), (200,), closes=False),
]

HEADERS = [
    Case("no Host", _get(host=b""), (400,)),
    Case("no Host in HTTP/1.0", _get(line=b"GET / HTTP/1.0", host=b""), (200,)),
    Case("no Host with an absolute target", _get(line=b"GET http://test/ HTTP/1.1", host=b""), (400,)),
    Case("two Hosts", _get(b"Host: other"), (400,)),
    Case("two equal Hosts", _get(b"Host: test"), (400,)),
    Case("two Hosts in HTTP/1.0", _get(b"Host: other", line=b"GET / HTTP/1.0"), (400,)),
    Case("empty Host", _get(host=b"Host:\r\n"), (200,), closes=False),
    Case("Host with a path", _get(host=b"Host: test/a\r\n"), (400,)),
    Case("Host with a user", _get(host=b"Host: me@test\r\n"), (400,)),
    Case("Host with a space", _get(host=b"Host: a b\r\n"), (400,)),
    Case("Host list", _get(host=b"Host: a, b\r\n"), (400,)),
    Case("Host with letters for a port", _get(host=b"Host: test:http\r\n"), (400,)),
    Case("Host of IPv6", _get(host=b"Host: [::1]:80\r\n"), (200,), closes=False),
    Case("whitespace before the colon", _get(b"X : y"), (400,)),
    Case("tab before the colon", _get(b"X\t: y"), (400,)),
    Case("space within a name", _get(b"X Y: z"), (400,)),
    Case("no colon", _get(b"X"), (400,)),
    Case("empty name", _get(b": y"), (400,)),
    Case("byte over 127 in a name", _get(b"X\xe9: y"), (400,)),
    Case("NUL in a value", _get(b"X: a\x00b"), (400,)),
    Case("NUL in a name", _get(b"X\x00: b"), (400,)),
    Case("control character in a value", _get(b"X: a\x01b"), (400,)),
    Case("DEL in a value", _get(b"X: a\x7fb"), (400,)),
    Case("folded header", _get(b"X: a\r\n b"), (400,)),
    Case("folded header by a tab", _get(b"X: a\r\n\tb"), (400,)),
    Case("space before the first header", b"GET / HTTP/1.1\r\n Host: test\r\n\r\n", (400,)),
    Case("folded Transfer-Encoding", _post(b"Transfer-Encoding:\r\n chunked", body=_END + _SMUGGLED), (400,)),
    Case("expects something else", _post(b"Content-Length: 1", b"Expect: a-miracle"), (417,)),
    Case("empty value", _get(b"X:"), (200,), closes=False),
]

FRAMING = [
    Case("length and chunks", _post(b"Content-Length: 5", _CHUNKED, body=_END + _SMUGGLED), (400,)),
    Case("chunks and length", _post(_CHUNKED, b"Content-Length: 5", body=_END + _SMUGGLED), (400,)),
    Case("two lengths", _post(b"Content-Length: 3", b"Content-Length: 45", body=b"abc" + _SMUGGLED), (400,)),
    Case("two equal lengths", _post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), (400,)),
    Case("list of lengths", _post(b"Content-Length: 3, 3", body=b"abc"), (400,)),
    Case("negative length", _post(b"Content-Length: -1", body=b"abc"), (400,)),
    Case("length with a sign", _post(b"Content-Length: +3", body=b"abc"), (400,)),
    Case("length in hexadecimal", _post(b"Content-Length: 0x3", body=b"abc"), (400,)),
    Case("length with an underscore", _post(b"Content-Length: 1_0", body=b"abc"), (400,)),
    Case("length with a space", _post(b"Content-Length: 1 0", body=b"abc"), (400,)),
    Case("empty length", _post(b"Content-Length:", body=b"abc"), (400,)),
    Case("length over 64 bits", _post(b"Content-Length: 18446744073709551617", body=b"a"), (400,)),
    Case("length over the limit", _post(b"Content-Length: 18446744073709551615", body=b"a"), (413,)),
    Case("unknown coding", _post(b"Transfer-Encoding: gzip", body=_SMUGGLED), (501,)),
    Case("identity", _post(b"Transfer-Encoding: identity", body=_SMUGGLED), (501,)),
    Case("coding before chunked", _post(b"Transfer-Encoding: gzip, chunked", body=_END), (501,)),
    Case("coding after chunked", _post(b"Transfer-Encoding: chunked, gzip", body=_END + _SMUGGLED), (400,)),
    Case("chunked twice", _post(_CHUNKED, _CHUNKED, body=_END + _SMUGGLED), (400,)),
    Case("almost chunked", _post(b"Transfer-Encoding: xchunked", body=_END + _SMUGGLED), (501,)),
    Case("quoted chunked", _post(b'Transfer-Encoding: "chunked"', body=_END + _SMUGGLED), (501,)),
    Case("chunked after a vertical tab", _post(b"Transfer-Encoding: \x0bchunked", body=_END + _SMUGGLED), (400,)),
    Case("whitespace before the colon of chunked", _post(b"Transfer-Encoding : chunked", body=_END), (400,)),
    Case("chunked in HTTP/1.0", _get(_CHUNKED, line=b"POST / HTTP/1.0") + _END, (400,)),
    Case("length and a space before the colon", _post(b"Content-Length : 5", body=b"abcde" + _SMUGGLED), (400,)),
    Case("chunk size with a sign", _post(_CHUNKED, body=b"-1\r\n" + _END), (400,)),
    Case("chunk size of letters", _post(_CHUNKED, body=b"zz\r\n" + _END), (400,)),
    Case("chunk size with 0x", _post(_CHUNKED, body=b"0x3\r\nabc\r\n" + _END), (400,)),
    Case("chunk size with a space", _post(_CHUNKED, body=b"3 \r\nabc\r\n" + _END), (400,)),
    Case("empty chunk size", _post(_CHUNKED, body=b"\r\nabc\r\n" + _END), (400,)),
    Case("chunk size over 64 bits", _post(_CHUNKED, body=b"10000000000000003\r\nabc\r\n" + _END), (400,)),
    Case("bare LF after a chunk size", _post(_CHUNKED, body=b"3\nabc\r\n" + _END), (400,)),
    Case("chunk longer than it says", _post(_CHUNKED, body=b"3\r\nabcd\r\n" + _END), (400,)),
    Case("chunk shorter than it says", _post(_CHUNKED, body=b"5\r\nabc\r\n" + _END), (400,)),
    Case("bare LF within an extension", _post(_CHUNKED, body=b"3;a\nb\r\nabc\r\n" + _END), (400,)),
    Case("extension and trailer", _post(_CHUNKED, body=b"3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"), (200,), closes=False),
    Case("trailer that is a framing", _post(_CHUNKED, body=b"0\r\nContent-Length: 9\r\n\r\n"), (400,)),
    Case("bodies back to back", _post(b"Content-Length: 3", body=b"abc") * 2, (200, 200), closes=False),
    Case("good, then bad", _get() + b"oops\r\n\r\n" + _SMUGGLED, (200, 400)),
    Case("request after the last", _get(b"Connection: close") + _SMUGGLED, (200,)),
    Case("request after the last of HTTP/1.0", _get(line=b"GET / HTTP/1.0") + _SMUGGLED, (200,)),
]

UPGRADES = [
    Case("websocket, ignored", _get(b"Connection: Upgrade", b"Upgrade: websocket") + _get(), (200, 200), closes=False),
    Case(
        "h2c, ignored",
        _get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        (200,),
        closes=False,
    ),
    Case(
        "upgrade with a body",
        _post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: %d" % len(_SMUGGLED), body=_SMUGGLED),
        (400,),
    ),
    Case(
        "upgrade with chunks",
        _post(b"Connection: Upgrade", b"Upgrade: h2c", _CHUNKED, body=_END + _SMUGGLED),
        (400,),
    ),
    Case(
        "upgrade and close",
        _get(b"Connection: Upgrade, close", b"Upgrade: websocket") + _SMUGGLED,
        (200,),
    ),
]

CASES = [*LINES, *TARGETS, *HEADERS, *FRAMING, *UPGRADES]
