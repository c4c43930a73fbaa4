"""Signed tokens: JSON web tokens by nkeys, as wasmCloud's wascap writes them. Pure.

`header.payload.signature`, each base64url without padding; the header is `{"typ":"jwt","alg":"Ed25519"}` and the
signature is raw Ed25519 by the issuer (`iss`, an nkey) over `header.payload`. What a payload says beyond `iss` is its
reader's: actors' claims, invocations, control messages. Signing the same payload twice gives the same token.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from lattice import errors
from lattice.security import keys
from lattice.security.keys import KeyPair, Role

TOKEN_BYTES_MAX = 64 * 1024
"""A token with every contract and fifty tags has 2 KB; more than this is not a token."""
ALGORITHM = "Ed25519"

WHOLE_MAX = 2**53
"""JSON has no largest number; sums of larger ones with fractions are not exact, or are none."""
Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=-WHOLE_MAX, le=WHOLE_MAX)]
"""A time in seconds since 1970, or a revision, as a token says it."""

Payload = TypeVar("Payload")


class Token(msgspec.Struct, frozen=True):
    """A token taken apart, not verified: `signed` is what the signature is over, `payload` JSON."""

    signed: bytes
    payload: bytes
    signature: bytes


class _Header(msgspec.Struct):
    alg: str
    typ: str = ""


_header = msgspec.json.Decoder(_Header)
_HEADER = b'{"typ":"jwt","alg":"Ed25519"}'


def sign(payload: Any, issuer: KeyPair) -> str:
    """A token of `payload`, a record or mapping that names `issuer.public` as its `iss`."""
    signed = b".".join((_encoded(_HEADER), _encoded(msgspec.json.encode(payload))))
    return b".".join((signed, _encoded(issuer.sign(signed)))).decode()


def split(token: bytes) -> Token:
    """Takes a token apart. Raises `errors.TokenInvalid` for one that is malformed or of another algorithm."""
    if len(token) > TOKEN_BYTES_MAX:
        raise errors.TokenInvalid(f"the token has {len(token)} bytes; at most {TOKEN_BYTES_MAX} are read")
    parts = token.split(b".")
    if len(parts) != 3:
        raise errors.TokenInvalid(f"the token has {len(parts)} parts where header.payload.signature are three")
    header = read(_decoded(parts[0], "header"), _header, "header")
    if header.alg != ALGORITHM:
        raise errors.TokenInvalid(f"the token is signed with {header.alg!r}; only {ALGORITHM} is known here")
    payload, signature = _decoded(parts[1], "payload"), _decoded(parts[2], "signature")
    return Token(token[: len(parts[0]) + 1 + len(parts[1])], payload, signature)


def read(data: bytes, decoder: msgspec.json.Decoder[Payload], what: str = "payload") -> Payload:
    """A part of a token as a record. Raises `errors.TokenInvalid`."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.TokenInvalid(f"the token's {what} cannot be read: {error}") from error


def require_signature(token: Token, issuer: str, *roles: Role) -> None:
    """Raises `errors.TokenInvalid` unless `issuer`, a public key of one of these roles, signed the token."""
    try:
        role, _ = keys.decode_public(issuer)
    except errors.ConfigError as error:
        raise errors.TokenInvalid(f"the token's issuer {issuer[:60]!r} is no key: {error}") from error
    if role not in roles:
        raise errors.TokenInvalid(f"the token's issuer {issuer} is an {role}'s key, not that of {' or '.join(roles)}")
    if not keys.verify(issuer, token.signed, token.signature):
        raise errors.TokenInvalid(f"the token was not signed by {issuer}, or was changed since")


def require_time(now: float, *, issued: int | None, nbf: int | None, expires: int | None, leeway_s: float) -> None:
    """Times are seconds since 1970; None sets no bound. Raises `errors.TokenInvalid` for a token that is not valid yet
    or not any more, by more than `leeway_s`."""
    if expires is not None and now >= expires + leeway_s:
        raise errors.TokenInvalid(f"the token expired {_shown(now - expires)} ago")
    begins = max((time for time in (issued, nbf) if time is not None), default=None)
    if begins is not None and now < begins - leeway_s:
        raise errors.TokenInvalid(
            f"the token is not valid yet, for another {_shown(begins - now)}", remedy="compare the clocks"
        )


def _shown(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decoded(part: bytes, what: str) -> bytes:
    try:
        # Tokens carry no base64 padding, and the decoder wants it.
        data = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise errors.TokenInvalid(f"the token's {what} is not base64url: {error}") from error
    if _encoded(data) != part:
        # Several texts for one signature would let a changed token pass for another one.
        raise errors.TokenInvalid(f"the token's {what} is not base64url: it has stray bits or letters")
    return data
