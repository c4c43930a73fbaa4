"""The service of docs/comparison, written the usual way and as an actor, asked the same."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.toolchains import toolchain
from tests.support.servers import free_port, redis_server

COMPARISON = Path(__file__).parents[2] / "docs" / "comparison"
CACHE = Path(__file__).parents[2] / ".cache" / "comparison"
STOP_S = 30.0
BUILD_S = COMPILE_S = 180.0
"""CPython is compiled into a component, and on a new machine that to machine code."""
COUNTED_S = 20.0


@contextmanager
def usual_way(folder: Path) -> Iterator[str]:
    with redis_server(folder) as redis:
        settings = {"LINKS_REDIS_URL": redis.url, "LINKS_PORT": "0", "PYTHONPATH": str(COMPARISON)}
        command = [sys.executable, "-m", "usual_way"]
        with subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True) as service:
            try:
                assert service.stdout is not None
                line = service.stdout.readline()
                assert line.startswith("serving on http://"), line
                yield line.removeprefix("serving on ").strip()
            finally:
                service.terminate()
                assert service.wait(STOP_S) == 0


def built(folder: Path) -> Path:
    """The actor's project with its module, which is kept by what it is made of: Python takes a while to build."""
    project = folder / "links"
    shutil.copytree(COMPARISON / "actor", project, ignore=shutil.ignore_patterns("build", ".lattice"))
    try:
        tool = toolchain("python").find()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing}; {missing.remedy}")
    digest = hashlib.sha256(tool.version.encode())
    sdk = resources.sdk("python") / "nanolattice"
    for path in (*sorted(sdk.glob("*.py")), project / "app.py"):
        digest.update(path.read_bytes())
    kept = CACHE / f"links-{digest.hexdigest()[:24]}.wasm"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "lattice", "build", str(project)]
        subprocess.run(command, check=True, env={**os.environ, "LATTICE_KEYS": str(folder / "keys")}, timeout=BUILD_S)
        arriving = kept.with_suffix(f".{os.getpid()}")
        shutil.copy(project / "build" / "links.wasm", arriving)
        arriving.replace(kept)
    (project / "build").mkdir(exist_ok=True)
    shutil.copy(kept, project / "build" / "links.wasm")
    return project


@contextmanager
def as_actor(folder: Path) -> Iterator[str]:
    project = built(folder)
    with redis_server(folder) as redis:
        address = f"127.0.0.1:{free_port()}"
        manifest = (project / "app.yaml").read_text()
        for written, here in (("127.0.0.1:8080", address), ("redis://127.0.0.1:6379/0", redis.url)):
            assert written in manifest
            manifest = manifest.replace(written, here)
        (project / "app.yaml").write_text(manifest)
        command = [sys.executable, "-m", "lattice", "up", str(project / "app.yaml")]
        with (folder / "host.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as host:
            try:
                wait_for(f"http://{address}/links/none", host, folder / "host.log")
                yield f"http://{address}"
            finally:
                host.terminate()
                assert host.wait(STOP_S) == 0


def wait_for(url: str, host: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + COMPILE_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            assert host.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture(scope="module", params=[usual_way, as_actor], ids=["usual-way", "actor"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with request.param(tmp_path_factory.mktemp("service")) as url:
        yield url


@pytest.fixture
async def session(service: str) -> Iterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service, timeout=aiohttp.ClientTimeout(20)) as session:
        yield session


async def test_a_link_is_made_shown_followed_counted_and_forgotten(session: aiohttp.ClientSession) -> None:
    url = "https://example.org/a/long/address"
    async with session.post("/links", json={"url": url, "code": "try"}) as made:
        assert (made.status, made.headers["location"]) == (201, "/links/try")
        assert await made.json() == {"code": "try", "url": url, "clicks": 0}
    for _ in range(3):
        async with session.get("/try", allow_redirects=False) as followed:
            assert (followed.status, followed.headers["location"]) == (302, url)
            assert followed.headers["cache-control"] == "no-store"
    deadline = time.monotonic() + COUNTED_S
    shown = {"clicks": 0}
    while shown["clicks"] < 3 and time.monotonic() < deadline:
        async with session.get("/links/try") as answer:
            shown = await answer.json()
    assert shown == {"code": "try", "url": url, "clicks": 3}
    async with session.delete("/links/try") as gone:
        assert gone.status == 204
    for method, path in (("GET", "/links/try"), ("DELETE", "/links/try"), ("GET", "/try")):
        async with session.request(method, path) as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "there is no such link"})


async def test_without_a_wish_the_code_is_a_new_one(session: aiohttp.ClientSession) -> None:
    codes = set()
    for _ in range(5):
        async with session.post("/links", json={"url": "http://example.org"}) as made:
            assert made.status == 201
            codes.add((await made.json())["code"])
    assert len(codes) == 5
    assert {len(code) for code in codes} == {7}


async def test_a_code_is_given_once(session: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(2):
        async with session.post("/links", json={"url": "http://example.org", "code": "once"}) as made:
            statuses.append(made.status)
            answer = await made.json()
    assert statuses == [201, 409]
    assert answer == {"error": "this code is taken"}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"no json", ""),
        (b"[]", ""),
        (b"{}", "url"),
        (b'{"url": 5}', "url"),
        (b'{"url": "ftp://example.org"}', "url"),
        (b'{"url": "http://example.org", "code": "a b"}', "code"),
        (b'{"url": "http://example.org", "code": 5}', "code"),
    ],
)
async def test_a_mistake_is_named(session: aiohttp.ClientSession, body: bytes, named: str) -> None:
    async with session.post("/links", data=body) as answer:
        assert answer.status == 400
        assert named in (await answer.json())["error"]


async def test_another_method_is_refused(session: aiohttp.ClientSession) -> None:
    async with session.put("/links", data=b"") as answer:
        assert answer.status == 405
        assert "POST" in answer.headers["allow"]


def lines(text: str, comment: str = "#") -> int:
    """Without blank lines, comments and docstrings, which cost nobody anything."""
    bare = re.sub(r'^\s*"""(.|\n)*?"""\s*$', "", text, flags=re.MULTILINE) if comment == "#" else text
    return sum(1 for line in bare.splitlines() if line.strip() and not line.strip().startswith(comment))


def test_the_page_counts_as_the_files_are() -> None:
    page = (COMPARISON / "README.md").read_text()
    told = {
        name: int(count)
        for name, count in re.findall(r"^\| \[`([^`]+)`\]\([^)]*\) \|[^|]*\| (\d+) \|", page, re.MULTILINE)
    }
    files = [*(COMPARISON / "usual_way").glob("*.py"), *(COMPARISON / "actor").glob("*.*")]
    counted = {f"{path.parent.name}/{path.name}": lines(path.read_text()) for path in files if path.is_file()}
    assert told == {name: count for name, count in counted.items() if count}
    usual, actor = (
        sum(count for name, count in counted.items() if name.startswith(part)) for part in ("usual", "actor")
    )
    assert f"**{usual}**" in page
    assert f"**{actor}**" in page
