"""Control messages signed one by one, by people and their tools: a token over the subject and the payload.

It is a header of the message, so what the message itself says stays as tools know it. Hosts command each other in their
sessions instead (`sessions`), which need no clocks.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from lattice import errors
from lattice.security import tokens
from lattice.security.keys import KeyPair
from lattice.security.settings import ClusterTrust, ControlTrust
from lattice.security.tokens import Whole

HEADER = "Nanolattice-Token"
LEEWAY_S = 300.0
"""How far two clocks may be apart."""
AGE_S_MAX = 300.0


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    hash: str
    kind: Literal["control"]


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    jti: str
    iss: str
    sub: str
    iat: Whole
    wascap: _Said


_payload = msgspec.json.Decoder(_Payload)


class Checked(msgspec.Struct, frozen=True):
    """Who signed a message, by which id it is known, and until when, in seconds since 1970."""

    signer: str
    id: str
    issued: int
    until: float


def sign(signer: KeyPair, subject: str, payload: bytes, now: float, id: str) -> str:
    """`now` is in seconds since 1970, `id` such that there is no other of it."""
    said = _Said(hash=_hash(payload), kind="control")
    return tokens.sign(_Payload(jti=id, iss=signer.public, sub=subject, iat=int(now), wascap=said), signer)


def check(
    token: str, subject: str, payload: bytes, *, control: ControlTrust, cluster: ClusterTrust, now: float
) -> Checked:
    """Raises `errors.NotAuthentic`. Whether the message was here before is its receiver's to know."""
    try:
        read = tokens.split(token.encode())
        found = tokens.read(read.payload, _payload)
        if found.iss not in cluster.trusted and found.iss not in (control.signers or ()):
            raise errors.NotAuthentic(
                f"the message is signed by {found.iss[:60]!r}, which may not give orders here",
                remedy="[control] signers of the hosts' security files says who may",
            )
        tokens.require_signature(read, found.iss, "cluster", "user", "account", "operator")
        tokens.require_time(now, issued=found.iat, nbf=None, expires=None, leeway_s=LEEWAY_S)
    except (errors.TokenInvalid, UnicodeEncodeError) as error:
        raise errors.NotAuthentic(f"the message's signature does not count: {error}") from error
    until = found.iat + AGE_S_MAX + LEEWAY_S
    if now > until:
        raise errors.NotAuthentic(
            f"the message was signed {now - found.iat:.0f} s ago; at most {AGE_S_MAX:.0f} are allowed",
            remedy="compare the clocks",
        )
    if found.sub != subject or found.wascap.hash != _hash(payload):
        raise errors.NotAuthentic(f"the signature is of another message, to {found.sub[:200]}")
    return Checked(found.iss, f"{found.iss}.{found.jti}", found.iat, until + 1)


def _hash(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest().upper()
