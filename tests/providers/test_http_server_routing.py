"""Routes: the table alone against a slow but obvious model, and through the server."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lattice_http_server.reader import with_text_headers
from lattice_http_server.routing import RouteTable, is_plain, make_route, normalise_path
from lattice_http_server.settings import RouteSettings

from lattice import errors
from lattice.contracts.httpserver import HttpRequest
from lattice.links import Link
from lattice.provider import validated
from tests.providers.http_server_client import get, serving


async def nobody(_payload: bytes, _deadline: float) -> bytes:
    raise AssertionError("routing calls nobody")


def table(**routes: dict[str, str]) -> RouteTable:
    """Routes by the name of their actor."""
    made = RouteTable()
    for actor, config in routes.items():
        link = Link("V", actor, "wasmcloud:httpserver")
        made.add(make_route(link, validated(RouteSettings, config, "test"), 1000, nobody))
    return made


def found(routes: RouteTable, path: str, host: str = "", method: str = "GET") -> str | None:
    place = routes.find(host, path)
    route = place.find(method) if place else None
    return route.link.target if route else None


@pytest.mark.parametrize(
    ("path", "actor"),
    [
        ("/", "root"),
        ("/apix", "root"),
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/x", "api"),
        ("/api/v1", "v1"),
        ("/api/v1/deep/down", "v1"),
        ("/api/v12", "api"),
        ("/api/v1/exact", "exact"),
        ("/api/v1/exact/", "v1"),
        ("/api/v1/exact/more", "v1"),
    ],
)
def test_the_longest_prefix_of_whole_segments_wins_and_an_exact_path_over_it(path: str, actor: str) -> None:
    routes = table(
        root={}, api={"path": "/api/"}, v1={"path": "/api/v1"}, exact={"path": "=/api/v1/exact"}, other={"path": "/o"}
    )
    assert found(routes, path) == actor


@pytest.mark.parametrize(
    ("host", "path", "actor"),
    [
        ("api.example.org", "/", "full"),
        ("api.example.org", "/wild", "full"),
        ("www.example.org", "/", "wild"),
        ("a.b.example.org", "/", "wild"),
        ("a.deep.example.org", "/", "deeper"),
        ("example.org", "/", "any"),
        (".example.org", "/", "any"),
        ("badexample.org", "/", "any"),
        ("", "/", "any"),
        ("[::1]", "/", "any"),
    ],
)
def test_a_full_host_wins_over_the_longest_wildcard_and_that_over_none(host: str, path: str, actor: str) -> None:
    routes = table(
        any={"path": "/"},
        wild={"host": "*.Example.org"},
        deeper={"host": "*.deep.example.org"},
        full={"host": "api.example.org."},
        path_only={"path": "/wild"},
    )
    assert found(routes, path, host) == actor


def test_a_host_without_a_matching_path_leaves_the_request_to_less_specific_hosts() -> None:
    routes = table(host={"host": "a.org", "path": "/only"}, rest={})
    assert found(routes, "/only", "a.org") == "host"
    assert found(routes, "/other", "a.org") == "rest"
    assert found(table(host={"host": "a.org"}), "/", "b.org") is None


def test_methods_share_a_place_and_the_place_decides() -> None:
    routes = table(
        reads={"path": "/a", "methods": "GET"}, writes={"path": "/a", "methods": "post, PUT"}, rest={"methods": ""}
    )
    assert [found(routes, "/a", method=method) for method in ("GET", "HEAD", "POST", "PUT", "DELETE")] == [
        *("reads", "reads", "writes", "writes", None)
    ]
    place = routes.find("", "/a")
    assert place is not None
    assert place.allow == "GET, HEAD, OPTIONS, POST, PUT"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({"path": "/a"}, {"path": "/a/"}),
        ({"path": "/a/../b"}, {"path": "/%62"}),
        ({"host": "A.org"}, {"host": "a.org."}),
        ({"methods": "GET,POST"}, {"methods": "PUT,POST"}),
        ({"timeout": "1"}, {"timeout": "2"}),
    ],
)
def test_two_routes_that_mean_the_same_are_refused_by_name(first: dict[str, str], second: dict[str, str]) -> None:
    with pytest.raises(errors.ConfigError, match=r"(?s)mean the same requests.*one.*two") as caught:
        table(one=first, two=second)
    assert caught.value.remedy


def test_a_refused_route_leaves_the_table_as_it_was() -> None:
    routes = table(one={"path": "/a", "methods": "GET"})
    link = Link("V", "two", "wasmcloud:httpserver")
    with pytest.raises(errors.ConfigError):
        routes.add(make_route(link, RouteSettings(path="/a", methods=("POST", "GET")), 1, nobody))
    assert found(routes, "/a", method="POST") is None
    assert len(routes.routes) == 1


@pytest.mark.parametrize(
    "config",
    [
        {"path": "a"},
        {"path": ""},
        {"path": "="},
        {"path": "/a?b"},
        {"path": "/../a"},
        {"path": "/%zz"},
        {"host": "a b"},
        {"host": "a:80"},
        {"host": "a.*.org"},
        {"host": "*"},
        {"methods": "GET,FETCH"},
        {"methods": "CONNECT"},
        {"timeout": "0"},
        {"timeout": "soon"},
        {"body_bytes_max": "-1"},
        {"pfad": "/"},
    ],
)
def test_a_route_that_cannot_be_meant_is_refused(config: dict[str, str]) -> None:
    with pytest.raises(errors.ConfigError):
        table(actor=config)


SEGMENT = st.sampled_from(["a", "b", "ab", "x1"])
PREFIX = st.lists(SEGMENT, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(st.dictionaries(PREFIX, st.booleans(), max_size=8), st.lists(SEGMENT, max_size=5))
def test_the_table_finds_what_a_search_of_all_routes_finds(prefixes: dict[str, bool], segments: list[str]) -> None:
    routes = table(**{f"{exact:d}{path}": {"path": ("=" if exact else "") + path} for path, exact in prefixes.items()})
    path = "/" + "/".join(segments)
    fitting = [
        (exact, len(prefix), f"{exact:d}{prefix}")
        for prefix, exact in prefixes.items()
        if prefix == path or (not exact and (prefix == "/" or path.startswith(prefix + "/")))
    ]
    assert found(routes, path) == (max(fitting)[2] if fitting else None)


@given(st.lists(PREFIX, unique=True, max_size=6), st.data())
def test_what_is_removed_is_found_no_more(prefixes: list[str], data: st.DataObject) -> None:
    routes = table(**{path: {"path": path} for path in prefixes})
    for route in data.draw(st.permutations(routes.routes)):
        assert found(routes, route.path) == route.link.target
        routes.remove(route)
        routes.remove(route)
        assert found(routes, route.path) != route.link.target
    assert routes.find("", "/") is None


TRICKS = st.lists(
    st.sampled_from(
        ["/", "//", "/.", "/..", "%2e", "%2E", ".", "..", "%2f", "%2F", "%5c", "a", "b", "%61", "%25", "%"]
    ),
    max_size=12,
)


@given(TRICKS)
def test_no_spelling_reaches_a_prefix_it_does_not_lie_below(parts: list[str]) -> None:
    raw = "/" + "".join(parts)
    path = normalise_path(raw)
    if path is None:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert "\\" not in path
    if is_plain(raw):
        assert path == raw
    if "%" not in path:
        assert normalise_path(path) == path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/a/../b", "/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a%2F..%2fb", "/b"),
        ("//a///b", "/a/b"),
        ("/a/./b/.", "/a/b/"),
        ("/a/b/..", "/a/"),
        ("/.", "/"),
        ("/a/..", "/"),
        ("/%61", "/a"),
        ("/%2561", "/%61"),
        ("/...", "/..."),
        ("/.a/..b", "/.a/..b"),
        ("/..", None),
        ("/a/../..", None),
        ("/%", None),
        ("/%0", None),
        ("/%00", None),
        ("/a\\b", None),
    ],
)
def test_paths_are_normalised(raw: str, path: str | None) -> None:
    assert normalise_path(raw) == path


async def test_routes_hold_through_the_server(tmp_path: Path) -> None:
    routes = {
        "public": {"path": "/public"},
        "admin": {"path": "/admin", "methods": "GET", "host": "test"},
        "other": {"path": "/admin", "host": "*.other"},
    }
    async with serving(tmp_path, routes=routes) as served:
        client = await served.connect()
        for path, actor in (
            ("/public/x", b"public"),
            ("/admin/x", b"admin"),
            ("/public/../admin", b"admin"),
            ("/public/%2e%2e/admin", b"admin"),
            ("/public/..%2fadmin", b"admin"),
            ("/admin/../public", b"public"),
            ("/publi%63", b"public"),
            ("http://a.OTHER:80/admin/y", b"other"),
        ):
            assert (await client.ask(get(path))).body.split()[0] == actor, path
        assert served.calls[2].path == "/public/../admin"
        assert served.calls[-1].path == "/admin/y"
        for path in ("/", "/publicx", "/public%2e", "/%2561dmin"):
            assert (await client.ask(get(path))).status == 404, path


async def test_a_method_nobody_takes_is_405_and_options_says_what_is_taken(tmp_path: Path) -> None:
    routes = {"reads": {"methods": "GET"}, "writes": {"methods": "POST"}, "own": {"path": "/own", "methods": "OPTIONS"}}
    async with serving(tmp_path, routes=routes) as served:
        client = await served.connect()
        response = await client.ask(b"DELETE / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (response.status, response.code) == (405, "http_method_not_allowed")
        assert response.header("allow") == "GET, HEAD, OPTIONS, POST"
        response = await client.ask(b"OPTIONS / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (response.status, response.header("allow")) == (204, "GET, HEAD, OPTIONS, POST")
        assert response.header("content-length") is None
        assert (await client.ask(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")).status == 200
        assert (await client.ask(b"OPTIONS /own HTTP/1.1\r\nHost: test\r\n\r\n")).body == b"own OPTIONS /own"


@pytest.mark.parametrize("operation", ["", "x" * 101])
def test_an_operation_has_to_be_a_name(operation: str) -> None:
    with pytest.raises(errors.ConfigError, match="operation"):
        validated(RouteSettings, {"operation": operation}, "test")


def test_requests_are_sent_as_the_operation_of_the_contract_unless_a_route_says_another() -> None:
    assert validated(RouteSettings, {}, "test").operation == "HttpServer.HandleRequest"


async def test_an_old_actor_gets_one_text_for_each_header() -> None:
    got = []

    async def actor(payload: bytes, deadline: float, repeatable: bool) -> bytes:
        got.append((msgspec.msgpack.decode(payload), deadline, repeatable))
        return b"reply"

    header = {"accept": ["a", "b"], "cookie": ["x=1", "y=2"], "host": ["test"]}
    request = HttpRequest(method="GET", path="/p", query_string="q", header=header, body=b"\x00\xff")
    assert await with_text_headers(actor)(msgspec.msgpack.encode(request), 5.0, True) == b"reply"
    text = {"accept": "a, b", "cookie": "x=1; y=2", "host": "test"}
    message = {"method": "GET", "path": "/p", "queryString": "q", "header": text, "body": b"\x00\xff"}
    assert got == [(message, 5.0, True)]
