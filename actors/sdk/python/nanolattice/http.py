"""Requests to the actor: the contract wasmcloud:httpserver.

A function is named for a method and a pattern, and says with its parameters what it wants of a request:

    @http.get("/people/{name}")
    def person(name: str, verbose: bool = False) -> Person: ...

- a parameter that stands in the pattern is that piece of the path: str, int or float;
- one of the type `Request` is the request itself;
- one of a dataclass, list or dict is the body, read as JSON;
- any other is a value of the query: str, int, float or bool, required unless it has a default.

What does not fit is answered 400 and says which. What the function returns is the answer: a `Response` as it is, text
or bytes as such, None as 204, and everything else as JSON.
"""

from __future__ import annotations

import inspect
import json as json_
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

from nanolattice import records
from nanolattice.answering import answer
from nanolattice.errors import STATUSES, Error, invalid

CONTRACT = "wasmcloud:httpserver"

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """`query` has no leading "?"; names of headers are in lower case, each with its values in order."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    params: dict[str, str] = field(default_factory=dict)
    """The pieces of the path that the pattern names, percent-decoded."""

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next(iter(self.headers.get(name.lower(), ())), None)

    @property
    def text(self) -> str:
        """The body as text. Raises `Error` "invalid" if it is none."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise invalid("the body is not text") from error

    def json(self, type_: type[T]) -> T:
        """The body as a dataclass or whatever `type_` says. Raises `Error` "invalid"."""
        return records.from_json(type_, self.body, "the body")

    def values(self, name: str) -> list[str]:
        """All values of the query with that name, decoded."""
        return parse_qs(self.query, keep_blank_values=True).get(name, [])


@dataclass(frozen=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str | list[str]] = field(default_factory=dict)


def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Dataclasses, dicts, lists, text and numbers as JSON."""
    body = json_.dumps(records.plain(value), ensure_ascii=False, separators=(",", ":"))
    return _response(status, "application/json", body + "\n", headers)


def text(body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return _response(status, "text/plain; charset=utf-8", body, headers)


def html(body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`html.escape` of Python's library is for what goes into it."""
    return _response(status, "text/html; charset=utf-8", body, headers)


def redirect(location: str, status: int = 303) -> Response:
    return Response(status, headers={"location": location})


def _response(status: int, kind: str, body: str, headers: Mapping[str, str] | None) -> Response:
    return Response(status, body.encode(), {"content-type": kind, **(headers or {})})


F = TypeVar("F", bound=Callable[..., Any])


def route(method: str, pattern: str, *, status: int = 200) -> Callable[[F], F]:
    """Names the function that answers. `{name}` is one piece of the path, `{name...}` at the end all the rest of it; of
    several patterns that fit, the first counts. `status` is for answers that do not say one. Raises `TypeError` when
    the function wants what no request has."""

    def register(function: F) -> F:
        routes.append(_Route(method.upper(), pattern, function, status))
        answer("HttpServer", "HandleRequest", take)
        return function

    return register


def get(pattern: str, *, status: int = 200) -> Callable[[F], F]:
    return route("GET", pattern, status=status)


def post(pattern: str, *, status: int = 200) -> Callable[[F], F]:
    return route("POST", pattern, status=status)


def put(pattern: str, *, status: int = 200) -> Callable[[F], F]:
    return route("PUT", pattern, status=status)


def patch(pattern: str, *, status: int = 200) -> Callable[[F], F]:
    return route("PATCH", pattern, status=status)


def delete(pattern: str, *, status: int = 200) -> Callable[[F], F]:
    return route("DELETE", pattern, status=status)


