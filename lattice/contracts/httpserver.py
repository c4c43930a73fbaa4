"""wasmcloud:httpserver - requests that arrive, answered by an actor."""

from __future__ import annotations

from lattice.contracts.message import U16, Contract, Message, Operation


class HttpRequest(Message, frozen=True, kw_only=True):
    """`query_string` has no leading "?"; header names are lower case, each with its values in order.

    The last two are there only for actors whose route asks for them: older actors may not take what they do not know.
    """

    method: str
    path: str
    query_string: str
    header: dict[str, list[str]]
    body: bytes
    scheme: str = ""
    remote_address: str = ""


class HttpResponse(Message, frozen=True, kw_only=True):
    """Actors of 2021 give each header one bare value; later ones a list. Both are read."""

    status_code: U16 = 200
    header: dict[str, list[str] | str] | None = None
    body: bytes | None = None


HANDLE_REQUEST = Operation("HttpServer.HandleRequest", "handle_request", HttpRequest, HttpResponse)

CONTRACT = Contract("wasmcloud:httpserver", actor_operations=(HANDLE_REQUEST,))
