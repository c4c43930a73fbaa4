"""The functions of wasi:http/types, as guests call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import http_fields, poll
from lattice.wasm.wasi.http_body import FutureTrailers, IncomingBody, OutgoingBody
from lattice.wasm.wasi.http_errors import ErrorCode, internal
from lattice.wasm.wasi.http_fields import Fields
from lattice.wasm.wasi.http_messages import (
    FutureIncomingResponse,
    IncomingRequest,
    IncomingResponse,
    OutgoingRequest,
    OutgoingResponse,
    RequestOptions,
    ResponseOutparam,
)
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.streams import IoError
from lattice.wasm.wasi.table import Interface


def _error_code(error: IoError) -> ErrorCode | None:
    return error.http_code


def _headers(instance: Instance, message: IncomingRequest | OutgoingRequest | OutgoingResponse) -> Fields:
    """A handle of its own for the guest; the fields are those of the message and do not change."""
    return instance.own(Fields(message.headers.entries, immutable=True))


def _incoming_consume(instance: Instance, message: IncomingRequest | IncomingResponse) -> Ok | Err:
    return message.consume(instance)


def _incoming_stream(instance: Instance, body: IncomingBody) -> Ok | Err:
    return body.stream(instance)


def _incoming_finish(instance: Instance, body: IncomingBody) -> FutureTrailers:
    return instance.moved(body).finish(instance)


def _trailers_get(instance: Instance, future: FutureTrailers) -> Ok | Err | None:
    return future.get(instance)


def _new_request(instance: Instance, headers: Fields) -> OutgoingRequest:
    return instance.own(OutgoingRequest(instance.moved(headers)))


def _new_options(instance: Instance) -> RequestOptions:
    return instance.own(RequestOptions())


def _new_response(instance: Instance, headers: Fields) -> OutgoingResponse:
    return instance.own(OutgoingResponse(instance.moved(headers)))


def _outgoing_body(instance: Instance, message: OutgoingRequest | OutgoingResponse) -> Ok | Err:
    return message.take_body(instance)


def _body_write(instance: Instance, body: OutgoingBody) -> Ok | Err:
    return body.write(instance)


def _body_finish(instance: Instance, body: OutgoingBody, trailers: Fields | None) -> Ok | Err:
    if trailers is not None:
        instance.moved(trailers)
    return instance.moved(body).finish(trailers)


def _outparam_set(instance: Instance, outparam: ResponseOutparam, result: Ok | Err) -> None:
    if isinstance(result, Ok):
        instance.moved(result.value)
    instance.moved(outparam).set(result)


def _send_informational(_outparam: ResponseOutparam, _status: int, _headers: Fields) -> Err:
    return Err(internal("this host sends no informational responses"))


def _response_get(instance: Instance, future: FutureIncomingResponse) -> Ok | Err | None:
    return future.get(instance)


def _getter(name: str) -> Callable[[Any], object]:
    def get(resource: Any) -> object:
        return getattr(resource, name)

    return get


def _time_setter(name: str) -> Callable[[RequestOptions, int | None], Ok]:
    def set_time(options: RequestOptions, duration_ns: int | None) -> Ok:
        setattr(options, name, duration_ns)
        return Ok()

    return set_time


TYPES = Interface(
    "wasi:http/types",
    functions={
        "[constructor]fields": http_fields.constructor,
        "[static]fields.from-list": http_fields.from_list,
        "[method]fields.clone": http_fields.clone,
        "[method]incoming-request.headers": _headers,
        "[method]incoming-request.consume": _incoming_consume,
        "[constructor]outgoing-request": _new_request,
        "[method]outgoing-request.body": _outgoing_body,
        "[method]outgoing-request.headers": _headers,
        "[constructor]request-options": _new_options,
        "[static]response-outparam.set": _outparam_set,
        "[method]incoming-response.headers": _headers,
        "[method]incoming-response.consume": _incoming_consume,
        "[method]incoming-body.stream": _incoming_stream,
        "[static]incoming-body.finish": _incoming_finish,
        "[method]future-trailers.subscribe": poll.subscribe,
        "[method]future-trailers.get": _trailers_get,
        "[constructor]outgoing-response": _new_response,
        "[method]outgoing-response.headers": _headers,
        "[method]outgoing-response.body": _outgoing_body,
        "[method]outgoing-body.write": _body_write,
        "[static]outgoing-body.finish": _body_finish,
        "[method]future-incoming-response.subscribe": poll.subscribe,
        "[method]future-incoming-response.get": _response_get,
    },
    plain={
        "http-error-code": _error_code,
        "[method]fields.get": http_fields.get,
        "[method]fields.has": http_fields.has,
        "[method]fields.set": http_fields.set_,
        "[method]fields.delete": http_fields.delete,
        "[method]fields.append": http_fields.append,
        "[method]fields.entries": http_fields.entries,
        "[method]incoming-request.method": _getter("method"),
        "[method]incoming-request.path-with-query": _getter("path_with_query"),
        "[method]incoming-request.scheme": _getter("scheme"),
        "[method]incoming-request.authority": _getter("authority"),
        "[method]outgoing-request.method": _getter("method"),
        "[method]outgoing-request.set-method": OutgoingRequest.set_method,
        "[method]outgoing-request.path-with-query": _getter("path_with_query"),
        "[method]outgoing-request.set-path-with-query": OutgoingRequest.set_path_with_query,
        "[method]outgoing-request.scheme": _getter("scheme"),
        "[method]outgoing-request.set-scheme": OutgoingRequest.set_scheme,
        "[method]outgoing-request.authority": _getter("authority"),
        "[method]outgoing-request.set-authority": OutgoingRequest.set_authority,
        "[method]request-options.connect-timeout": _getter("connect"),
        "[method]request-options.set-connect-timeout": _time_setter("connect"),
        "[method]request-options.first-byte-timeout": _getter("first_byte"),
        "[method]request-options.set-first-byte-timeout": _time_setter("first_byte"),
        "[method]request-options.between-bytes-timeout": _getter("between_bytes"),
        "[method]request-options.set-between-bytes-timeout": _time_setter("between_bytes"),
        "[method]response-outparam.send-informational": _send_informational,
        "[method]incoming-response.status": _getter("status"),
        "[method]outgoing-response.status-code": _getter("status"),
        "[method]outgoing-response.set-status-code": OutgoingResponse.set_status,
    },
    resources=frozenset(
        {"fields", "incoming-request", "outgoing-request", "request-options", "response-outparam"}
        | {"incoming-response", "incoming-body", "future-trailers", "outgoing-response", "outgoing-body"}
        | {"future-incoming-response"}
    ),
)
