"""Who reconciles: one key in a bucket, changed by compare-and-set.

The holder renews it every second and acts only while the last renewal is young. It is taken over when its holder is not
among the living, as this host sees them; the epoch grows with each change of hands, and hosts refuse commands of an
older one. No clock is compared with another.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import msgspec

from lattice import errors
from lattice.control.peers import Peers
from lattice.transport.transport import Bucket

_log = logging.getLogger("lattice.lease")

KEY = "RECONCILER"
RENEW_S = 1.0
WATCH_S = 2.0
"""Between looks of the others. Who sees the holder go looks at once."""
ACT_S = 3.0
"""How old the last renewal may be for the holder to act."""
STALE_S = 8.0
"""A lease that nobody renewed for so long is taken over though its holder gives signs of life: it cannot write."""
SETTLE_S = 2.5
"""A host that has just started has not heard of the others yet, and takes nothing from them."""
HEAR_S = 1.2
"""It waits for so long at least, though nobody holds it: who acted before it has heard two pulses of each of the others
would start what they run."""
RANK_S = 0.15
"""Hosts try one after the other, in the order of their keys, so that one succeeds and the others see it."""
RANKS_MAX = 8
WRITE_S_MAX = 2.0


class LeaseRecord(msgspec.Struct, frozen=True):
    holder: str
    boot: str
    epoch: int
    renewal: int = 0


class Lease:
    """`epoch` is 0 while this host does not hold it."""

    def __init__(
        self,
        open_bucket: Callable[[], Awaitable[Bucket]],
        key: str,
        boot: str,
        peers: Peers,
        chance: random.Random | None = None,
    ) -> None:
        self._open = open_bucket
        self._bucket: Bucket | None = None
        self._key = key
        self._boot = boot
        self._peers = peers
        self._chance = chance or random.Random()  # noqa: S311 # spreads attempts, guards nothing
        self._record: LeaseRecord | None = None
        self._highest = 0
        self._restarted = False
        self._revision = 0
        self._seen_at = 0.0
        self._renewed_at = float("-inf")
        self._waiting_since: float | None = None
        self._began: float | None = None
        self._look = asyncio.Event()
        self._trouble = ""
        self._on_change: list[Callable[[], None]] = []

    def on_change(self, changed: Callable[[], None]) -> None:
        """`changed` is called when this host gets the lease."""
        self._on_change.append(changed)

    @property
    def epoch(self) -> int:
        """Of this host's own lease; 0 when it may not act."""
        record = self._record
        if record is None or (record.holder, record.boot) != (self._key, self._boot):
            return 0
        return record.epoch if _now() - self._renewed_at < ACT_S else 0

    def held_since(self, time: float) -> bool:
        """Whether it was renewed after `time`: whoever is cut off from the store may see losses that are its own."""
        return self.epoch != 0 and self._renewed_at >= time

    @property
    def holder(self) -> str:
        """The host that holds it, as far as is known, or ""."""
        return self._record.holder if self._record is not None else ""

    @property
    def restarted_epoch(self) -> int:
        """The stored epoch if it was higher before, because the store was lost and began anew; else 0."""
        return self._record.epoch if self._record is not None and self._restarted else 0

    def hurry(self) -> None:
        """Something changed among the living: look now."""
        self._look.set()

    async def run(self) -> None:
        """Keeps or gets the lease until cancelled."""
        self._began = _now()
        while True:
            self._look.clear()  # before the look: a hint that comes during it is for the next one
            try:
                pause_s = await self._step()
            except errors.Conflict:
                pause_s = 0.1
            except errors.LatticeError as error:
                if not self._trouble:
                    _log.warning("the lease cannot be read or written: %s; what runs goes on", error)
                self._trouble = str(error)
                pause_s = RENEW_S / 2
            else:
                if self._trouble:
                    _log.info("the lease can be read and written again")
                self._trouble = ""
            try:
                async with asyncio.timeout(pause_s):
                    await self._look.wait()
            except TimeoutError:
                pass

    async def release(self) -> None:
        """Gives it away at once, so that nobody has to wait."""
        if self.epoch and self._bucket is not None and self._record is not None:
            record = msgspec.structs.replace(self._record, holder="", boot="")
            try:
                await self._bucket.update(KEY, msgspec.json.encode(record), self._revision, WRITE_S_MAX)
            except errors.LatticeError as error:
                _log.debug("the lease was not released: %s", error)
        self._record = None

    async def _step(self) -> float:
        """One look; returns how long to wait for the next."""
        bucket = await self._opened()
        mine = self._record is not None and (self._record.holder, self._record.boot) == (self._key, self._boot)
        if mine and _now() - self._renewed_at < ACT_S:
            assert self._record is not None
            await self._write(bucket, msgspec.structs.replace(self._record, renewal=self._record.renewal + 1))
            return RENEW_S
        await self._read(bucket)
        if not self._free():
            self._waiting_since = None
            new = self._began is None or _now() - self._began < SETTLE_S
            return HEAR_S / 4 if new else WATCH_S
        if self._waiting_since is None:
            self._waiting_since = _now()
        wait_s = self._waiting_since + self._rank() * RANK_S - _now()
        if wait_s > 0:
            return wait_s
        epoch = 1 + (self._record.epoch if self._record is not None else 0)
        await self._write(bucket, LeaseRecord(self._key, self._boot, epoch))
        _log.info("this host reconciles the lattice now (epoch %d)", epoch)
        self._waiting_since = None
        for changed in self._on_change:
            changed()
        return RENEW_S

    def _free(self) -> bool:
        """Whether it may be taken over."""
        record = self._record
        if record is None:
            return True  # a new lattice: nothing is wanted yet
        if self._began is None or _now() - self._began < HEAR_S:
            return False
        if not record.holder:
            return True
        if (record.holder, record.boot) == (self._key, self._boot) or _now() - self._seen_at > STALE_S:
            return True
        if _now() - self._began < SETTLE_S and record.holder != self._key:
            return False
        boot = self._peers.boot_of(record.holder)
        # A host that was just heard of has not told its boot yet.
        return record.holder not in self._peers.observed.hosts or (boot != "" and boot != record.boot)

    def _rank(self) -> float:
        hosts = self._peers.observed.hosts
        alive = sorted(key for key, host in hosts.items() if not host.draining)
        place = alive.index(self._key) if self._key in alive else len(alive)
        return min(place, RANKS_MAX) + self._chance.random() * 0.5

    async def _read(self, bucket: Bucket) -> None:
        entry = await bucket.get(KEY, WRITE_S_MAX)
        if entry is None or entry.value is None:
            self._record, self._revision = None, 0
            return
        if entry.revision != self._revision:
            self._revision, self._seen_at = entry.revision, _now()
        try:
            self._record = msgspec.json.decode(entry.value, type=LeaseRecord)
            self._restarted |= self._record.epoch < self._highest
            self._highest = self._record.epoch
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.error("the stored lease is not understood and taken over: %s", error)
            self._record = None

    async def _write(self, bucket: Bucket, record: LeaseRecord) -> None:
        """Counts from before the write: it may have been stored at any time since."""
        began = _now()
        try:
            self._revision = await bucket.update(KEY, msgspec.json.encode(record), self._revision, WRITE_S_MAX)
        except errors.Conflict:
            self._record, self._renewed_at = None, float("-inf")
            raise
        except errors.StoreUnavailable:
            # It may have been written: what the revision is now has to be read.
            if _now() - self._renewed_at >= ACT_S:
                self._record = None
            await self._reread(bucket, record)
            raise
        self._record, self._renewed_at, self._seen_at = record, began, _now()

    async def _reread(self, bucket: Bucket, record: LeaseRecord) -> None:
        entry = await bucket.get(KEY, WRITE_S_MAX)
        if entry is not None and entry.value == msgspec.json.encode(record):
            self._revision = entry.revision

    async def _opened(self) -> Bucket:
        if self._bucket is None:
            self._bucket = await self._open()
        return self._bucket


def _now() -> float:
    return asyncio.get_running_loop().time()
