"""A real `lattice up` with an application of a test, and connections to it that hide nothing.

Clients of HTTP libraries send a request again when a kept connection breaks; these tests are about such moments, so
they use connections of their own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from lattice.contracts.httpserver import HttpRequest
from tests.cli.conftest import Up, running_up
from tests.providers.http_server_client import Client, Response, get

ACTORS = Path(__file__).parents[2] / "actors"
COUNTER = ACTORS / "counter" / "counter.wasm"

HTTP = "{name: http, type: capability, properties: {image: builtin://http-server, config: {address: '127.0.0.1:0'}}"


def actor(name: str, *links: str, **limits: str) -> str:
    """A component whose image is NAME.wasm; `links` are traits, `limits` as in a manifest."""
    shown = ", ".join(f"{key}: {value}" for key, value in limits.items())
    properties = f"image: file://{name}.wasm, limits: {{{shown}}}"
    return f"{{name: {name}, type: actor, properties: {{{properties}}}, traits: [{', '.join(links)}]}}"


def link(target: str, **config: str) -> str:
    """A link to a provider, with the configuration of that end."""
    return f"{{type: link, properties: {{target: {target}, target_config: {json.dumps(config)}}}}}"


def provider(name: str, image: str, **config: str) -> str:
    return f"{{name: {name}, type: capability, properties: {{image: builtin://{image}, config: {json.dumps(config)}}}}}"


def routes(**config: dict[str, str]) -> str:
    """The HTTP server on a free port, with a route to each actor."""
    traits = [
        f"{{type: link, properties: {{target: {target}, source_config: {json.dumps(route)}}}}}"
        for target, route in config.items()
    ]
    return f"{HTTP}, traits: [{', '.join(traits)}]}}"


def manifest(folder: Path, *components: str, images: dict[str, bytes] | None = None, name: str = "test") -> Path:
    """Writes the images and a manifest of these components to `folder`."""
    for image, data in (images or {}).items():
        (folder / f"{image}.wasm").write_bytes(data)
    path = folder / "lattice.yaml"
    lines = ["apiVersion: core.oam.dev/v1beta1", "kind: Application", f"metadata: {{name: {name}}}", "spec:"]
    path.write_text("\n".join([*lines, "  components:", *(f"    - {component}" for component in components), ""]))
    return path


def counting(folder: Path, store: str) -> Path:
    """The counter in front of a store, which is the one line that differs."""
    traits = "{type: link, properties: {target: store}}"
    parts = (actor("counter", traits), store, routes(counter={"path": "/"}))
    return manifest(folder, *parts, images={"counter": COUNTER.read_bytes()}, name="counting")


class Served(NamedTuple):
    up: Up
    port: int
    manifest: Path

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = await connect(self.port)
        try:
            yield client
        finally:
            await client.close()

    async def ask(self, path: str, *headers: str) -> Response:
        """One request on a connection of its own."""
        async with self.client() as client:
            return await client.ask(get(path, *headers))


@contextmanager
def serving(path: Path, name: str = "test") -> Iterator[Served]:
    """`lattice up` of a manifest, from when it answers until the end of the block; then it drains."""
    with running_up(path, "--log-level", "warning") as up:
        up.wait_for(f"{name} is up")
        (url, *_) = (line for line in up.out.splitlines() if line.startswith("http://"))
        yield Served(up, urlsplit(url).port or 0, path)
        if up.process.poll() is None:
            assert up.end() == 0, up.err


async def connect(port: int) -> Client:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return Client(reader, writer)


def seen(response: Response) -> HttpRequest:
    """The request that an `answering` guest got."""
    return msgspec.msgpack.decode(response.body, type=HttpRequest)


def count(response: Response) -> int:
    """What the counter answers."""
    assert response.status == 200, response
    document: dict[str, Any] = json.loads(response.body)
    return int(document["counter"])
