"""Requests this server answers by itself, and errors of calls as responses. Nothing of a traceback leaves the host."""

from __future__ import annotations

import msgspec

from lattice import errors

RETRY_AFTER_S = 1
"""What 503 tells a client: overload and restarts here pass in about that time."""
_MESSAGE_CHARS_MAX = 1000
"""Of an error's message in a response: an actor writes it, and may write much."""


class Refusal(msgspec.Struct, frozen=True):
    """A response that says why there is no better one. `code` is stable."""

    status: int
    code: str
    message: str
    allow: str = ""
    """For 405, and for the answer to OPTIONS."""

    def body(self) -> bytes:
        return b"" if self.status == 204 else msgspec.json.encode({"error": self.code, "message": self.message}) + b"\n"

    def headers(self) -> bytes:
        lines = b"" if self.status == 204 else b"content-type: application/json\r\n"
        if self.status == 503:
            lines += b"retry-after: %d\r\n" % RETRY_AFTER_S
        if self.allow:
            lines += b"allow: %s\r\n" % self.allow.encode()
        return lines


_STATUS: tuple[tuple[type[errors.LatticeError], int], ...] = (
    (errors.DeadlineExceeded, 504),
    (errors.AnswerLost, 504),
    (errors.Unreachable, 503),
    (errors.Overloaded, 503),
    (errors.Draining, 503),
    (errors.ProviderUnavailable, 503),
    (errors.InstancesExhausted, 503),
    (errors.TargetUnknown, 503),
    (errors.Cancelled, 503),
    (errors.PayloadTooLarge, 413),
    (errors.Denied, 403),
    (errors.CallError, 502),
)
"""The first that fits counts. TargetUnknown is an actor that is being placed or moved: it may be there in a moment."""


_KEPT_INSIDE = (errors.NotLinked, errors.NotGranted, errors.Denied, errors.NotAuthentic)
"""Their messages name keys, claims and rules, which are for whoever looks after the host and not for visitors."""


def from_error(error: BaseException) -> Refusal:
    """What a failed call looks like to the client."""
    if not isinstance(error, errors.LatticeError):
        return Refusal(500, "internal", "the server failed; its log says how")
    status = next((status for cls, status in _STATUS if isinstance(error, cls)), 500)
    if isinstance(error, _KEPT_INSIDE):
        return Refusal(status, error.code, "this is not permitted here; the log of the host says why")
    return Refusal(status, error.code, error.message[:_MESSAGE_CHARS_MAX])


def malformed(why: str) -> Refusal:
    return Refusal(400, "http_malformed", why)


def no_route() -> Refusal:
    return Refusal(404, "http_no_route", "nothing is served here under this host and path")


def method_not_allowed(method: str, allow: str) -> Refusal:
    return Refusal(405, "http_method_not_allowed", f"this path does not take {method}; it takes {allow}", allow)


def options(allow: str) -> Refusal:
    """Not a refusal, but the other answer that needs no actor: what a path takes."""
    return Refusal(204, "", "", allow)


def body_too_large(limit: int) -> Refusal:
    return Refusal(413, "http_body_too_large", f"the body is larger than the {limit} bytes this route takes")


def target_too_long(limit: int) -> Refusal:
    return Refusal(414, "http_target_too_long", f"the request target is longer than {limit} bytes")


def head_too_large(why: str) -> Refusal:
    return Refusal(431, "http_head_too_large", why)


def too_slow(what: str) -> Refusal:
    return Refusal(408, "http_too_slow", f"{what} took too long to arrive")


def connections_full(limit: int) -> Refusal:
    return Refusal(503, "overloaded", f"this server has its {limit} connections; try again")


def bodies_full(limit: int) -> Refusal:
    return Refusal(503, "overloaded", f"the request bodies in progress have the {limit} bytes they may take; try again")
