"""Signed modules, and tokens that lie: keys of two accounts and an actor, sections with lengths as one likes."""

from __future__ import annotations

import base64
import json
from typing import Any

from lattice import wasmfile
from lattice.security import tokens
from lattice.security.claims import hash_without_token
from lattice.security.keys import KeyPair
from lattice.security.signing import Wish, sign

ISSUER = KeyPair("account", b"i" * 32)
STRANGER = KeyPair("account", b"s" * 32)
ACTOR = KeyPair("actor", b"a" * 32)
OTHER_ACTOR = KeyPair("actor", b"o" * 32)
NOW = 1_800_000_000


def signed(wasm: bytes, issuer: KeyPair = ISSUER, **wish: Any) -> bytes:
    """As `lattice claims sign` does it."""
    return sign(wasm, Wish(**{"subject": ACTOR.public, "name": "tested", **wish}), issuer)


def payload(wasm: bytes, **changes: Any) -> dict[str, Any]:
    """What a token for a module without one says. `changes` with the value None leave a field out; those of `wascap`
    are merged."""
    actor = {"name": "tested", "hash": hash_without_token(wasm, wasmfile.describe(wasm)), "caps": ["a:b"], "rev": 1}
    actor.update(changes.pop("wascap", {}))
    whole = {"jti": "x", "iat": 1, "iss": ISSUER.public, "sub": ACTOR.public, "wascap": actor, "wascap_revision": 3}
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not None}


def token(said: Any, issuer: KeyPair = ISSUER) -> bytes:
    return tokens.sign(said, issuer).encode()


def encoded(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def leb(value: int, width: int = 1) -> bytes:
    """LEB128 in at least `width` bytes."""
    out = bytearray()
    while value > 0x7F or len(out) < width - 1:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def section(content: bytes, name: bytes = b"wasmcloud_jwt", size_width: int = 1, name_width: int = 1) -> bytes:
    """A custom section, with lengths in as many bytes as one likes."""
    body = leb(len(name), name_width) + name + content
    return b"\0" + leb(len(body), size_width) + body
