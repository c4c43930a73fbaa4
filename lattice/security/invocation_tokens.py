"""Calls signed one by one, as hosts and tools of the actor generation sign them, and `lattice call` over NATS.

A token by the cluster key with the two URLs of the call and a hash over them, the operation and the payload. It says
nothing of the time that is left, of the host that is called or of its run. Tools of this project add those, under names
that others leave alone; without them a token is taken once by each host that has a copy of the target.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from lattice import errors
from lattice.security import tokens
from lattice.security.keys import KeyPair
from lattice.security.replays import Seen
from lattice.security.tokens import Whole

LEEWAY_S = 300.0
"""How far two clocks may be apart."""
AGE_S_MAX = 300.0
"""How old a token may be, by its own clock. It makes one call, which takes no longer to arrive."""
SEEN_MAX = 200_000
"""Calls signed one by one within the time that one is valid: 300 in a second."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is about. `origin` and `target` are what `url` makes; `context` is what goes along with a call."""

    id: str
    origin: str
    target: str
    operation: str
    context: Mapping[str, str] = {}

    @property
    def target_url(self) -> str:
        return f"{self.target}/{self.operation}"


class _Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    target_url: str
    origin_url: str
    hash: str
    host: str = ""
    host_run: str = ""
    context: str = ""


class _Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    iss: str
    sub: str
    iat: Whole
    wascap: _Said
    exp: Whole | None = None
    nbf: Whole | None = None


_payload = msgspec.json.Decoder(_Payload)


def url(key: str, contract: str, link_name: str) -> str:
    """An end of a call: an actor has a key alone."""
    if not contract:
        return f"wasmbus://{key}"
    path, link = (text.replace(" ", "_").lower() for text in (contract.replace(":", "/"), link_name))
    return f"wasmbus://{path}/{link}/{key}"


def sign(signer: KeyPair, call: Call, payload: bytes, now: float, *, host: str = "", host_run: str = "") -> str:
    """`now` is in seconds since 1970. With `host` and `host_run` no other host, and no other run of it, takes it."""
    said = _Said(
        target_url=call.target_url,
        origin_url=call.origin,
        hash=_hash(call, payload),
        host=host,
        host_run=host_run,
        context=_context(call.context) if call.context else "",
    )
    return tokens.sign(_Payload(iss=signer.public, sub=call.id, iat=int(now), wascap=said), signer)


class Checked(msgspec.Struct, frozen=True):
    """A call whose token is good, but for the payload, which may arrive later."""

    issuer: str
    call: Call
    hash: str

    def require_payload(self, payload: bytes) -> None:
        """Raises `errors.NotAuthentic` unless it is what was signed."""
        if _hash(self.call, payload) != self.hash:
            raise errors.NotAuthentic("the call's payload or operation is not what was signed")


class InvocationTokens:
    """What one host knows of them. `began` is when its run began, in seconds since 1970."""

    def __init__(self, host: str, run: str, began: float) -> None:
        self._host = host
        self._run = run
        self._began = began
        self._seen = Seen("signed calls", SEEN_MAX)

    def check(self, token: str, call: Call, trusted: frozenset[str], now: float) -> Checked:
        """Raises `errors.NotAuthentic`, `errors.Overloaded`. A call that was checked is not taken again."""
        try:
            read = tokens.split(token.encode())
            found = tokens.read(read.payload, _payload)
            if found.iss not in trusted:
                raise errors.NotAuthentic(
                    f"the call is signed by {found.iss[:60]!r}, which is not trusted here",
                    remedy="sign it with a cluster key of the lattice: --cluster-key FILE",
                )
            tokens.require_signature(read, found.iss, "cluster")
            tokens.require_time(now, issued=found.iat, nbf=found.nbf, expires=found.exp, leeway_s=LEEWAY_S)
        except (errors.TokenInvalid, UnicodeEncodeError) as error:
            raise errors.NotAuthentic(f"the call's signature does not count: {error}") from error
        if now > found.iat + AGE_S_MAX + LEEWAY_S:
            raise errors.NotAuthentic(
                f"the call was signed {now - found.iat:.0f} s ago; at most {AGE_S_MAX:.0f} are allowed",
                remedy="compare the clocks",
            )
        self._require_meant(found.sub, found.iat, found.wascap, call)
        self._seen.add(f"{found.iss}.{call.id}", now, found.iat + AGE_S_MAX + LEEWAY_S + 1)
        return Checked(found.iss, call, found.wascap.hash)

    def _require_meant(self, id: str, issued: int, said: _Said, call: Call) -> None:
        """It is about this call, for this host."""
        if id != call.id or said.target_url != call.target_url or said.origin_url != call.origin:
            raise errors.NotAuthentic(f"the signature is of another call: {said.origin_url} to {said.target_url}")
        if said.context and said.context != _context(call.context):
            raise errors.NotAuthentic("the time the call may take, or its depth, is not what was signed")
        if said.host:
            if (said.host, said.host_run) != (self._host, self._run):
                raise errors.NotAuthentic(f"the call was signed for {said.host}, or for another run of it")
        elif issued < int(self._began):
            raise errors.NotAuthentic(
                "the call was signed before this host was started, which may have been it that took it",
                remedy="call again; compare the clocks if that does not help",
            )


def _hash(call: Call, payload: bytes) -> str:
    found = hashlib.sha256("".join((call.origin, call.target_url, call.operation)).encode())
    found.update(payload)
    return found.hexdigest().upper()


def _context(context: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(context.items()))).hexdigest()
