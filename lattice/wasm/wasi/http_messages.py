"""Requests and responses of wasi:http, in and out, and what stands for a response that is not there yet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from lattice.bodies import BodySource
from lattice.contracts import httpclient, httpserver
from lattice.streams import Signal, Waiter
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.http_body import IncomingBody, OutgoingBody, collecting
from lattice.wasm.wasi.http_errors import ErrorCode
from lattice.wasm.wasi.http_fields import TOKEN, Fields
from lattice.wasm.wasi.instance import Instance

METHODS = ("get", "head", "post", "put", "delete", "connect", "options", "trace", "patch")
"""The cases of the variant `method` that are a name; any other is `other`."""

_TARGET = re.compile(r"[!-~\x80-\U0010ffff]*")
_AUTHORITY = re.compile(r"[!$&'()*+,;=\-._~%0-9A-Za-z:\[\]@]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")

Variant = tuple[str, Any]


def method_variant(name: str) -> Variant:
    lower = name.lower()
    return (lower, None) if lower in METHODS and name == name.upper() else ("other", name)


def method_name(variant: Variant) -> str:
    case, payload = variant
    return str(payload) if case == "other" else case.upper()


NO_HOST = "localhost"
"""The authority of a request of HTTP/1.0 without a Host. Guests take it that there is one: JavaScript's `Request` traps
without."""


class IncomingRequest:
    """The resource `incoming-request`."""

    __slots__ = ("_body", "authority", "headers", "incoming", "method", "path_with_query", "scheme")

    def __init__(self, request: httpserver.HttpRequest, body: BodySource | None = None) -> None:
        """`body` None: it is in the message."""
        self.method = method_variant(request.method)
        query = request.query_string
        self.path_with_query = f"{request.path}?{query}" if query else request.path
        self.scheme: Variant = ("HTTP", None)
        hosts = request.header.get("host")
        self.authority = hosts[0] if hosts else NO_HOST
        self.headers = Fields.of(request.header)
        self._body: IncomingBody | None = IncomingBody(request.body if body is None else body)
        self.incoming: IncomingBody = self._body

    def consume(self, instance: Instance) -> Ok | Err:
        """The body, once."""
        body, self._body = self._body, None
        return Err() if body is None else Ok(instance.own(body))

    def close(self) -> None:
        """Nobody will read the body any more, if nobody began to."""
        if self._body is not None:
            self._body.close()
            self._body = None


class IncomingResponse:
    """The resource `incoming-response`."""

    __slots__ = ("_body", "headers", "status")

    def __init__(self, response: httpclient.HttpResponse, body: BodySource | None = None) -> None:
        """`body` None: it is in the message."""
        self.status = response.status_code
        self.headers = Fields.of(response.header)
        self._body: IncomingBody | None = IncomingBody(response.body if body is None else body)

    def consume(self, instance: Instance) -> Ok | Err:
        body, self._body = self._body, None
        return Err() if body is None else Ok(instance.own(body))

    def close(self) -> None:
        """As of a request."""
        if self._body is not None:
            self._body.close()
            self._body = None


class OutgoingRequest:
    """The resource `outgoing-request`."""

    __slots__ = ("authority", "body", "headers", "method", "path_with_query", "scheme")

    def __init__(self, headers: Fields) -> None:
        headers.immutable = True
        self.headers = headers
        self.method: Variant = ("get", None)
        self.path_with_query: str | None = None
        self.scheme: Variant | None = None
        self.authority: str | None = None
        self.body: OutgoingBody | None = None

    def take_body(self, instance: Instance) -> Ok | Err:
        if self.body is not None:
            return Err()
        self.body = collecting(instance, self.headers, "request")
        return Ok(instance.own(self.body))

    def set_method(self, method: Variant) -> Ok | Err:
        if method[0] == "other" and not TOKEN.fullmatch(method[1]):
            return Err()
        self.method = method
        return Ok()

    def set_path_with_query(self, value: str | None) -> Ok | Err:
        if value is not None and not _TARGET.fullmatch(value):
            return Err()
        self.path_with_query = value
        return Ok()

    def set_scheme(self, scheme: Variant | None) -> Ok | Err:
        if scheme is not None and scheme[0] == "other" and not _SCHEME.fullmatch(scheme[1]):
            return Err()
        self.scheme = scheme
        return Ok()

    def set_authority(self, value: str | None) -> Ok | Err:
        if value is not None and not _AUTHORITY.fullmatch(value):
            return Err()
        self.authority = value
        return Ok()

    def url(self) -> str | None:
        """None when it does not say whom it is for, or by what scheme."""
        scheme = "https"
        if self.scheme is not None:
            case, payload = self.scheme
            scheme = str(payload).lower() if case == "other" else case.lower()
        if scheme not in ("http", "https") or not self.authority:
            return None
        path = self.path_with_query or "/"
        return f"{scheme}://{self.authority}{path if path[0] in '/?' else '/' + path}"

    def close(self) -> None:
        """The body, if the guest took one, is a resource of its own."""


class RequestOptions:
    """The resource `request-options`: times in nanoseconds, None for the host's own."""

    __slots__ = ("between_bytes", "connect", "first_byte")

    def __init__(self) -> None:
        self.connect: int | None = None
        self.first_byte: int | None = None
        self.between_bytes: int | None = None

    def close(self) -> None:
        """Nothing to free."""


