"""Calls between hosts as bytes: the msgpack maps of the wasmbus, and what is added to them.

The fields are those that hosts and providers of the actor generation send. What they have no field for travels in
`traceContext`, a map of texts: the time that is left, the depth of the call, the trace, the remedy of an error, the
claims of the actor that calls. Between hosts that sign their calls two fields stand behind the others: the digest of a
payload that goes another way, and the proof, whose bytes are the last of the message. Conversions are pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lattice import errors, wire
from lattice.invocation import EntityId, Invocation
from lattice.security.invocation_tokens import Call, url
from lattice.security.sessions import UNPROVEN

TIMEOUT, DEPTH, TRACE = "nanolattice-timeout-ms", "nanolattice-depth", "traceparent"
REMEDY = "nanolattice-remedy"
CLAIMS, KEPT = "nanolattice-claims", "nanolattice-claims-kept"
"""Of a call: the token of the actor that makes it. Of its answer: the actor whose claims need not be sent again."""
NEW, ACCEPTED = "nanolattice-session-new", "nanolattice-session-accepted"
"""Of a call: the session was not accepted yet. Of its answer: the acceptance."""
FLOOR = "nanolattice-session-floor"
"""Of an answer that says that the session is over: up to which number others are too."""
FOREIGN_TIMEOUT_S = 10.0
"""What a call may take whose sender did not say: the default limit of an actor."""
TIMEOUT_S_MAX = 3600.0
NAMES_CHARS_MAX = 4096
"""All names of one call. A guest's have 256 each; they end up in tables, which are bounded by what they count."""
DEPTH_MAX = 1000
"""A larger number is nonsense; each actor's own limit is far below."""


class Entity(msgspec.Struct, frozen=True, gc=False):
    public_key: str
    link_name: str = ""
    contract_id: str = ""


class InvocationEnvelope(msgspec.Struct, frozen=True, gc=False):
    """One call. `msg` is empty when the payload was too large: then `content_length` is its size, and it lies in the
    lattice's object store under `id`. `encoded_claims` is the sender's signature."""

    origin: Entity
    target: Entity
    operation: str
    msg: bytes | None = b""
    id: str = ""
    encoded_claims: str | None = ""
    host_id: str | None = ""
    content_length: int | None = None
    traceContext: dict[str, str] | None = None


class ResponseEnvelope(msgspec.Struct, frozen=True, gc=False):
    """The answer. `error` is `code: message`. A large `msg` lies in the object store under the call's id and `-r`."""

    msg: bytes | None = b""
    invocation_id: str | None = ""
    error: str | None = None
    content_length: int | None = None
    traceContext: dict[str, str] | None = None


class SignedInvocation(InvocationEnvelope, frozen=True, gc=False):
    """`digest` is SHA-256 of a payload in the object store."""

    digest: bytes = b""
    proof: bytes = b""


class SignedResponse(ResponseEnvelope, frozen=True, gc=False):
    digest: bytes = b""
    proof: bytes = b""


read_envelope = wire.decoder(SignedInvocation, "the invocation")
read_answer = wire.decoder(SignedResponse, "the answer to an invocation")


def context_of(invocation: Invocation, timeout_s: float) -> dict[str, str]:
    """What goes along with a call. `timeout_s` is what it may still take."""
    context = {TIMEOUT: str(int(timeout_s * 1000)), DEPTH: str(invocation.depth)}
    if invocation.trace:
        context[TRACE] = invocation.trace
    return context


def write_invocation(
    invocation: Invocation,
    target: EntityId,
    host: str,
    timeout_s: float,
    stored: bool,
    claims: str = "",
    context: Mapping[str, str] | None = None,
) -> bytes:
    """`timeout_s` is what the call may still take; `stored` says that the payload went another way. `claims` is the
    call's signature, for those that are signed one by one."""
    origin = invocation.origin
    return wire.encode(
        InvocationEnvelope(
            Entity(origin.key, origin.link_name, origin.contract),
            Entity(target.key, target.link_name, target.contract),
            invocation.operation,
            b"" if stored else invocation.payload,
            invocation.id,
            claims,
            host,
            len(invocation.payload),
            dict(context or context_of(invocation, timeout_s)),
        )
    )


def write_unproven(
    invocation: Invocation,
    target: EntityId,
    host: str,
    timeout_s: float,
    claims: str,
    more: Mapping[str, str],
    digest: bytes = b"",
) -> bytes:
    """A call whose proof comes in the place of the last bytes. `claims` names its session, `more` goes along; with a
    `digest` the payload went another way."""
    origin, context = invocation.origin, context_of(invocation, timeout_s)
    if more:
        context.update(more)
    return wire.encode(
        SignedInvocation(
            Entity(origin.key, origin.link_name, origin.contract),
            Entity(target.key, target.link_name, target.contract),
            invocation.operation,
            b"" if digest else invocation.payload,
            invocation.id,
            claims,
            host,
            len(invocation.payload),
            context,
            digest,
            UNPROVEN,
        )
    )


