"""How two hosts come to share a key: an opening, which the caller sends along, and its acceptance, which comes back.

An opening is a token by the caller's cluster key: a fresh key, sealed for the host that is called and for nobody else,
for one run of each. An acceptance is a token by the cluster key of the host that is called, over the opening: a host
that made itself known without a cluster key could read what is sealed for it, but cannot accept. Both are sent in the
open, and say nothing to others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Literal

import msgspec
from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as SodiumError
from nacl.public import PrivateKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from lattice import errors
from lattice.security import keys, tokens
from lattice.security.keys import KeyPair

KEY_BYTES = 32
OPENING_CHARS_MAX = 2048
"""One has about 900; more is not looked at."""
NUMBER_MAX = 2**63 - 1


class Between(msgspec.Struct, frozen=True, kw_only=True):
    """What an opening says. `sender_run` and `boot` tell one run of a host from the next. A later session of one run
    has the larger number."""

    sender: str = msgspec.field(name="from")
    sender_run: str = msgspec.field(name="from_run")
    to: str
    boot: str
    number: int
    key: str
    kind: Literal["session"]


class _Opening(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    wascap: Between


class _Accepted(msgspec.Struct, frozen=True, kw_only=True):
    opening: str
    to: str
    kind: Literal["acceptance"]


class _Acceptance(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    wascap: _Accepted


_opening = msgspec.json.Decoder(_Opening)
_acceptance = msgspec.json.Decoder(_Acceptance)


class Opened(msgspec.Struct, frozen=True):
    """An opening that was verified. `issuer` is the cluster key that signed it."""

    issuer: str
    between: Between


def write(signer: KeyPair, between: Between) -> str:
    """An opening. `between.key` is what `sealed` made."""
    return tokens.sign(_Opening(signer.public, between.sender, between), signer)


def verify(opening: str, host: str, trusted: frozenset[str]) -> Opened:
    """Raises `errors.NotAuthentic` unless a trusted cluster key signed it for `host`. What is cheap is looked at
    first: strangers choose what comes here."""
    if len(opening) > OPENING_CHARS_MAX:
        raise errors.NotAuthentic("the call's session has too long an opening")
    try:
        token = tokens.split(opening.encode())
        found = tokens.read(token.payload, _opening)
        _require_trusted(found.iss, trusted)
        if found.wascap.to != host:
            raise errors.NotAuthentic(f"the call's session is with {found.wascap.to[:60]!r} and not with this host")
        tokens.require_signature(token, found.iss, "cluster")
    except errors.TokenInvalid as error:
        raise errors.NotAuthentic(f"the call's session cannot be opened: {error}") from error
    except UnicodeEncodeError as error:
        raise errors.NotAuthentic("the call's session cannot be opened: its opening is no text") from error
    if not 0 < found.wascap.number <= NUMBER_MAX:
        raise errors.NotAuthentic(f"the call's session has the number {found.wascap.number}")
    return Opened(found.iss, found.wascap)


def accept(signer: KeyPair, opening: str, host: str) -> str:
    """The acceptance of an opening by `host`, this one."""
    said = _Accepted(opening=_digest(opening), to=host, kind="acceptance")
    return tokens.sign(_Acceptance(signer.public, host, said), signer)


def require_accepted(acceptance: str, opening: str, host: str, trusted: frozenset[str]) -> None:
    """Raises `errors.NotAuthentic` unless `host` accepted the opening by a trusted cluster key."""
    try:
        token = tokens.split(acceptance.encode())
        found = tokens.read(token.payload, _acceptance)
        _require_trusted(found.iss, trusted)
        if found.wascap.to != host or found.wascap.opening != _digest(opening):
            raise errors.NotAuthentic("the acceptance is of another session")
        tokens.require_signature(token, found.iss, "cluster")
    except (errors.TokenInvalid, UnicodeEncodeError) as error:
        raise errors.NotAuthentic(f"the acceptance of the session cannot be read: {error}") from error


def _require_trusted(issuer: str, trusted: frozenset[str]) -> None:
    if issuer not in trusted:
        raise errors.NotAuthentic(
            f"it is signed by the cluster key {issuer[:60]!r}, which is not trusted here",
            remedy="hosts of one lattice need cluster keys that the others trust: [cluster] of their security files",
        )


def sealed(key: bytes, host: str) -> str:
    """A key that only the holder of a host's key can read. Raises `errors.NotAuthentic` for what is no host's key."""
    try:
        _, public = keys.decode_public(host, "host")
        box = SealedBox(VerifyKey(public).to_curve25519_public_key())
    except (errors.ConfigError, SodiumError) as error:
        raise errors.NotAuthentic(f"nothing can be sealed for the host {host[:60]!r}: {error}") from error
    return base64.b64encode(box.encrypt(key)).decode()


def unsealer(host: KeyPair) -> PrivateKey:
    """What opens what is sealed for a host."""
    _, seed = keys.decode_seed(host.seed)
    return SigningKey(seed).to_curve25519_private_key()


def unsealed(text: str, private: PrivateKey) -> bytes:
    """Raises `errors.NotAuthentic`."""
    try:
        key = SealedBox(private).decrypt(base64.b64decode(text, validate=True))
    except (CryptoError, ValueError, binascii.Error) as error:
        raise errors.NotAuthentic("the key of the call's session is not sealed for this host") from error
    if len(key) != KEY_BYTES:
        raise errors.NotAuthentic(f"the key of the call's session has {len(key)} bytes, not {KEY_BYTES}")
    return key


def short(text: str) -> str:
    """What an opening is called once the other host has it. No other one has the same."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:18]).decode()


def _digest(opening: str) -> str:
    return hashlib.sha256(opening.encode()).hexdigest()
