"""Steady load from outside: so many requests a second, whatever the answers do."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from typing import Any

import aiohttp
import msgspec

from lattice.drills.report import EntryReport

REQUEST_S_MAX = 22.0
"""What a client waits in all; routes of the drill have 20 s."""
CONNECT_S_MAX = 2.0
WRITE_EVERY = 10
"""Of so many requests one is a write."""
WRITE = "write: "
"""Before the kind of a write that failed."""
EXAMPLE_CHARS_MAX = 300
UNDERWAY_MAX = 20_000
"""Requests without an answer: what 1,600 a second leave behind when nothing answers for `REQUEST_S_MAX`. More are
counted as failed and not sent, lest the client be what breaks."""


class Entry:
    """Clients of one address; with `others` they try these when they cannot connect or are cut off."""

    def __init__(self, name: str, url: str, others: tuple[str, ...] = ()) -> None:
        self.name = name
        self._urls = (url, *others)
        self.sent = 0
        self.failed: dict[str, int] = {}
        self._examples: dict[str, str] = {}
        """By kind, what the first answer of it said."""
        self._took: list[float] = []
        self._answered: list[float] = []

    async def get(self, session: aiohttp.ClientSession, path: str) -> bool:
        """Whether it was answered well."""
        return await self._request(session, "GET", path, b"")

    async def put(self, session: aiohttp.ClientSession, path: str, body: bytes) -> bool:
        """Whether it was acknowledged."""
        return await self._request(session, "PUT", path, body)

    def refuse(self, why: str) -> None:
        """Counts a request that failed without being sent."""
        self.sent += 1
        self._fail(why)

    async def _request(self, session: aiohttp.ClientSession, method: str, path: str, body: bytes) -> bool:
        """Both methods may be repeated, so another address is tried also when the first was cut off on the way."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.sent += 1
        why = text = ""
        try:
            async with asyncio.timeout_at(began + REQUEST_S_MAX):
                for url in self._urls:
                    try:
                        async with session.request(method, url + path, data=body or None) as response:
                            said = await response.read()
                    except aiohttp.ClientConnectorError:
                        why = "connection refused"
                    except aiohttp.ConnectionTimeoutError:
                        why = "no connection"
                    except (aiohttp.ClientError, OSError) as error:
                        if isinstance(error, TimeoutError):
                            raise
                        why = "connection cut"
                    else:
                        why = f"status {response.status} {_code(said)}" if response.status >= 400 else ""
                        text = said.decode(errors="replace")
                        break
        except TimeoutError:
            why = "timeout"
        if why:
            self._fail(WRITE + why if method == "PUT" else why, text)
            return False
        self._took.append(loop.time() - began)
        self._answered.append(loop.time())
        return True

    def _fail(self, why: str, text: str = "") -> None:
        self.failed[why] = self.failed.get(why, 0) + 1
        if text:
            self._examples.setdefault(why, text.strip()[:EXAMPLE_CHARS_MAX])

    def report(self, began: float, ended: float) -> EntryReport:
        """`began` and `ended` are times of the loop between which a gap counts."""
        times = [began, *sorted(time for time in self._answered if began <= time <= ended), ended]
        gap_s = max(later - earlier for earlier, later in itertools.pairwise(times))
        took = sorted(self._took) or [0.0]
        return EntryReport(
            entry=self.name,
            sent=self.sent,
            answered=len(self._answered),
            failed=sum(self.failed.values()),
            failed_by_kind=dict(self.failed),
            examples=dict(self._examples),
            longest_gap_s=round(gap_s, 3),
            p50_ms=round(statistics.median(took) * 1000, 2),
            p99_ms=round(took[int(len(took) * 0.99)] * 1000, 2),
        )


def _code(body: bytes) -> str:
    """The host's name for what went wrong."""
    try:
        return str(msgspec.json.decode(body, type=dict[str, Any]).get("error", ""))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "without a reason"


class Load:
    """`rate` requests a second over all entries in turn: reads of `read_path`, and each tenth a write of its own key
    below `write_path`. `acknowledged` are the paths whose writes were."""

    def __init__(self, entries: list[Entry], rate: float, read_path: str, write_path: str) -> None:
        self.entries = entries
        self.acknowledged: list[str] = []
        self._rate = rate
        self._read_path = read_path
        self._write_path = write_path
        self._underway: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Task[None] | None = None
        self.began = self.ended = 0.0

    async def start(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self._sending = asyncio.create_task(self._send(), name="load")

    async def stop(self) -> None:
        """Sends nothing more, and waits for the answers of what was sent. Raises what ended the load before."""
        self.ended = asyncio.get_running_loop().time()
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
            await asyncio.wait([sending])
            if not sending.cancelled() and (error := sending.exception()) is not None:
                raise error

    async def _send(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S_MAX)  # `Entry` bounds the whole
        connector = aiohttp.TCPConnector(limit=0)
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            try:
                began = loop.time()
                for number in itertools.count():
                    due = began + number / self._rate
                    if due > loop.time():
                        await asyncio.sleep(due - loop.time())
                    elif number % WRITE_EVERY == 0:
                        await asyncio.sleep(0)  # behind its time: answers have their turn all the same
                    entry = self.entries[number % len(self.entries)]
                    if len(self._underway) >= UNDERWAY_MAX:
                        entry.refuse("not sent")
                        continue
                    task = asyncio.create_task(self._one(session, entry, number))
                    self._underway.add(task)
                    task.add_done_callback(self._underway.discard)
            finally:
                if self._underway:
                    await asyncio.wait(self._underway)  # each has its own deadline

    async def _one(self, session: aiohttp.ClientSession, entry: Entry, number: int) -> None:
        if number // len(self.entries) % WRITE_EVERY == WRITE_EVERY - 1:
            path = f"{self._write_path}/{number}"
            if await entry.put(session, path, str(number).encode()):
                self.acknowledged.append(path)
        else:
            await entry.get(session, self._read_path)
