"""wasmcloud:httpclient - requests that an actor makes."""

from __future__ import annotations

from lattice.contracts.message import U16, Contract, Message, Operation


class HttpRequest(Message, frozen=True, kw_only=True):
    method: str
    url: str
    headers: dict[str, list[str] | str] | None = None
    body: bytes | None = None


class HttpResponse(Message, frozen=True, kw_only=True):
    status_code: U16
    header: dict[str, list[str]]
    body: bytes


REQUEST = Operation("HttpClient.Request", "request", HttpRequest, HttpResponse)

CONTRACT = Contract("wasmcloud:httpclient", operations=(REQUEST,))