class _Route:
    """A function, and how its parameters are made of a request."""

    def __init__(self, method: str, pattern: str, function: Callable[..., Any], status: int) -> None:
        if not pattern.startswith("/"):
            raise ValueError(f"the pattern {pattern!r} does not begin with /")
        self.method = method
        self.pattern = pattern
        self.function = function
        self.status = status
        self._pieces = [_Piece(piece) for piece in pattern.split("/")]
        named = {piece.name for piece in self._pieces if piece.name}
        hints = typing.get_type_hints(function)
        self._arguments = [
            _argument(parameter, hints.get(parameter.name, str), parameter.name in named)
            for parameter in inspect.signature(function).parameters.values()
        ]

    def match(self, pieces: list[str]) -> dict[str, str] | None:
        """The pieces of a path that this pattern names, or None if it does not fit."""
        found = {}
        for number, piece in enumerate(self._pieces):
            if piece.rest:
                found[piece.name] = unquote("/".join(pieces[number:]))
                return found
            if number >= len(pieces) or (not piece.name and piece.text != pieces[number]):
                return None
            if piece.name:
                if not pieces[number]:
                    return None
                found[piece.name] = unquote(pieces[number])
        return found if len(pieces) == len(self._pieces) else None

    def answer(self, request: Request) -> Response:
        result = self.function(**{name: make(request) for name, make in self._arguments})
        if isinstance(result, Response):
            return result
        if result is None:
            return Response(204 if self.status == 200 else self.status)
        if isinstance(result, str):
            return text(result, self.status)
        if isinstance(result, bytes):
            return Response(self.status, result, {"content-type": "application/octet-stream"})
        return json(result, self.status)


class _Piece:
    """What stands between two slashes of a pattern."""

    def __init__(self, text: str) -> None:
        self.text = text
        inside = text[1:-1] if text.startswith("{") and text.endswith("}") else ""
        self.rest = inside.endswith("...")
        self.name = inside.removesuffix("...")


routes: list[_Route] = []

_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_Make = Callable[[Request], Any]


def _argument(parameter: inspect.Parameter, type_: Any, in_path: bool) -> tuple[str, _Make]:
    """How one parameter of a function is made of a request."""
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise TypeError(f"{parameter}: a handler has plain parameters")
    if in_path:
        convert = _convert(type_, f"{name} in the path")
        return name, lambda request: convert(request.params[name])
    if type_ is Request:
        return name, lambda request: request
    is_union = typing.get_origin(type_) in (typing.Union, types.UnionType)
    options = [each for each in typing.get_args(type_) if each is not type(None)] if is_union else [type_]
    if len(options) == 1 and options[0] in (str, int, float, bool):
        return name, _query(name, _convert(options[0], f"{name} in the query"), parameter.default)
    records.decoder(type_)  # says now what it cannot read
    return name, lambda request: request.json(type_)


def _query(name: str, convert: Callable[[str], Any], default: Any) -> _Make:
    def read(request: Request) -> Any:
        found = request.values(name)
        if found:
            return convert(found[0])
        if default is inspect.Parameter.empty:
            raise invalid(f"{name} is missing in the query")
        return default

    return read


def _convert(type_: Any, what: str) -> Callable[[str], Any]:
    def read(value: str) -> Any:
        try:
            return _WORDS[value.lower()] if type_ is bool else type_(value)
        except (KeyError, ValueError):
            wanted = {int: "a whole number", float: "a number", bool: "true or false"}[type_]
            raise invalid(f"{what} is {value[:100]!r}, not {wanted}") from None

    if type_ not in (str, int, float, bool):
        raise TypeError(f"{what} can be str, int, float or bool")
    return read


def take(found: dict[str, Any]) -> dict[str, Any]:
    """Answers one request of the host. Raises what is no answer: an `Error` that has no status, and every other."""
    path = found["path"]
    request = Request(
        found["method"], path, found.get("queryString") or "", found.get("header") or {}, found.get("body") or b""
    )
    try:
        response = _answer(request, path.split("/"))
    except Error as error:
        status = STATUSES.get(error.code)
        if status is None:
            raise
        response = json({"error": error.message}, status)
    headers = {name: value if isinstance(value, list) else [value] for name, value in response.headers.items()}
    return {"statusCode": response.status, "header": headers, "body": response.body}


def _answer(request: Request, pieces: list[str]) -> Response:
    allowed = []
    for each in routes:
        params = each.match(pieces)
        if params is None:
            continue
        if each.method in (request.method, "*") or (each.method == "GET" and request.method == "HEAD"):
            request.params.update(params)
            return each.answer(request)
        allowed.append(each.method)
    if allowed:
        known = ", ".join(dict.fromkeys(allowed))
        return json({"error": f"{request.path} takes {known}"}, 405, {"allow": known})
    return json({"error": f"there is nothing at {request.path}"}, 404)
