"""Requests to other servers: the contract wasmcloud:httpclient."""

from __future__ import annotations

import json as json_
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from nanolattice import host, records
from nanolattice.errors import Error

CONTRACT = "wasmcloud:httpclient"

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a server answered, whatever its status. Names of headers are in lower case."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self, type_: type[T]) -> T:
        """The body as a dataclass or whatever `type_` says. Raises `Error` "invalid"."""
        return records.from_json(type_, self.body, "the answer")

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next(iter(self.headers.get(name.lower(), ())), None)


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    json: object = None,
    link: str = "default",
) -> Answer:
    """Makes a request, `json` being a body as JSON. Raises `Error` when there is no answer, or the link does not allow
    the address."""
    all_headers = {name.lower(): [value] for name, value in (headers or {}).items()}
    if json is not None:
        if body is not None:
            raise Error("invalid", "a request has a body or json, not both")
        body = json_.dumps(records.plain(json), ensure_ascii=False)
        all_headers.setdefault("content-type", ["application/json"])
    message: dict[str, Any] = {"method": method, "url": url, "headers": all_headers}
    if body is not None:
        message["body"] = body.encode() if isinstance(body, str) else body
    found = host.ask(link, CONTRACT, "HttpClient.Request", message)
    return Answer(found["statusCode"], found.get("header") or {}, found.get("body") or b"")
