"""wasi:http error codes for the failures of calls."""

from __future__ import annotations

from typing import Any

from lattice import errors

ErrorCode = tuple[str, Any]

FAMILIES: tuple[tuple[type[errors.CallError], str], ...] = (
    (errors.NotLinked, "HTTP-request-denied"),
    (errors.NotGranted, "HTTP-request-denied"),
    (errors.Denied, "HTTP-request-denied"),
    (errors.NotAuthentic, "HTTP-request-denied"),
    (errors.HostNotAllowed, "HTTP-request-denied"),
    (errors.TargetUnknown, "destination-not-found"),
    (errors.ProviderUnavailable, "destination-unavailable"),
    (errors.Unreachable, "destination-unavailable"),
    (errors.Draining, "destination-unavailable"),
    (errors.AnswerLost, "connection-terminated"),
    (errors.DeadlineExceeded, "HTTP-response-timeout"),
    (errors.Overloaded, "connection-limit-reached"),
    (errors.CallDepthExceeded, "loop-detected"),
    (errors.MalformedMessage, "HTTP-protocol-error"),
)
"""The first that fits. What is none of these is an `internal-error` with the text."""


def error_code(error: errors.CallError) -> ErrorCode:
    """The WIT variant `error-code`. A case without a payload loses the text, which the caller logs."""
    for family, case in FAMILIES:
        if isinstance(error, family):
            return (case, None)
    return internal(f"{error.code}: {error.message}")


def internal(text: str) -> ErrorCode:
    return ("internal-error", text)


def in_words(code: ErrorCode) -> str:
    """A code a guest gave, for an error text."""
    case, payload = code
    return case if payload is None else f"{case}: {payload!r}"[:500]
