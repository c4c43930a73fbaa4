"""`lattice update actor` under HTTP load: no request fails, no answer is another's, a broken image changes nothing."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

from tests.e2e.guests import answering
from tests.e2e.running import Served, manifest, routes, seen, serving
from tests.e2e.running import actor as component
from tests.providers.http_server_client import get

CONNECTIONS = 6
UPDATE_S = 20.0


async def update(served: Served, image: Path) -> tuple[int, str]:
    """Runs the command as a person does: its exit code and what it wrote."""
    command = [sys.executable, "-m", "lattice", "update", "actor", "hello", str(image)]
    process = await asyncio.create_subprocess_exec(
        *(*command, "--manifest", str(served.manifest)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(UPDATE_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode()


async def test_new_images_take_over_without_a_failed_or_mixed_up_response(tmp_path: Path) -> None:
    path = manifest(tmp_path, component("hello"), routes(hello={}), images={"hello": answering("v0")})
    images = [tmp_path / f"v{number}.wasm" for number in range(1, 4)]
    for image in images:
        image.write_bytes(answering(image.stem))
    broken = tmp_path / "broken.wasm"
    broken.write_bytes(answering("broken")[:-20])
    done = asyncio.Event()
    answered: Counter[str] = Counter()

    async def ask_on_and_on(served: Served, number: int) -> int:
        asked, newest = 0, "v0"
        async with served.client() as client:
            while not done.is_set():
                asked += 1
                response = await client.ask(get(f"/{number}/{asked}"))
                assert response.status == 200, response
                assert seen(response).path == f"/{number}/{asked}", "the answer to another request"
                actor = response.header("x-actor")
                assert actor is not None
                assert actor >= newest, "an old image answered a request that came after the new one's first answer"
                newest = actor
                answered[actor] += 1
        return asked

    with serving(path) as served:
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(ask_on_and_on(served, number)) for number in range(CONNECTIONS)]
            for image in images:
                code, said = await update(served, image)
                assert code == 0, said
                before = answered[image.stem]
                code, said = await update(served, broken)
                assert code == 1
                assert "broken.wasm" in said
                assert "hello keeps serving sha256:" in said
                assert answered[image.stem] > before, "the image that was there served on"
            done.set()
        assert sum(answered.values()) == sum(client.result() for client in clients)
        assert set(answered) == {"v0", "v1", "v2", "v3"}
        assert served.up.process.poll() is None
