"""The lattice's stored state, mirrored in memory: applications, links put by hand, named configurations, claims.

Reading goes on without a leader, and without NATS what was last read stands. Writes compare and set, and are tried
again when somebody else was quicker; each tells the other hosts to look.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from lattice import errors, grants, subjects
from lattice.control import desired, records
from lattice.control.records import ApplicationRecord, StoredLink
from lattice.control.state import Desired
from lattice.links import Link
from lattice.tasks import end_all
from lattice.transport.transport import Bucket, Entry, State, Subscription, Transport

_log = logging.getLogger("lattice.store")

LOOK_EVERY_S = 20.0
"""Hints tell of changes at once, and pulses that somebody knows another state; this is for a host alone."""
DOUBT_S = 1.0
"""Between two looks because others know another state: changes are on their way to some."""
READ_S_MAX = 5.0
REFRESH_S_MAX = 0.5
"""For what was just written elsewhere, before a question is answered. Without an answer what is known stands."""
LOOK_AGAIN_S = 0.2
"""A hint may be quicker than the replica that is asked."""
TRIES_MAX = 20
"""Of a change, when others change the same thing; each goes ahead of all others in its turn."""
TRY_AGAIN_S = 0.02
"""Times the attempt, and by chance less: those who collided do not meet again."""
OPEN_RETRY_S, OPEN_S_MAX = 0.5, 60.0
"""A cluster that has just started answers no reads for some seconds after it made a bucket."""
LINK = "LINK."
CLAIMS = "CLAIMS_"
"""As upstream names them."""


class _Mirror:
    """One bucket in memory. What was written here is known at once; `after` is how far the bucket itself was read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bucket: Bucket | None = None
        self.after = 0
        self.newest = 0
        self.entries: dict[str, Entry] = {}

    def take(self, entry: Entry) -> bool:
        """Whether it is news."""
        known = self.entries.get(entry.key)
        if known is not None and known.revision >= entry.revision:
            return False
        self.entries[entry.key] = entry
        self.newest = max(self.newest, entry.revision)
        return True

    @property
    def opened(self) -> Bucket:
        if self.bucket is None:
            raise errors.StoreUnavailable(f"{self.name} is not open yet", remedy="JetStream may be starting")
        return self.bucket


