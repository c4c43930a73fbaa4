"""Counts the requests to each path."""

import json

import wit_world.exports
from componentize_py_types import Err, Ok
from wit_world.imports import atomics, store
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    Method_Get,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


class IncomingHandler(wit_world.exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        if not isinstance(request.method(), Method_Get):
            answer(response_out, 405, {"error": "only GET counts"}, ("allow", b"GET"))
            return
        path, _, _ = (request.path_with_query() or "/").partition("?")
        try:
            counter = atomics.increment(store.open("default"), path, 1)
        except Err as error:
            answer(response_out, 503, {"error": getattr(error.value, "value", "the store cannot be used")})
        else:
            answer(response_out, 200, {"counter": counter})


def answer(response_out: ResponseOutparam, status: int, content: object, *headers: tuple[str, bytes]) -> None:
    response = OutgoingResponse(Fields.from_list([("content-type", b"application/json"), *headers]))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        stream.blocking_write_and_flush(json.dumps(content, separators=(",", ":")).encode() + b"\n")
    OutgoingBody.finish(body, None)
