"""What a command is told of a request, and how what it prints is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.wasm import cgi
from lattice.wasm.cgi import Request, Route

TOKENS = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True).filter(lambda name: name != "status")
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


@pytest.mark.parametrize(
    ("printed", "status", "header", "body"),
    [
        (b"content-type: text/plain\n\nhello", 200, {"content-type": ["text/plain"]}, b"hello"),
        (b"Content-Type: text/plain\r\n\r\nhello\r\n", 200, {"content-type": ["text/plain"]}, b"hello\r\n"),
        (b"Status: 404 Not Found\n\n", 404, {}, b""),
        (b"status:201\nx: 1\n\n\n\nbody", 201, {"x": ["1"]}, b"\n\nbody"),
        (b"Location: /there\n\n", 302, {"location": ["/there"]}, b""),
        (b"location: /there\nstatus: 307 x\n\n", 307, {"location": ["/there"]}, b""),
        (b"status: 200\nset-cookie: a=1\nSet-Cookie: b=2\n\n", 200, {"set-cookie": ["a=1", "b=2"]}, b""),
        (b"content-type: a:b: c\nno colon here\n: no name\n\n", 200, {"content-type": ["a:b: c"]}, b""),
        (b"content-type: caf\xe9\n\n\xff\x00", 200, {"content-type": ["café"]}, b"\xff\x00"),
    ],
)
def test_a_response_is_read_from_what_was_printed(
    printed: bytes, status: int, header: dict[str, list[str]], body: bytes
) -> None:
    response = cgi.read_response(printed)
    assert (response.status_code, response.header, response.body) == (status, header, body)


@pytest.mark.parametrize(
    "printed",
    [
        b"",
        b"hello",
        b"\n",
        b"\nhello",
        b"content-type: text/plain\n",
        b"x-other: 1\n\nhello",
        b"status: fine\n\n",
        b"status: 99\n\n",
        b"status: 2000\n\n",
        b"a" * (cgi.HEADER_BYTES_MAX + 10) + b"\n\n",
        b"\r" * cgi.HEADER_BYTES_MAX + b"content-type: a\n\n",
    ],
)
def test_what_is_no_response_is_said_to_be_none(printed: bytes) -> None:
    with pytest.raises(errors.GuestProtocolError):
        cgi.read_response(printed)


@given(st.binary(max_size=300))
def test_any_output_is_a_response_or_an_error_of_the_guest(printed: bytes) -> None:
    try:
        response = cgi.read_response(printed)
    except errors.GuestProtocolError:
        return
    assert 100 <= response.status_code <= 599
    assert printed.endswith(response.body or b"")


@given(st.lists(st.tuples(TOKENS, VALUES), max_size=8), st.integers(200, 599), st.binary(max_size=50), st.booleans())
def test_headers_come_back_as_they_were_printed(
    pairs: list[tuple[str, str]], status: int, body: bytes, with_returns: bool
) -> None:
    end = "\r\n" if with_returns else "\n"
    head = "".join(f"{name}: {value}{end}" for name, value in pairs) + f"status: {status} said{end}{end}"
    response = cgi.read_response(head.encode() + body)
    expected: dict[str, list[str]] = {}
    for name, value in pairs:
        expected.setdefault(name, []).append(value)
    assert (response.status_code, response.header, response.body) == (status, expected, body)


def test_a_command_is_told_of_the_request_as_cgi_and_wagi_say() -> None:
    request = Request(
        method="POST",
        path="/static/a%20b/c",
        query_string="x=1&y",
        header={
            "host": ["example.org:8080"],
            "content-type": ["text/plain"],
            "authorization": ["Basic abc"],
            "connection": ["close"],
            "cookie": ["a=1", "b=2"],
            "accept": ["text/html", "text/plain"],
            "x_odd": ["no"],
            "x-odd": ["yes"],
        },
        body=memoryview(b"12345"),
    )
    found = cgi.variables(request, Route("/static/...", "_start"))
    assert found == {
        "AUTH_TYPE": "",
        "CONTENT_LENGTH": "5",
        "CONTENT_TYPE": "text/plain",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "PATH_INFO": "/a b/c",
        "PATH_TRANSLATED": "/a b/c",
        "QUERY_STRING": "x=1&y",
        "REMOTE_ADDR": "",
        "REMOTE_HOST": "",
        "REMOTE_USER": "",
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/static",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "nanolattice",
        "X_FULL_URL": "http://example.org:8080/static/a%20b/c?x=1&y",
        "X_MATCHED_ROUTE": "/static/...",
        "X_RAW_PATH_INFO": "/a%20b/c",
        "HTTP_HOST": "example.org:8080",
        "HTTP_CONTENT_TYPE": "text/plain",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_ACCEPT": "text/html, text/plain",
        "HTTP_X_ODD": "yes",
    }
    assert cgi.arguments(request) == ["/static/a%20b/c", "x=1", "y"]


def test_without_a_query_the_path_is_the_only_argument() -> None:
    assert cgi.arguments(Request(method="GET", path="/a")) == ["/a"]


@pytest.mark.parametrize(
    ("configuration", "route"),
    [
        ({}, "/..."),
        ({"path": "/"}, "/..."),
        ({"path": "/a"}, "/a/..."),
        ({"path": "/a/"}, "/a/..."),
        ({"path": "=/a"}, "/a"),
        ({"path": "=/"}, "/"),
    ],
)
def test_the_route_is_that_of_the_link(configuration: dict[str, str], route: str) -> None:
    assert cgi.matched_route(configuration) == route


def test_routes_of_a_module_are_below_the_one_it_has() -> None:
    own = cgi.read_routes(b"/hello hello\n\n/hello/... below\n/... rest\n")

    def find(path: str) -> tuple[str, str]:
        return tuple(cgi.find_route("/app/...", own, path, "_start"))  # type: ignore[return-value]  # two texts

    assert find("/app/hello") == ("/app/hello", "hello")
    assert find("/app/hello/x") == ("/app/hello/...", "below")
    assert find("/app/other") == ("/app/...", "rest")
    assert cgi.find_route("/app/...", (), "/app/x", "_start") == Route("/app/...", "_start")
    assert cgi.find_route("/...", own, "/hello", "_start") == Route("/hello", "hello")


@pytest.mark.parametrize("printed", [b"hello hello\n", b"/hello\n", b"/a b c\n", b"/a \x01\n"])
def test_routes_that_cannot_be_are_refused_with_their_line(printed: bytes) -> None:
    with pytest.raises(errors.UnsupportedGuest, match="line 2"):
        cgi.read_routes(b"/fine fine\n" + printed)


def test_the_number_of_routes_has_a_limit() -> None:
    with pytest.raises(errors.UnsupportedGuest, match="more than"):
        cgi.read_routes(b"".join(b"/%d f\n" % number for number in range(cgi.ROUTES_MAX + 1)))


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=6))
def test_what_cannot_be_said_in_an_environment_is_left_out(variables: dict[str, str]) -> None:
    for text in cgi.encoded(variables):
        assert b"\0" not in text
        name, _, value = text.decode("utf-8", "surrogateescape").partition("=")
        assert variables[name] == value


def test_more_than_a_command_can_be_told_is_refused() -> None:
    with pytest.raises(errors.PayloadTooLarge):
        cgi.encoded({"A": "x" * cgi.VARIABLES_BYTES_MAX})