class OutgoingResponse:
    """The resource `outgoing-response`."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, headers: Fields) -> None:
        headers.immutable = True
        self.headers = headers
        self.status = 200
        self.body: OutgoingBody | None = None

    def set_status(self, status: int) -> Ok | Err:
        if not 100 <= status <= 999:
            return Err()
        self.status = status
        return Ok()

    def take_body(self, instance: Instance) -> Ok | Err:
        if self.body is not None:
            return Err()
        self.body = collecting(instance, self.headers, "response")
        return Ok(instance.own(self.body))

    def close(self) -> None:
        """The body, if the guest took one, is a resource of its own."""


class ResponseOutparam:
    """The resource `response-outparam`: where the guest puts its response, or says why there is none."""

    __slots__ = ("error", "response", "when_set")

    def __init__(self) -> None:
        self.response: OutgoingResponse | None = None
        self.error: ErrorCode | None = None
        self.when_set: Callable[[OutgoingResponse], None] | None = None

    def set(self, result: Ok | Err) -> None:
        if isinstance(result, Ok):
            self.response = result.value
            if self.when_set is not None:
                self.when_set(result.value)
        else:
            self.error = result.value

    @property
    def complete(self) -> bool:
        """A response is there, with all of its body."""
        response = self.response
        return response is not None and (response.body is None or response.body.whole)

    def close(self) -> None:
        """A guest that drops it has no response."""


class FutureIncomingResponse:
    """The resource `future-incoming-response`."""

    __slots__ = ("_result", "_taken", "changed", "request")

    def __init__(self) -> None:
        self._result: Ok | Err | None = None
        self._taken = False
        self.request: asyncio.Task[None] | None = None
        """What makes the request; it ends when nobody wants the response."""
        self.changed = Signal()

    def settle(self, result: Ok | Err) -> None:
        self._result = result
        self.changed.fire()

    def get(self, instance: Instance) -> Ok | Err | None:
        """None while there is nothing; then the result, once."""
        if self._taken:
            return Err()
        result = self._result
        if result is None:
            return None
        self._taken = True
        self._result = Ok()
        if isinstance(result, Ok):
            instance.own(result.value)
        return Ok(result)

    def ready(self) -> bool:
        return self._result is not None

    def attach(self, waiter: Waiter) -> None:
        self.changed.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self.changed.detach(waiter)

    def close(self) -> None:
        # A response that was taken goes on: its body still comes.
        if self.request is not None and not self._taken:
            self.request.cancel()