def read_invocation(data: bytes, now: float) -> tuple[Invocation, int]:
    """The call, and the size of its payload if that was stored, else 0. `now` is the time that deadlines count from.

    Raises `errors.MalformedMessage`.
    """
    return invocation_of(read_envelope(data), now, "")


def signed_call(envelope: InvocationEnvelope) -> Call:
    """What a signature of this call alone is about."""
    origin, target = envelope.origin, envelope.target
    return Call(
        id=envelope.id,
        origin=url(origin.public_key, origin.contract_id, origin.link_name),
        target=url(target.public_key, target.contract_id, target.link_name),
        operation=envelope.operation,
        context=envelope.traceContext or {},
    )


def invocation_of(envelope: InvocationEnvelope, now: float, host: str) -> tuple[Invocation, int]:
    """As `read_invocation`; `host` is who made the call, as far as that is known."""
    extra = envelope.traceContext or {}
    timeout_s = min(_number(extra, TIMEOUT, FOREIGN_TIMEOUT_S * 1000) / 1000, TIMEOUT_S_MAX)
    origin, target = envelope.origin, envelope.target
    if not target.public_key or not origin.public_key:
        raise errors.MalformedMessage("an invocation names its origin and its target")
    names = len(origin.public_key) + len(origin.contract_id) + len(origin.link_name) + len(envelope.operation)
    names += len(target.public_key) + len(target.contract_id) + len(target.link_name) + len(envelope.id) + len(host)
    if names > NAMES_CHARS_MAX:
        raise errors.MalformedMessage(f"the names of a call have {names} letters; at most {NAMES_CHARS_MAX} are taken")
    payload = envelope.msg or b""
    stored = 0 if payload else max(0, envelope.content_length or 0)
    invocation = Invocation(
        origin=EntityId(origin.public_key, origin.contract_id, origin.link_name),
        contract=target.contract_id or origin.contract_id,
        operation=envelope.operation,
        payload=payload,
        id=envelope.id,
        deadline=now + timeout_s,
        link_name=(target.link_name if target.contract_id else origin.link_name) or "default",
        target=EntityId(target.public_key, target.contract_id, target.link_name),
        depth=int(min(_number(extra, DEPTH, 1), DEPTH_MAX)),
        trace=extra.get(TRACE, ""),
        host=host,
    )
    return invocation, stored


def write_response(invocation_id: str, payload: bytes, error: errors.CallError | None, stored: bool) -> bytes:
    text = None if error is None else wire.error_text(error)
    extra = {REMEDY: error.remedy} if error is not None and error.remedy else None
    return wire.encode(ResponseEnvelope(b"" if stored else payload, invocation_id, text, len(payload), extra))


def write_unproven_response(
    invocation_id: str,
    payload: bytes,
    error: errors.CallError | None,
    digest: bytes = b"",
    more: Mapping[str, str] | None = None,
) -> bytes:
    """An answer whose proof comes in the place of the last bytes; with a `digest` its payload went another way."""
    text, extra = None, dict(more) if more else None
    if error is not None:
        text = wire.error_text(error)
        if error.remedy:
            extra = {**(extra or {}), REMEDY: error.remedy}
    sent = b"" if digest else payload
    return wire.encode(SignedResponse(sent, invocation_id, text, len(payload), extra, digest, UNPROVEN))


def read_response(data: bytes) -> tuple[bytes, int]:
    """The reply, and its size if it was stored, else 0. Raises the error that was sent, or
    `errors.MalformedMessage`."""
    return reply_of(read_answer(data))


def reply_of(envelope: ResponseEnvelope) -> tuple[bytes, int]:
    """As `read_response`."""
    if envelope.error:
        error = wire.error_from_text(envelope.error)
        error.remedy = (envelope.traceContext or {}).get(REMEDY, "")
        raise error
    payload = envelope.msg or b""
    return payload, 0 if payload else max(0, envelope.content_length or 0)


def _number(extra: dict[str, str], name: str, default: float) -> float:
    text: Any = extra.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise errors.MalformedMessage(f"{name} has to be a whole number, not {text[:20]!r}")
    return float(text)


def write_ids(ids: list[str]) -> bytes:
    """Ids of calls, as the question which of them a host is at, and as its answer."""
    return msgspec.json.encode(ids)


def read_ids(data: bytes) -> list[str]:
    """Raises `errors.MalformedMessage`."""
    try:
        return msgspec.json.decode(data, type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.MalformedMessage(f"these are no ids of calls: {error}") from error
