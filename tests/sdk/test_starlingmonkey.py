"""The TypeScript SDK in the large engine: a project asks for it, and then handlers may be async."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import aiohttp
import pytest

from lattice import errors
from lattice.authoring import creating, resources
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from lattice.authoring.toolchains.javascript import ENGINES, find_modules
from tests.actors.applications import application
from tests.sdk.actors import CACHE
from tests.support.authoring import require_toolchain

SOURCE = """
import { http, keyvalue, notFound, t } from "nanolattice";

const Person = t.object({ name: t.text, age: t.whole });

http.post("/people", async (request) => {
  const person = request.json(Person);
  await new Promise((done) => setTimeout(done, 1));
  keyvalue.setJson(`people:${person.name}`, person);
  return http.json(person, 201);
});

http.get("/people/{name}", async ({ params }) => {
  const person = keyvalue.getJson(`people:${params.name}`, Person);
  if (!person) throw notFound(`nobody is called ${params.name}`);
  return person;
});

http.get("/url", () => new URL("http://a/b?c").pathname);
"""


def project(folder: Path) -> Project:
    require_toolchain("javascript")
    package, version = ENGINES["starlingmonkey"]
    if find_modules(Path.cwd(), package) is None:
        pytest.skip(f"{package} is not here; npm ci --prefix actors")
    made = creating.create("monkey", "javascript", "http", folder)
    (made.folder / "app.js").write_text(SOURCE)
    (made.folder / "package.json").write_text('{"nanolattice": {"engine": "starlingmonkey"}}')
    digest = hashlib.sha256(f"{version}{SOURCE}".encode())
    for path in sorted(resources.sdk("typescript").rglob("*.[tm]*s")):
        digest.update(path.read_bytes())
    kept = CACHE / f"starlingmonkey-{digest.hexdigest()[:24]}.wasm"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            out = Path(scratch) / "out.wasm"
            toolchain("javascript").build(made, out, Path(scratch))
            out.replace(kept)
    made.target.parent.mkdir()
    made.target.write_bytes(kept.read_bytes())
    return made


async def ask(client: aiohttp.ClientSession, method: str, path: str, body: object = None) -> tuple[int, str]:
    async with client.request(method, path, json=body) as response:
        return response.status, (await response.text()).strip()


async def test_handlers_may_be_async(tmp_path: Path) -> None:
    made = project(tmp_path)
    async with application(made.manifest, tmp_path / "data", cache=CACHE / "compiled") as served:
        ada = '{"name":"Ada é","age":36}'
        assert await ask(served.http, "POST", "/people", {"name": "Ada é", "age": 36}) == (201, ada)
        assert await ask(served.http, "GET", "/people/Ada%20%C3%A9") == (200, ada)
        assert await ask(served.http, "GET", "/people/nobody") == (404, '{"error":"nobody is called nobody"}')
        assert await ask(served.http, "POST", "/people", {"name": "\ud800", "age": 1}) == (
            400,
            '{"error":"name has half a character in it"}',
        )
        assert await ask(served.http, "GET", "/url") == (200, "/b")


async def test_an_async_handler_in_the_small_engine_says_what_to_do(tmp_path: Path) -> None:
    require_toolchain("javascript")
    made = creating.create("small", "javascript", "http", tmp_path)
    (made.folder / "app.js").write_text(
        'import { http } from "nanolattice";\nhttp.get("/", async () => "x");\nhttp.get("/sync", () => "y");\n'
    )
    made.target.parent.mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    toolchain("javascript").build(made, made.target, scratch)
    async with application(made.manifest, tmp_path / "data", cache=CACHE / "compiled") as served:
        status, body = await ask(served.http, "GET", "/")
        assert (status, errors.GuestError.code in body) == (502, True)
        assert "starlingmonkey" in body
        assert await ask(served.http, "GET", "/sync") == (200, "y")
