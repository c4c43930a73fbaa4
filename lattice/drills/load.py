"""Steady load from outside: so many requests a second, whatever the answers do."""

from __future__ import annotations

import asyncio
import itertools
import statistics

import aiohttp

from lattice.drills.report import EntryReport

REQUEST_S_MAX = 12.0
"""What a client waits; routes of the drill have 10 s."""
WRITE_EVERY = 10
"""Of so many requests one is a write."""


class Entry:
    """Clients of one address; with `others` they try these when they cannot connect or are cut off."""

    def __init__(self, name: str, url: str, others: tuple[str, ...] = ()) -> None:
        self.name = name
        self._urls = (url, *others)
        self.sent = 0
        self.failed: dict[str, int] = {}
        self._took: list[float] = []
        self._answered: list[float] = []

    async def get(self, session: aiohttp.ClientSession, path: str) -> bool:
        return await self._request(session, "GET", path, b"") is not None

    async def put(self, session: aiohttp.ClientSession, path: str, body: bytes) -> bool:
        """Whether it was acknowledged."""
        return await self._request(session, "PUT", path, body) is not None

    async def _request(self, session: aiohttp.ClientSession, method: str, path: str, body: bytes) -> bytes | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.sent += 1
        why = ""
        for url in self._urls:
            try:
                async with session.request(method, url + path, data=body or None) as response:
                    content = await response.read()
                if response.status < 400:
                    self._took.append(loop.time() - began)
                    self._answered.append(loop.time())
                    return content
                why = f"status {response.status}"
                break
            except TimeoutError:
                why = "timeout"
                break
            except aiohttp.ClientConnectorError:
                why = "connection refused"
            except aiohttp.ClientError:
                why = "connection cut"
        self.failed[why] = self.failed.get(why, 0) + 1
        return None

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
            longest_gap_s=round(gap_s, 3),
            p50_ms=round(statistics.median(took) * 1000, 2),
            p99_ms=round(took[int(len(took) * 0.99)] * 1000, 2),
        )


class Load:
    """`rate` requests a second over all entries in turn: reads of `read_path`, and each tenth a write of its own key."""

    def __init__(self, entries: list[Entry], rate: float, read_path: str, write_path: str) -> None:
        self.entries = entries
        self.acknowledged: list[str] = []
        self._rate = rate
        self._read_path = read_path
        self._write_path = write_path
        self._requests: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Task[None] | None = None
        self.began = self.ended = 0.0

    async def start(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self._sending = asyncio.create_task(self._send(), name="load")

    async def stop(self) -> None:
        """Sends nothing more, and waits for the answers of what was sent."""
        self.ended = asyncio.get_running_loop().time()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self) -> None:
        timeout = aiohttp.ClientTimeout(total=REQUEST_S_MAX, sock_connect=2.0)
        connector = aiohttp.TCPConnector(limit=0)
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            try:
                began = loop.time()
                for number in itertools.count():
                    due = began + number / self._rate
                    if due > loop.time():
                        await asyncio.sleep(due - loop.time())
                    entry = self.entries[number % len(self.entries)]
                    task = asyncio.create_task(self._one(session, entry, number))
                    self._requests.add(task)
                    task.add_done_callback(self._requests.discard)
            finally:
                if self._requests:
                    await asyncio.wait(self._requests, timeout=REQUEST_S_MAX)

    async def _one(self, session: aiohttp.ClientSession, entry: Entry, number: int) -> None:
        if number // len(self.entries) % WRITE_EVERY == WRITE_EVERY - 1:
            path = f"{self._write_path}/{number}"
            if await entry.put(session, path, str(number).encode()):
                self.acknowledged.append(path)
        else:
            await entry.get(session, self._read_path)
