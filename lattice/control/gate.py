"""Who may give orders: what of the control interface has to be signed, and whether it is.

Without signers in its settings a lattice takes orders from whom NATS lets send them. With them each order carries a
token of one of them, or of a cluster key; hosts prove theirs in their sessions. An order to one host is remembered by
that host, one that any host may carry out by all of them together: in a bucket.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from lattice import errors
from lattice.authentic import Authentic
from lattice.security import control_tokens
from lattice.security.control_tokens import HEADER, Checked
from lattice.security.replays import Seen
from lattice.security.settings import SecuritySettings
from lattice.telemetry.audit import Refused
from lattice.transport.transport import Bucket, Delivery

LOOKS = frozenset(
    {
        ("host", "ping"),
        ("host", "get"),
        ("component", "auction"),
        ("provider", "auction"),
        ("claims", "get"),
        ("link", "get"),
        ("config", "get"),
        ("config", "list"),
    }
)
"""What changes nothing. Whatever is not here has to be signed, if anything has."""
SEEN_MAX = 20_000
"""Signed orders to this host within the time that one is valid: 30 in a second."""
SHARED_MAX = 10_000
"""Signed changes of what the lattice keeps within `SHARED_KEEP_S`; the record of them stays under 400 KB."""
SHARED_KEEP_S = 1800.0
"""Remembered so much longer than a signature is valid: clocks of hosts may be that far apart."""
SHARED_KEY = "control-seen"
TRIES_MAX = 20
"""Of noting a change, when other hosts note others."""
TRY_AGAIN_S = 0.02


class SharedSeen:
    """Orders that any host of the lattice has carried out."""

    def __init__(self, open_bucket: Callable[[], Awaitable[Bucket]]) -> None:
        self._open = open_bucket
        self._bucket: Bucket | None = None

    async def add(self, id: str, now: float, until: float) -> None:
        """Times are in seconds since 1970. Raises `errors.NotAuthentic` for one that was here, `errors.Overloaded`,
        `errors.StoreUnavailable`: what cannot be noted is not done."""
        if self._bucket is None:
            self._bucket = await self._open()
        short = hashlib.sha256(id.encode()).hexdigest()[:24]
        for attempt in range(1, TRIES_MAX + 1):
            entry = await self._bucket.get(SHARED_KEY)
            known = _read(entry.value) if entry is not None and entry.value else {}
            if short in known:
                raise errors.NotAuthentic("the message was here before: another host, or this one, has done it")
            kept = {one: end for one, end in known.items() if end > now}
            if len(kept) >= SHARED_MAX:
                raise errors.Overloaded(f"{SHARED_MAX} signed changes came within half an hour", remedy="try later")
            kept[short] = int(until + SHARED_KEEP_S)
            try:
                revision = entry.revision if entry is not None else 0
                await self._bucket.update(SHARED_KEY, msgspec.json.encode(kept), revision)
                return
            except errors.Conflict:
                await asyncio.sleep(TRY_AGAIN_S * attempt)
        raise errors.StoreUnavailable("the change could not be noted as done: others are quicker", remedy="try again")


def _read(value: bytes) -> dict[str, int]:
    try:
        return msgspec.json.decode(value, type=dict[str, int])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.StoreUnavailable(
            f"the record of signed changes cannot be read: {error}",
            remedy=f"delete the key {SHARED_KEY} of the lease bucket, half an hour after the last signed change",
        ) from error


class Gate:
    """One host's. `wall` gives seconds since 1970."""

    def __init__(
        self,
        security: SecuritySettings,
        authentic: Authentic,
        shared: SharedSeen,
        wall: Callable[[], float],
        refused: Refused,
    ) -> None:
        self._security = security
        self._authentic = authentic
        self._shared = shared
        self._seen = Seen("signed messages", SEEN_MAX)
        self._wall = wall
        self._began = wall()
        self._refused = refused

    def apply(self, security: SecuritySettings) -> None:
        """From now on other keys count."""
        self._security = security

    @property
    def signed(self) -> bool:
        """Whether orders have to be signed."""
        return self._security.control.signers is not None

    async def require(self, delivery: Delivery, *, shared: bool = False, always: bool = False) -> str:
        """Who gives an order, "" where nobody has to say so. `shared`: any host may carry it out, and one does.
        `always`: it has to be signed in every lattice. Raises `errors.NotAuthentic`, `errors.Overloaded`,
        `errors.StoreUnavailable`."""
        if not self.signed and not always:
            return ""
        try:
            return await self._signer(delivery, shared)
        except errors.CallError as error:
            self._refused("whoever sent it", delivery.subject, error)
            raise

    async def _signer(self, delivery: Delivery, shared: bool) -> str:
        token = (delivery.headers or {}).get(HEADER, "")
        if not token:
            raise errors.NotAuthentic(
                "this has to be signed, and it is not",
                remedy="LATTICE_SIGNER names the file of a seed whose orders the hosts take (docs/guides/trust.md)",
            )
        if token.count(".") > 2 and self._authentic.signed and not shared:
            return self._authentic.command(token, delivery.subject, delivery.payload)
        found = control_tokens.check(
            token,
            delivery.subject,
            delivery.payload,
            control=self._security.control,
            cluster=self._security.cluster,
            now=self._wall(),
        )
        await self._once(found, shared)
        return found.signer

    async def _once(self, found: Checked, shared: bool) -> None:
        now = self._wall()
        if shared:
            await self._shared.add(found.id, now, found.until)
            return
        if found.issued < int(self._began):
            raise errors.NotAuthentic(
                "the message was signed before this host was started, which may have been it that did it",
                remedy="send it again; compare the clocks if that does not help",
            )
        self._seen.add(found.id, now, found.until)
