"""HTTP both ways: replies to a test, and the servers that an actor asks, played by the test."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from lattice import errors
from lattice.contracts.httpclient import HttpRequest, HttpResponse

HEAD_BYTES_MAX = 64 * 1024
"""Of a response: twice what the server itself takes of a request."""


class Reply(msgspec.Struct, frozen=True):
    """What a client gets. Names of headers are in lower case; of several values of one, the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        """Raises `AssertionError` that shows the body when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise AssertionError(f"the body of this {self.status} is no JSON: {self.body[:500]!r}") from error

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:500]!r}>"


def request_bytes(
    method: str, target: str, headers: Mapping[str, str] | None, body: bytes | str | None, json_: Any
) -> bytes:
    """One HTTP/1.1 request that asks to close the connection. Raises `errors.ConfigError`."""
    if json_ is not None and body is not None:
        raise errors.ConfigError("a request has json or body, not both")
    given = {name.lower(): value for name, value in (headers or {}).items()}
    if json_ is not None:
        body = json.dumps(json_, default=msgspec.to_builtins)
        given.setdefault("content-type", "application/json")
    data = body.encode() if isinstance(body, str) else body or b""
    parts = urlsplit(target)
    if not parts.path.startswith("/"):
        raise errors.ConfigError(f"the path of a request begins with /: {target[:200]!r}")
    query = f"?{parts.query}" if parts.query else ""
    given.setdefault("host", parts.netloc or "localhost")
    given["connection"] = "close"
    if data or method.upper() in ("POST", "PUT", "PATCH"):
        given["content-length"] = str(len(data))
    lines = [f"{method.upper()} {parts.path}{query} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise errors.ConfigError("a line of the request has a line end in it")
    return "\r\n".join((*lines, "", "")).encode() + data


class _Bytes:
    """What `http.client` takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def reply(method: str, data: bytes) -> Reply:
    """Raises `errors.MalformedMessage`."""
    response = http.client.HTTPResponse(_Bytes(data), method=method.upper())  # type: ignore[arg-type]  # all it uses
    try:
        response.begin()
        body = response.read()
    except http.client.HTTPException as error:
        raise errors.MalformedMessage(f"the response cannot be read: {error!r}: {data[:200]!r}") from error
    found = {name.lower(): value for name, value in response.getheaders()}
    found.pop("date", None)  # the one thing in it that is of the real clock
    return Reply(response.status, found, body)


class Web:
    """The servers of the world, as far as a test plays them. `requests` are those that actors made."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self._answers: dict[tuple[str, str], HttpResponse | errors.CallError] = {}

    def answers(
        self,
        method: str,
        url: str,
        *,
        status: int = 200,
        json: Any = None,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """What a server answers to this method and URL, every time."""
        header = {name.lower(): [value] for name, value in (headers or {}).items()}
        if json is not None:
            body = msgspec.json.encode(json)
            header.setdefault("content-type", ["application/json"])
        data = body.encode() if isinstance(body, str) else body
        self._answers[method.upper(), url] = HttpResponse(status_code=status, header=header, body=data)

    def fails(self, method: str, url: str, error: errors.CallError | None = None) -> None:
        self._answers[method.upper(), url] = error or errors.ProviderUnavailable(f"cannot connect to {url}")

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """For the provider. Raises the error of the server, and `errors.ProviderUnavailable` where none is played."""
        self.requests.append(request)
        found = self._answers.get((request.method.upper(), request.url))
        if found is None:
            raise errors.ProviderUnavailable(
                f"no server answers {request.method.upper()} {request.url} in this test",
                remedy=f'h.web.answers("{request.method.upper()}", "{request.url}", json=...)',
            )
        if isinstance(found, errors.CallError):
            raise found
        return found