class Store:
    """`start` opens and reads; `desired` is then what is wanted. Listeners are told of changes."""

    def __init__(self, transport: Transport, lattice: str) -> None:
        self._transport = transport
        self._lattice = lattice
        self._manifests = _Mirror(subjects.manifest_bucket(lattice))
        self._data = _Mirror(subjects.data_bucket(lattice))
        self._configs = _Mirror(subjects.config_bucket(lattice))
        self._records: dict[str, ApplicationRecord] = {}
        self._links: dict[str, StoredLink] = {}
        self._values: dict[str, dict[str, str]] = {}
        self.claims: dict[str, dict[str, str]] = {}
        """Of actors that run or ran, by key."""
        self._desired = Desired()
        self._digest = ""
        self._on_change: list[Callable[[], None]] = []
        self._look = asyncio.Event()
        self._looked = asyncio.Event()
        self._loading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None
        self._trouble = ""
        self._doubted_at = float("-inf")
        self.loaded = False
        """Whether the stored state was read once. Until then nothing is known to be wanted or not."""

    async def start(self) -> None:
        """Raises `errors.ConfigError` when NATS keeps no data, `errors.StoreUnavailable` when it cannot be read for a
        minute."""
        self._transport.on_state(self._connection)
        self._subscription = await self._transport.subscribe(
            subjects.changed(self._lattice), lambda _: self._look.set()
        )
        await self._open()
        self.loaded = True
        self._task = asyncio.create_task(self._follow(), name="store")

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + OPEN_S_MAX
        while True:
            try:
                for mirror in self._mirrors:
                    mirror.bucket = mirror.bucket or await self._transport.bucket(mirror.name)
                await self._load()
                return
            except errors.StoreUnavailable as error:
                if loop.time() > until:
                    raise
                _log.warning("the lattice's stored state cannot be read yet: %s; trying on", error)
            await asyncio.sleep(OPEN_RETRY_S)

    async def stop(self) -> None:
        if self._task is not None:
            await end_all((self._task,))
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    @property
    def _mirrors(self) -> tuple[_Mirror, ...]:
        return self._manifests, self._data, self._configs

    def on_change(self, changed: Callable[[], None]) -> None:
        self._on_change.append(changed)

    @property
    def desired(self) -> Desired:
        return self._desired

    @property
    def digest(self) -> str:
        """Equal on hosts that want the same."""
        if not self._digest:
            self._digest = desired.digest(self._desired)
        return self._digest

    @property
    def trouble(self) -> str:
        """Why the stored state could not be read the last time, "" when it could."""
        return self._trouble

    async def synced(self, revision: int, timeout_s: float = 3.0) -> bool:
        """Waits until everything up to `revision` was read; False when it was not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while sum(mirror.after for mirror in self._mirrors) < revision:
                    self._looked.clear()
                    self._look.set()
                    await self._looked.wait()
        except TimeoutError:
            return False
        return True

    def compare(self, state: str) -> None:
        """`state` is the digest that another host tells. One of the two has missed something when it is another."""
        now = asyncio.get_running_loop().time()
        if state != self.digest and now - self._doubted_at > DOUBT_S:
            self._doubted_at = now
            self._look.set()

    async def refresh(self) -> None:
        """Reads what others wrote, if that is quick: who puts at one host and asks another is to see what it put."""
        try:
            await self._load(REFRESH_S_MAX)
        except errors.LatticeError as error:
            _log.debug("answering from what is known: %s", error)

    # Reading.

    def _connection(self, state: State) -> None:
        if state == "connected":
            self._look.set()

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._look.wait()
            except TimeoutError:
                pass
            hinted = self._look.is_set()
            self._look.clear()
            try:
                news = await self._load()
                if hinted and not news:
                    await asyncio.sleep(LOOK_AGAIN_S)
                    await self._load()
                if self._trouble:
                    _log.info("the lattice's stored state can be read again")
                self._trouble = ""
            except errors.LatticeError as error:
                if not self._trouble:
                    _log.warning("the lattice's stored state cannot be read: %s; what is known stands", error)
                self._trouble = str(error)
                await asyncio.sleep(LOOK_AGAIN_S)  # who waits for news asks for another look at once
            self._looked.set()

    async def _load(self, timeout_s: float = READ_S_MAX) -> bool:
        """Reads what changed since the last time; returns whether anything had."""
        async with self._loading:
            return self._took([(one, await one.opened.changes(one.after, timeout_s)) for one in self._mirrors])

    def _took(self, read: list[tuple[_Mirror, list[Entry]]]) -> bool:
        news = False
        # All at once: nobody is to see a record whose application is not yet wanted.
        for mirror, entries in read:
            for entry in entries:
                mirror.after = max(mirror.after, entry.revision)
                if mirror.take(entry):
                    self._interpret(mirror, entry)
                    news = True
        if news:
            self._fold()
        return news

    def _interpret(self, mirror: _Mirror, entry: Entry) -> None:
        """What cannot be read, because strangers wrote it, is as if it were not there, and the log says so."""
        key, known = entry.key, self._known(mirror, entry.key)
        if known is None:
            return
        known.pop(key.removeprefix(CLAIMS), None)
        if entry.value is None:
            return
        try:
            if known is self._records:
                self._records[key] = records.unpack(entry.value)
            elif known is self._links:
                self._links[key] = msgspec.json.decode(entry.value, type=StoredLink)
            else:
                known[key.removeprefix(CLAIMS)] = msgspec.json.decode(entry.value, type=dict[str, str])
        except (errors.MalformedMessage, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.error("%s: the stored %s is not understood: %s", mirror.name, key, error)

    def _known(self, mirror: _Mirror, key: str) -> dict[str, Any] | None:
        """Where an entry of a bucket is understood to belong."""
        if mirror is self._manifests:
            return self._records
        if mirror is self._configs:
            return self._values
        if key.startswith(LINK):
            return self._links
        return self.claims if key.startswith(CLAIMS) else None

    def _fold(self) -> None:
        revision = self._manifests.newest + self._data.newest + self._configs.newest
        # In the order they were put, which is the same for every host: the later one stands above the earlier.
        stored = sorted(self._links.items(), key=lambda item: self._data.entries[item[0]].revision)
        by_hand = (link.link(self._values) for _, link in stored)
        self._desired = desired.fold(self._records.values(), by_hand, revision)
        self._digest = ""
        for changed in self._on_change:
            changed()

    # Writing.

    async def change(
        self, name: str, edit: Callable[[ApplicationRecord | None], ApplicationRecord | None]
    ) -> ApplicationRecord | None:
        """Replaces an application's record by what `edit` makes of it (None: deletes it), and returns that.

        `edit` may be called several times, when others change the record too. Raises what it raises,
        `errors.Conflict` and `errors.StoreUnavailable`.
        """

        def edited(value: bytes | None) -> bytes | None:
            before = None if value is None else records.unpack(value)
            after = edit(before)
            return None if after is None else records.pack(after)

        value = await self._change(self._manifests, name, edited)
        return None if value is None else records.unpack(value)

    async def _change(self, mirror: _Mirror, key: str, edit: Callable[[bytes | None], bytes | None]) -> bytes | None:
        for attempt in range(TRIES_MAX):
            found = await mirror.opened.get(key)
            before = None if found is None else found.value
            after = edit(before)
            if after == before:
                return after
            try:
                revision = await mirror.opened.update(key, after, 0 if found is None else found.revision)
            except errors.Conflict:
                if attempt == TRIES_MAX - 1:
                    raise
                await asyncio.sleep(random.random() * TRY_AGAIN_S * (attempt + 1))  # noqa: S311 # guards nothing
                continue
            await self._written(mirror, Entry(key, after, revision))
            return after
        return None

    async def _written(self, mirror: _Mirror, entry: Entry) -> None:
        if mirror.take(entry):
            self._interpret(mirror, entry)
            self._fold()
        try:
            await self._transport.publish(subjects.changed(self._lattice), b"")
        except errors.CallError as error:
            _log.debug("no hint was given: %s", error)

    # Applications.

    def application(self, name: str) -> ApplicationRecord | None:
        return self._records.get(name)

    def applications(self) -> list[ApplicationRecord]:
        return sorted(self._records.values(), key=lambda record: record.name)

    # Links.

    async def put_link(self, link: StoredLink) -> None:
        """Raises `errors.StoreUnavailable`, and `errors.Conflict` when another link leaves the caller no way to tell
        which of the two it means."""
        await self._load()
        for other in self._links.values():
            if link.excludes(other):
                raise errors.Conflict(
                    f"{link.source} has a link for {link.contract} under the name {link.name!r} to {other.target}",
                    remedy="delete that link first, or give this one another name",
                )
        await self._change(self._data, _link_key(link), lambda _: msgspec.json.encode(link))

    def require_given(self, link: StoredLink, held: grants.ClaimsOf) -> None:
        """Raises `errors.ConfigError` for a link that says more than was granted to it; see `grants.require_given`."""
        wanted = link.link(self._values)
        others = [one for one in self._desired.links if desired.identity(one) != desired.identity(wanted)]
        grants.require_given(wanted, grants.among([*others, wanted]), held)

    async def delete_link(self, source: str, contract: str, name: str) -> list[StoredLink]:
        """Takes links away that were put by hand, and returns them.

        Raises `errors.ConfigError` for one that an application has.
        """
        await self._load()
        asked = (source, contract, name)
        mine = [link for link in self._links.values() if (link.source, link.contract, link.name) == asked]
        for link in mine:
            await self._change(self._data, _link_key(link), lambda _: None)
        if not mine and any(desired.identity(link)[:3] == asked for link in self._desired.links):
            raise errors.ConfigError(
                f"the link of {source} is part of an application", remedy="take it out of the manifest and deploy that"
            )
        return mine

    def links(self) -> Iterable[tuple[Link, StoredLink | None]]:
        """All that are wanted, with what was put for those that were put by hand."""
        return ((link, self._links.get(_link_key(link))) for link in self._desired.links)

    # Configurations.

    async def put_config(self, name: str, values: dict[str, str]) -> None:
        await self._change(self._configs, name, lambda _: msgspec.json.encode(values))

    async def delete_config(self, name: str) -> None:
        await self._change(self._configs, name, lambda _: None)

    async def config(self, name: str) -> dict[str, str] | None:
        """Raises `errors.StoreUnavailable`, and `errors.MalformedMessage` for what is no flat map."""
        found = await self._configs.opened.get(name)
        if found is None or found.value is None:
            return None
        try:
            return msgspec.json.decode(found.value, type=dict[str, str])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise errors.MalformedMessage(f"the stored configuration {name} is no map of texts: {error}") from error

    def configs(self) -> list[str]:
        return sorted(key for key, entry in self._configs.entries.items() if entry.value is not None)

    # Claims.

    async def put_claims(self, actor: str, claims: dict[str, str]) -> None:
        """Raises `errors.StoreUnavailable`, and `errors.MalformedMessage` for what cannot be a key."""
        await self._change(self._data, CLAIMS + actor, lambda _: msgspec.json.encode(claims))


def _link_key(link: Link | StoredLink) -> str:
    said = "\0".join((link.source, link.contract, link.name, link.target))
    return LINK + hashlib.sha256(said.encode()).hexdigest()[:32]
