"""CGI/1.1 with the variables that WAGI adds: what a command is told of a request, and how its output is read. Pure.

Sources: RFC 3875, and the WAGI documentation for the variables with `X_`, the arguments and `_routes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from lattice import errors
from lattice.contracts.httpserver import HttpResponse
from lattice.contracts.message import Message

VARIABLES_BYTES_MAX = 256 * 1024
"""All variables and arguments of one request. HTTP servers stop at 32 KiB of headers; other actors may send more."""
HEADER_BYTES_MAX = 64 * 1024
"""The headers of a response; what prints more before its first empty line is not printing headers."""
ROUTES_MAX = 1000
"""Routes that one module prints."""

_NOT_TOLD = frozenset(("authorization", "connection"))
"""Headers that are the server's: the client's password, and the connection."""
_STATUS = re.compile(r"[1-5][0-9]{2}", re.ASCII)
_FUNCTION = re.compile(r"[!-~]{1,200}")


class Request(Message, frozen=True, kw_only=True):
    """`httpserver.HttpRequest`, with a body that is not copied."""

    method: str
    path: str
    query_string: str = ""
    header: dict[str, list[str] | str] = msgspec.field(default_factory=dict)
    body: memoryview | None = None
    scheme: str = ""
    remote_address: str = ""

    @property
    def given(self) -> memoryview:
        return self.body if self.body is not None else memoryview(b"")


class Route(NamedTuple):
    """A route as WAGI writes it: `/path`, or `/path/...` for all below it; and the function that answers."""

    path: str
    function: str

    @property
    def mount(self) -> str:
        return self.path.removesuffix("...").rstrip("/") if self.path.endswith("/...") else self.path

    def matches(self, path: str) -> bool:
        if not self.path.endswith("/..."):
            return path == self.path
        return path == self.mount or path.startswith(self.mount + "/")


def matched_route(configuration: Mapping[str, str]) -> str:
    """The route of a link from an HTTP server, by its configuration, as WAGI writes it."""
    path = configuration.get("path") or "/"
    return path[1:] if path.startswith("=") else f"{path.rstrip('/')}/..."


def read_routes(printed: bytes) -> tuple[Route, ...]:
    """What `_routes` printed: lines of a path and a function, the most specific first.

    Raises `errors.UnsupportedGuest` that names the line.
    """
    found: list[Route] = []
    for number, line in enumerate(printed.decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not words[0].startswith("/") or not _FUNCTION.fullmatch(words[1]):
            raise errors.UnsupportedGuest(
                f"line {number} of what _routes prints is not a path and a function: {line[:100]!r}",
                remedy="print lines such as: /hello hello",
            )
        if len(found) == ROUTES_MAX:
            raise errors.UnsupportedGuest(f"_routes prints more than {ROUTES_MAX} routes")
        found.append(Route(*words))
    return tuple(sorted(found, key=lambda route: (route.path.endswith("/..."), -len(route.path))))


def find_route(mounted: str, own: tuple[Route, ...], path: str, function: str) -> Route:
    """The whole route that a path takes: of the module's own routes below the one it is mounted at, else that one."""
    base = Route(mounted, "").mount.rstrip("/")
    below = path[len(base) :] or "/" if path.startswith(base) else path
    for route in own:
        if route.matches(below):
            return Route(base + route.path, route.function)
    return Route(mounted, function)


def arguments(request: Request) -> list[str]:
    return [request.path, *(request.query_string.split("&") if request.query_string else ())]


def variables(request: Request, route: Route, body_bytes: int | None = None) -> dict[str, str]:
    """The environment of a command for one request; `body_bytes` is the size of a body that is not in it."""
    header = {name.lower(): _joined(name, values) for name, values in request.header.items()}
    host = header.get("host", "localhost")
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        name, port = host, "443" if request.scheme == "https" else "80"
    base = route.mount.rstrip("/")
    raw = request.path[len(base) :] if request.path.startswith(base) else request.path
    below = unquote_to_bytes(raw).decode("utf-8", "replace")
    query = f"?{request.query_string}" if request.query_string else ""
    found = {
        "AUTH_TYPE": "",
        "CONTENT_LENGTH": str(len(request.given) if body_bytes is None else body_bytes),
        "GATEWAY_INTERFACE": "CGI/1.1",
        "PATH_INFO": below,
        "PATH_TRANSLATED": below,
        "QUERY_STRING": request.query_string,
        "REMOTE_ADDR": request.remote_address,
        "REMOTE_HOST": request.remote_address,
        "REMOTE_USER": "",
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": base or "/",
        "SERVER_NAME": name,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "nanolattice",
        "X_FULL_URL": f"{request.scheme or 'http'}://{host}{request.path}{query}",
        "X_MATCHED_ROUTE": route.path,
        "X_RAW_PATH_INFO": raw,
    }
    if "content-type" in header:
        found["CONTENT_TYPE"] = header["content-type"]
    # Two headers may come to the same name; the one that is spelled as usual goes first.
    for key in sorted(header, key=lambda key: "_" in key):
        if key not in _NOT_TOLD:
            found.setdefault(f"HTTP_{key.upper().replace('-', '_')}", header[key])
    return found


def _joined(name: str, values: list[str] | str) -> str:
    if isinstance(values, str):
        return values
    return ("; " if name.lower() == "cookie" else ", ").join(values)


def encoded(environment: Mapping[str, str]) -> list[bytes]:
    """As a process gets it. What cannot be said in an environment (a NUL, a name with "=") is left out.

    Raises `errors.PayloadTooLarge`.
    """
    found = [
        f"{name}={value}".encode("utf-8", "surrogateescape")
        for name, value in environment.items()
        if "=" not in name and "\0" not in name and "\0" not in value
    ]
    require_room(found)
    return found


def require_room(texts: list[bytes]) -> None:
    if sum(map(len, texts)) > VARIABLES_BYTES_MAX:
        raise errors.PayloadTooLarge(
            f"the headers and the path of a request are over {VARIABLES_BYTES_MAX} bytes, all that a command is told"
        )


def read_response(printed: bytes) -> HttpResponse:
    """The response that a command printed: headers, an empty line, the body.

    Raises `errors.GuestProtocolError` for what is no such thing.
    """
    header: dict[str, list[str]] = {}
    status = ""
    at = 0
    while True:
        end = printed.find(b"\n", at, HEADER_BYTES_MAX)
        if end < 0:
            raise errors.GuestProtocolError("the command printed no headers with an empty line after them")
        line, at = printed[at:end].replace(b"\r", b""), end + 1
        if not line:
            break
        name, colon, value = _text(line).partition(":")
        name = name.strip().lower()
        if not colon or not name:
            continue
        if name == "status":
            status = value.strip().partition(" ")[0]
        else:
            header.setdefault(name, []).append(value.strip())
    if not status and "content-type" not in header and "location" not in header:
        raise errors.GuestProtocolError("the command printed none of content-type, status and location")
    if status and not _STATUS.fullmatch(status):
        raise errors.GuestProtocolError(f"the command printed the status {status[:20]!r}, which is no number")
    code = int(status) if status else 302 if "location" in header else 200
    return HttpResponse(status_code=code, header={**header}, body=printed[at:])


def content_length(response: HttpResponse) -> int | None:
    """What a command says of the size of its body."""
    values = (response.header or {}).get("content-length", ())
    value = values[0] if len(values) == 1 else ""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
