"""Which actor a request goes to. Pure: a table of routes, searched by host, then path, then method.

The most specific route wins: a host given in full before a wildcard (the longest first) before none; a path given in
full before a prefix (the longest first). The place so found decides: a method it does not take is 405, though a less
specific route would take it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

import msgspec

from lattice import errors
from lattice.provider import Caller, Link
from lattice_http_server.settings import METHODS, RouteSettings

REPEATABLE = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"))
"""Methods that mean the same when they come twice (RFC 9110, 9.2.2)."""
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")


def never() -> bool:
    """Of a route whose bodies are whole."""
    return False


class Route(msgspec.Struct, frozen=True, eq=False):
    """One link as a route. `path` is normalised; `exact` says that nothing below it is meant."""

    link: Link
    host: str
    path: str
    exact: bool
    methods: tuple[str, ...]
    timeout_s: float
    body_bytes_max: int
    call: Caller
    """Calls the actor with a request's bytes."""
    repeatable: frozenset[str]
    """Methods whose requests may reach the actor more than once."""
    client: bool = False
    """Whether the actor is told who asks."""
    in_pieces: Callable[[], bool] = never
    """Whether the actor takes bodies in pieces, asked for each request."""


class Place:
    """The routes of one host and path, apart by method."""

    def __init__(self) -> None:
        self.by_method: dict[str, Route] = {}
        self.any: Route | None = None
        self.allow = ""

    def find(self, method: str) -> Route | None:
        route = self.by_method.get(method, self.any)
        if route is None and method == "HEAD":
            return self.by_method.get("GET")
        return route

    def add(self, route: Route) -> None:
        for other in self._conflicts(route):
            raise errors.ConfigError(
                f"two routes mean the same requests: {describe(other)} and {describe(route)}",
                remedy="give one of the links another host, path, methods or address",
            )
        if not route.methods:
            self.any = route
        for method in route.methods:
            self.by_method[method] = route
        self._list_allowed()

    def remove(self, route: Route) -> bool:
        """Returns whether nothing is left."""
        if self.any is route:
            self.any = None
        for method in [method for method, found in self.by_method.items() if found is route]:
            del self.by_method[method]
        self._list_allowed()
        return self.any is None and not self.by_method

    def _conflicts(self, route: Route) -> Iterator[Route]:
        if not route.methods and self.any is not None:
            yield self.any
        yield from (self.by_method[method] for method in route.methods if method in self.by_method)

    def _list_allowed(self) -> None:
        allowed = set(self.by_method) | {"OPTIONS"}
        if "GET" in allowed:
            allowed.add("HEAD")
        self.allow = ", ".join(sorted(allowed))


class _Paths:
    """The places of one host."""

    def __init__(self) -> None:
        self._exact: dict[str, Place] = {}
        self._prefixes: dict[str, Place] = {}
        self._depth = 0
        """Segments of the longest prefix: how much of a path is worth looking at, however long it is."""

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes)

    def find(self, path: str) -> Place | None:
        if path in self._exact:
            return self._exact[path]
        if self._depth:
            segments = path.split("/", self._depth + 1)[: self._depth + 1]
            while len(segments) > 1:
                found = self._prefixes.get("/".join(segments))
                if found is not None:
                    return found
                segments.pop()
        return self._prefixes.get("/")

    def add(self, route: Route) -> None:
        places = self._exact if route.exact else self._prefixes
        place = places.get(route.path) or Place()
        place.add(route)
        places[route.path] = place
        self._measure()

    def remove(self, route: Route) -> None:
        places = self._exact if route.exact else self._prefixes
        place = places.get(route.path)
        if place is not None and place.remove(route):
            del places[route.path]
        self._measure()

    def _measure(self) -> None:
        self._depth = max((path.count("/") for path in self._prefixes if path != "/"), default=0)


