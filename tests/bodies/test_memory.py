"""What large bodies take of the memory of a real `lattice up`: as good as nothing, one at a time or a hundred."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.bodies.served import MIB, WAIT_S, Client, application
from tests.bodies.test_components import get, post
from tests.cli.conftest import Up, running_up

BODY_BYTES = 100 * MIB
MORE_BYTES_MAX = 64 * MIB
PIECE = bytes(range(256)) * 1024

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")


class Running:
    def __init__(self, up: Up) -> None:
        line = next(line for line in up.out.splitlines() if "http://" in line)
        self.port = int(line.split("http://")[1].split(":")[1].split("/")[0])
        self._folder = Path("/proc") / str(up.process.pid)

    def forget_peak(self) -> None:
        (self._folder / "clear_refs").write_text("5")

    def memory_bytes(self, name: str) -> int:
        line = next(line for line in (self._folder / "status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield client
        finally:
            await client.close()

    async def upload(self, path: str, size: int) -> int:
        """Returns how many bytes come back. What is sent and received is never here whole either."""
        async with self.connected() as client:
            await client.send(post(path, f"content-length: {size}"))

            async def send() -> None:
                for at in range(0, size, len(PIECE)):
                    client.writer.write(PIECE[: size - at])
                    await client.writer.drain()

            sending = asyncio.create_task(send())
            received = await self._drain(client)
            await sending
            return received

    async def download(self, path: str) -> int:
        async with self.connected() as client:
            await client.send(get(path))
            return await self._drain(client)

    async def _drain(self, client: Client) -> int:
        status, header = await client.head()
        assert status == 200
        received = 0
        if header.get("transfer-encoding") == "chunked":
            while part := await client.chunk():
                received += len(part)
            return received
        async with asyncio.timeout(WAIT_S):
            while received < int(header["content-length"]):
                received += len(await client.reader.read(MIB))
        return received


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    route = {"timeout": "120", "body_bytes_max": str(512 * MIB)}
    client = {
        "allowed_hosts": "127.0.0.1:*",
        "allow_private": "true",
        "request_bytes_max": str(512 * MIB),
        "response_bytes_max": str(512 * MIB),
        "timeout": "110",
    }
    manifest = tmp_path / "lattice.yaml"
    manifest.write_text(json.dumps(application(route, {}, {"time": "110s", "payload": "1MiB"}, client)))
    with running_up(manifest) as up:
        up.wait_for("http://")
        yield Running(up)
        assert up.process.poll() is None


async def test_a_large_body_up_or_down_takes_little_memory(running: Running) -> None:
    relay = f"/to/127.0.0.1:{running.port}"
    for path in ("/count", "/echo", "/command", f"{relay}/count"):
        await running.upload(path, 2 * MIB)
    await running.download(f"{relay}/chunks/{2 * MIB}")
    running.forget_peak()
    before = running.memory_bytes("VmRSS")
    assert await running.upload("/count", BODY_BYTES) < 100
    assert await running.upload("/echo", BODY_BYTES) == BODY_BYTES
    assert await running.upload("/command", BODY_BYTES) == BODY_BYTES
    assert await running.download(f"/give/{BODY_BYTES}") == BODY_BYTES
    assert await running.upload(f"{relay}/count", BODY_BYTES) < 100
    assert await running.download(f"{relay}/chunks/{BODY_BYTES}") == BODY_BYTES
    more = running.memory_bytes("VmHWM") - before
    assert more < MORE_BYTES_MAX, f"{more // MIB} MiB more"


async def test_a_hundred_bodies_at_once_share_a_bounded_room(running: Running) -> None:
    size = 5 * MIB
    await asyncio.gather(*(running.upload("/echo", 64 * 1024) for _ in range(100)))
    running.forget_peak()
    before = running.memory_bytes("VmRSS")
    assert set(await asyncio.gather(*(running.upload("/echo", size) for _ in range(100)))) == {size}
    more = running.memory_bytes("VmHWM") - before
    assert more < 128 * MIB, f"{more // MIB} MiB more"
