"""The one exception of this package: a code that programs read and a message that people read."""

from __future__ import annotations

STATUSES = {
    "invalid": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "unavailable": 503,
    "timeout": 504,
}
"""The codes that a handler of HTTP requests may let through: the answer is `{"error": message}` with this status. An
error of any other code fails the call, and the HTTP server of the host answers with what fits it."""


class Error(Exception):
    """What a capability, another actor or this one says has gone wrong.

    Codes of the host are those of its documentation: `not_linked`, `not_granted`, `deadline_exceeded`,
    `provider_unavailable` and so on. An actor's own are words of its choice.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def invalid(message: str) -> Error:
    """For `raise invalid("...")`: 400 over HTTP."""
    return Error("invalid", message)


def not_found(message: str) -> Error:
    """For `raise not_found("...")`: 404 over HTTP."""
    return Error("not_found", message)


def forbidden(message: str) -> Error:
    """For `raise forbidden("...")`: 403 over HTTP."""
    return Error("forbidden", message)


def conflict(message: str) -> Error:
    """For `raise conflict("...")`: 409 over HTTP."""
    return Error("conflict", message)


def unavailable(message: str) -> Error:
    """For `raise unavailable("...")`: 503 over HTTP."""
    return Error("unavailable", message)