class RouteTable:
    """The routes of one address."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Paths] = {}
        self._wildcards: list[str] = []
        """`.example.org` and so on, the longest first."""
        self._everywhere: _Paths | None = None
        self.routes: list[Route] = []

    def add(self, route: Route) -> None:
        """Raises `errors.ConfigError` when another route means the same requests."""
        paths = self._hosts.get(route.host) or _Paths()
        paths.add(route)
        self._hosts[route.host] = paths
        self.routes.append(route)
        self._index()

    def remove(self, route: Route) -> None:
        if route not in self.routes:
            return
        self.routes.remove(route)
        paths = self._hosts[route.host]
        paths.remove(route)
        if not paths:
            del self._hosts[route.host]
        self._index()

    def find(self, host: str, path: str) -> Place | None:
        """`host` lower case without port, `path` normalised."""
        everywhere = self._everywhere
        if everywhere is None or len(self._hosts) > 1:
            paths = self._hosts.get(host) if host else None
            if paths is not None and (found := paths.find(path)) is not None:
                return found
            for suffix in self._wildcards:
                if (
                    host.endswith(suffix)
                    and len(host) > len(suffix)
                    and (found := self._hosts["*" + suffix].find(path)) is not None
                ):
                    return found
        return None if everywhere is None else everywhere.find(path)

    def _index(self) -> None:
        self._everywhere = self._hosts.get("")
        self._wildcards = sorted((host[1:] for host in self._hosts if host[:1] == "*"), key=len, reverse=True)


def make_route(
    link: Link, settings: RouteSettings, body_bytes_max: int, call: Caller, in_pieces: Callable[[], bool] = never
) -> Route:
    """A link's settings as a route. Raises `errors.ConfigError`."""
    host = settings.host.strip().lower().rstrip(".")
    if host and not _HOST.fullmatch(host):
        raise errors.ConfigError(
            f"link {link}: {settings.host!r} is not a host to route by",
            remedy="write a name without a port, such as api.example.org or *.example.org",
        )
    exact = settings.path.startswith("=")
    written = settings.path[exact:]
    path = normalise_path(written) if written.startswith("/") and "?" not in written and "#" not in written else None
    if path is None:
        raise errors.ConfigError(
            f"link {link}: {settings.path!r} is not a path to route by",
            remedy="begin it with / (for all below it) or =/ (for itself alone), without a query",
        )
    if not exact and path != "/":
        path = path.rstrip("/")
    own_max = settings.body_bytes_max
    repeatable = frozenset(METHODS.values()) if settings.repeatable else REPEATABLE
    return Route(
        link,
        host,
        path,
        exact,
        settings.methods,
        settings.timeout,
        own_max or body_bytes_max,
        call,
        repeatable,
        settings.client,
        in_pieces,
    )


def describe(route: Route) -> str:
    where = f"{route.host}{'=' if route.exact else ''}{route.path}"
    return f"{route.link} at {where!r} for {','.join(route.methods) or 'every method'}"


def is_plain(path: str) -> bool:
    """Whether a path is what `normalise_path` makes of it; true of nearly all."""
    return "%" not in path and "//" not in path and "/." not in path and "\\" not in path


def normalise_path(path: str) -> str | None:
    """The path that routes are compared with: escapes decoded once, `//` as `/`, `.` and `..` resolved.

    None for a path that is refused: one that climbs above `/`, has a broken escape, a NUL or a backslash. An escaped
    slash separates segments here like a bare one, so that no spelling of `..` leaves a prefix unseen. Bytes that are
    no UTF-8 are kept as surrogates.
    """
    if _BAD_ESCAPE.search(path):
        return None
    decoded = unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
    if "\0" in decoded or "\\" in decoded or not decoded.startswith("/"):
        return None
    parts = decoded.split("/")
    kept: list[str] = []
    for part in parts:
        if part == "..":
            if not kept:
                return None
            kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    ends_open = parts[-1] in ("", ".", "..") and kept
    return "/" + "/".join(kept) + ("/" if ends_open else "")
