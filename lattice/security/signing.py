"""Puts a signed token into a .wasm file: everything but the token stays as it is, byte by byte. Pure.

The token goes into one custom section `wasmcloud_jwt` at the end of the outermost level, in a module as in a component.
Tokens that were there are taken out first. Signing the same bytes with the same claims and key gives the same file: the
token's id (`jti`) is made of its content, and its time of issue is what the caller says.
"""

from __future__ import annotations

import hashlib

import msgspec

from lattice import errors, wasmfile
from lattice.security import keys, tokens
from lattice.security.claims import SECTION_NAMES, hash_without_token
from lattice.security.keys import KeyPair

SECTION_NAME = "wasmcloud_jwt"
"""The newer of the two names: hosts since 2022 read it, older ones only `jwt`."""
TOKEN_REVISION = 3
"""The layout of the token; readers since then check the hash."""
REVISION_MAX = 2**31 - 1
"""Other readers keep a revision in 32 bits with a sign."""
TIME_MAX = 2**53 - 1
"""Seconds since 1970 that every reader of JSON can hold exactly."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a token shall say. Times are seconds since 1970-01-01 UTC."""

    subject: str
    """Public key of the actor (M...)."""
    name: str
    caps: tuple[str, ...] = ()
    rev: int = 1
    ver: str = ""
    alias: str = ""
    tags: tuple[str, ...] = ()
    issued: int = 0
    expires: int | None = None
    nbf: int | None = None


class _Actor(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The fields and their order are wascap's."""

    name: str
    hash: str
    tags: tuple[str, ...]
    caps: tuple[str, ...]
    rev: int
    ver: str
    call_alias: str | None = None
    prov: bool


class _Payload(msgspec.Struct, omit_defaults=True, kw_only=True):
    jti: str | msgspec.UnsetType = msgspec.UNSET
    iat: int
    iss: str
    sub: str
    exp: int | None = None
    nbf: int | None = None
    wascap: _Actor
    wascap_revision: int


def sign(wasm: bytes, wish: Wish, issuer: KeyPair) -> bytes:
    """The same module or component with a token. Raises `errors.NotWasm`, and `errors.ConfigError` for claims that
    cannot be made."""
    _check(wish, issuer)
    file = wasmfile.describe(wasm)
    token = _token(wish, hash_without_token(wasm, file), issuer)
    signed = strip(wasm, file) + _section(SECTION_NAME.encode(), token)
    wasmfile.describe(signed)  # one section more may be one too many
    return signed


def strip(wasm: bytes, file: wasmfile.WasmFile) -> bytes:
    """The file without any token."""
    kept, position = bytearray(), 0
    for section in file.custom(*SECTION_NAMES):
        kept += wasm[position : section.start]
        position = section.end
    return bytes(kept + wasm[position:])


def _token(wish: Wish, hash_: str, issuer: KeyPair) -> bytes:
    payload = _Payload(
        iat=wish.issued,
        iss=issuer.public,
        sub=wish.subject,
        exp=wish.expires,
        nbf=wish.nbf,
        wascap=_Actor(
            name=wish.name,
            hash=hash_,
            tags=wish.tags,
            caps=wish.caps,
            rev=wish.rev,
            ver=wish.ver,
            call_alias=wish.alias or None,
            prov=False,
        ),
        wascap_revision=TOKEN_REVISION,
    )
    content = msgspec.json.encode(payload)
    named = msgspec.structs.replace(payload, jti=hashlib.sha256(content).hexdigest()[:22].upper())
    token = tokens.sign(named, issuer).encode()
    if len(token) > tokens.TOKEN_BYTES_MAX:
        raise errors.ConfigError(f"the token has {len(token)} bytes; at most {tokens.TOKEN_BYTES_MAX} are read")
    return token


def _check(wish: Wish, issuer: KeyPair) -> None:
    """Refuses what no host would take: better now than there."""
    if issuer.role != "account":
        raise errors.ConfigError(f"actors are signed by an account, and {issuer.public} is an {issuer.role}'s key")
    keys.decode_public(wish.subject, "actor")
    for what, text in (("name", wish.name), ("ver", wish.ver), ("alias", wish.alias)):
        if not text.isprintable():
            raise errors.ConfigError(f"the {what} {text[:80]!r} has characters that cannot be printed")
    for what, texts in (("cap", wish.caps), ("tag", wish.tags)):
        for text in texts:
            if not text or not text.isprintable() or " " in text:
                raise errors.ConfigError(
                    f"{text[:80]!r} is no {what}: it is empty, or has spaces or control characters"
                )
    if not wish.name:
        raise errors.ConfigError("an actor has a name")
    if ":" in wish.alias or keys.resembles(wish.alias, *keys.PUBLIC_ROLES):
        raise errors.ConfigError(f"the alias {wish.alias!r} looks like a contract or a key", remedy="choose another")
    if not 0 <= wish.rev <= REVISION_MAX:
        raise errors.ConfigError(f"rev is a number from 0 to {REVISION_MAX}, not {wish.rev}")
    times = [time for time in (wish.issued, wish.nbf, wish.expires) if time is not None]
    if not all(0 <= time <= TIME_MAX for time in times):
        raise errors.ConfigError(f"times are from 1970 on, and at most {TIME_MAX} s after it")
    if wish.expires is not None and wish.expires <= (wish.nbf or 0):
        raise errors.ConfigError("the token would expire before it is valid")


def _section(name: bytes, content: bytes) -> bytes:
    body = wasmfile.leb128(len(name)) + name + content
    return b"\0" + wasmfile.leb128(len(body)) + body
