"""What the token inside a .wasm file claims: who made the actor, what it is called, which contracts it may use.

The token is a JSON web token in a custom section of the outermost level, `jwt` (older) or `wasmcloud_jwt`. Here it
is *read*, not verified: neither the signature, nor the hash of the module, nor the times are checked, so nothing read
here may decide anything. `Claims.verified` says so and is false in everything that this module returns; `admission.py`
makes it true, and nothing else does.
"""

from __future__ import annotations

import hashlib

import msgspec

from lattice import errors, wasmfile
from lattice.security import tokens
from lattice.security.tokens import TOKEN_BYTES_MAX, Whole

SECTION_NAMES = ("jwt", "wasmcloud_jwt")


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of one actor. Times are seconds since 1970-01-01 UTC; None where the token does not say."""

    issuer: str
    """Public key of the account that signed (A...)."""
    subject: str
    """Public key of the actor (M...)."""
    name: str = ""
    caps: tuple[str, ...] = ()
    """Contract ids that the actor may use."""
    rev: int | None = None
    ver: str = ""
    alias: str = ""
    """Another actor may call this one by it."""
    tags: tuple[str, ...] = ()
    issued: int | None = None
    expires: int | None = None
    nbf: int | None = None
    """Not valid before."""
    hash: str = ""
    """Upper-case hex SHA-256 of the file without the token's section, as the issuer saw it."""
    legacy: bool = False
    """A token of the 2019 layout: to look at, not to run."""
    verified: bool = False
    """The signature, the hash, the times and the issuer were checked, and this host runs the actor."""


class _Actor(msgspec.Struct):
    """The part of the payload about an actor; in 2019 its fields stood at the top level."""

    name: str | None = None
    hash: str | None = None
    tags: list[str] | None = None
    caps: list[str] | None = None
    rev: Whole | None = None
    ver: str | None = None
    call_alias: str | None = None


class _Payload(_Actor):
    iss: str = ""
    sub: str = ""
    iat: Whole | None = None
    exp: Whole | None = None
    nbf: Whole | None = None
    wascap: _Actor | None = None


_payload = msgspec.json.Decoder(_Payload)


def read_claims(wasm: bytes) -> Claims | None:
    """The claims in a module or component; None when it carries no token. Decoded, not verified.

    Raises `errors.NotWasm` for what is not WebAssembly, `errors.ArtifactError` for a second token or a malformed one.
    """
    return claims_in(wasm, wasmfile.describe(wasm))


def claims_in(wasm: bytes, file: wasmfile.WasmFile) -> Claims | None:
    """`read_claims` for whoever has described the file already."""
    token = token_in(wasm, file)
    return None if token is None else decode_token(token)


def token_in(wasm: bytes, file: wasmfile.WasmFile) -> bytes | None:
    """The token as it lies in the file; None when there is none. Raises `errors.ArtifactError` for a second one."""
    sections = file.custom(*SECTION_NAMES)
    if not sections:
        return None
    if len(sections) > 1:
        # Two readers could believe two tokens, and the hash covers only one removal.
        places = " and ".join(f"byte {section.start}" for section in sections[:2])
        raise errors.ArtifactError(
            f"the file carries {len(sections)} tokens ({places}) where one is allowed",
            remedy="sign the unsigned module again; signing replaces the old token",
        )
    section = sections[0]
    if section.end - section.content > TOKEN_BYTES_MAX:
        raise errors.ArtifactError(
            f"the token at byte {section.start} has {section.end - section.content} bytes; "
            f"at most {TOKEN_BYTES_MAX} are read"
        )
    return wasm[section.content : section.end]


def hash_without_token(wasm: bytes, file: wasmfile.WasmFile) -> str:
    """Upper-case hex SHA-256 of every byte that is in no token's section, as tokens have it in `hash`.

    Sections are left out as they lie in the file, from the id byte to the last one of the content: lengths that were
    written longer than they need to be stay what they are, and no byte besides the sections escapes.
    """
    digest, position, view = hashlib.sha256(), 0, memoryview(wasm)
    for section in file.custom(*SECTION_NAMES):
        digest.update(view[position : section.start])
        position = section.end
    digest.update(view[position:])
    return digest.hexdigest().upper()


def decode_token(token: bytes) -> Claims:
    """The claims of an actor's token (`header.payload.signature`), not verified. Raises `errors.ArtifactError`."""
    try:
        payload = tokens.read(tokens.split(token).payload, _payload)
    except errors.TokenInvalid as error:
        raise errors.ArtifactError(str(error)) from error
    if not payload.iss or not payload.sub:
        raise errors.ArtifactError("the token names no issuer (iss) or no subject (sub)")
    actor = payload.wascap or payload
    return Claims(
        issuer=payload.iss,
        subject=payload.sub,
        name=actor.name or "",
        caps=tuple(actor.caps or ()),
        rev=actor.rev,
        ver=actor.ver or "",
        alias=actor.call_alias or "",
        tags=tuple(actor.tags or ()),
        issued=payload.iat,
        expires=payload.exp,
        nbf=payload.nbf,
        hash=actor.hash or "",
        legacy=payload.wascap is None,
    )
