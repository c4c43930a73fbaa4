"""A nats-server as a child: it starts, answers, is started again, ends with its parent, and keeps what it has."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lattice import errors
from lattice.child import plain_environment
from lattice.nats_server import folder as folder_module
from lattice.nats_server import server as server_module
from lattice.nats_server.config import ServerConfig
from lattice.nats_server.server import NatsServer, find_program, free_port, greeting, version_of
from lattice.transport.nats import connect
from lattice.transport.settings import NatsSettings

WAIT_S = 15.0


@asynccontextmanager
async def running(folder: Path, name: str = "one", port: int = 0, extra: str = "") -> AsyncIterator[NatsServer]:
    server = NatsServer(ServerConfig(name=name, port=port, store=folder / "jetstream", extra=extra), folder)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.02)


async def stored(url: str, value: bytes | None = None) -> bytes | None:
    """What the key is after a value was put, if one was given."""
    transport = await connect(NatsSettings(urls=(url,)))
    try:
        bucket = await transport.bucket("KEPT")
        if value is not None:
            await bucket.put("key", value)
        entry = await bucket.get("key")
        return entry.value if entry is not None else None
    finally:
        await transport.close()


def lives(pid: int) -> bool:
    try:
        return "\0" in Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return False


async def test_it_chooses_a_port_answers_and_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        pid, port = server.pid, server.config.port
        assert port > 0
        info = await greeting("127.0.0.1", port)
        assert info is not None
        assert (info["server_name"], info["jetstream"]) == ("one", True)
        assert await stored(server.url, b"value") == b"value"
        await server.start()
        assert server.pid == pid
    assert server.pid == 0
    assert not lives(pid)
    assert await greeting("127.0.0.1", port) is None


async def test_after_a_crash_it_runs_again_at_the_same_address_with_the_same_data(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await stored(server.url, b"value")
        url, pid = server.url, server.pid
        keeping = asyncio.create_task(server.run())
        try:
            os.kill(pid, signal.SIGKILL)
            await until(lambda: server.restarts == 1 and server.pid not in (0, pid))
            await until(lambda: (tmp_path / f"nats-server_{server.pid}.ports").exists())
            assert server.url == url
            assert await stored(url) == b"value"
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def test_what_does_not_start_is_tried_again_ever_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCH_S", 0.001), ("BACKOFF_S_MIN", 0.01), ("BACKOFF_S_MAX", 0.05)):
        monkeypatch.setattr(server_module, name, value)
    tries: list[float] = []
    server = NatsServer(ServerConfig(name="one"), tmp_path)

    async def start() -> None:
        tries.append(asyncio.get_running_loop().time())
        raise errors.ConfigError("it does not start")

    monkeypatch.setattr(server, "start", start)
    keeping = asyncio.create_task(server.run())
    await until(lambda: len(tries) == 6)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert all(wait >= least for wait, least in zip(waits, (0.02, 0.04, 0.05, 0.05, 0.05), strict=True))
    assert server.restarts == 6


async def test_a_port_that_another_server_holds_is_an_error_with_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path / "one") as first:
        for name in ("other", "one"):  # even one that bears our name is not taken for ours
            with pytest.raises(errors.ConfigError, match="in use") as refused:
                async with running(tmp_path / f"second-{name}", name, first.config.port):
                    pass
            assert "nats-server.log" in refused.value.remedy


async def test_something_else_at_the_port_is_an_error_too(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(errors.ConfigError, match="in use"):
            async with running(tmp_path, port=taken.getsockname()[1]):
                pass


async def test_a_wrong_configuration_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="max_connectons"):
        async with running(tmp_path, extra="max_connectons: 1"):
            pass


async def test_a_folder_has_one_server(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        with pytest.raises(errors.ConfigError, match="another process") as refused:
            async with running(tmp_path, "two"):
                pass
        assert "data folder" in refused.value.remedy
        assert await stored(first.url, b"value") == b"value"
    async with running(tmp_path, "two") as second:
        assert await stored(second.url) == b"value"


async def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.ConfigError, match="cannot be written"):
        async with running(tmp_path / "file"):
            pass


async def test_who_is_cancelled_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    server = NatsServer(ServerConfig(name="one", port=0, store=tmp_path / "jetstream"), tmp_path)
    starting = asyncio.create_task(server.start())
    await until(lambda: server.pid != 0)
    pid = server.pid
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    assert starting.cancelled()
    assert not lives(pid)
    async with running(tmp_path):
        pass


async def test_paused_it_does_not_answer_and_can_still_be_stopped(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        server.pause()
        # The signal takes effect when the process next runs, and it may answer until then.
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert await greeting("127.0.0.1", server.config.port) is None
        server.resume()
        assert await greeting("127.0.0.1", server.config.port) is not None
        server.pause()
        pid = server.pid
    assert not lives(pid)


async def test_the_configuration_is_for_its_owner_only(tmp_path: Path) -> None:
    async with running(tmp_path):
        assert (tmp_path / "nats-server.conf").stat().st_mode & 0o777 == 0o600


async def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "LOG_BYTES_MAX", 64 * 1024)
    async with running(tmp_path, extra="debug: true\ntrace: true") as server:
        transport = await connect(NatsSettings(urls=(server.url,)))
        for _ in range(60):
            await asyncio.gather(*(transport.publish("some.subject", b"x" * 100) for _ in range(100)))
            await transport.flush()
        await transport.close()
    logs = list(tmp_path.glob("nats-server.log*"))
    assert 1 < len(logs) <= folder_module.LOG_FILES_MAX
    assert all(log.stat().st_size < 100 * 1024 for log in logs)


PARENT = """
    import asyncio, sys
    from pathlib import Path
    from lattice.nats_server.config import ServerConfig
    from lattice.nats_server.server import NatsServer

    async def main(folder):
        server = NatsServer(ServerConfig(name="parents", port=0, store=folder / "jetstream"), folder)
        await server.start()
        print(server.pid, server.url, flush=True)
        await asyncio.sleep(60)

    asyncio.run(main(Path(sys.argv[1])))
"""


@asynccontextmanager
async def parent(folder: Path) -> AsyncIterator[tuple[subprocess.Popen[str], int, str]]:
    """Another process with a server: the process, and the server's process id and URL."""
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        pid, url = (await asyncio.to_thread(process.stdout.readline)).split()
        yield process, int(pid), url
    finally:
        process.kill()
        process.wait(WAIT_S)
        process.stdout.close()


async def test_when_its_parent_is_killed_it_ends_and_the_next_finds_the_data(tmp_path: Path) -> None:
    async with parent(tmp_path) as (process, pid, url):
        await stored(url, b"value")
        with pytest.raises(errors.ConfigError, match="another process"):
            async with running(tmp_path):
                pass
        assert lives(pid)
        process.kill()
        await until(lambda: not lives(pid))
    async with running(tmp_path) as server:
        assert await stored(server.url) == b"value"


async def test_an_orphan_in_the_folder_is_ended_before_another_starts(tmp_path: Path) -> None:
    """A stopped process takes no signal of the kernel's, so it outlives its parent."""
    async with parent(tmp_path) as (process, pid, url):
        await stored(url, b"value")
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait(WAIT_S)
        assert lives(pid)
        async with running(tmp_path, "parents", int(url.rpartition(":")[2])) as server:
            assert not lives(pid)
            assert server.url == url
            assert await stored(server.url) == b"value"


async def test_a_process_that_got_the_id_of_an_old_server_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "nats-server.pid").write_text(f"{stranger.pid}\n")
        async with running(tmp_path):
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(WAIT_S)


@pytest.mark.parametrize("content", ["", "no number", "-1", "0", "999999999999999999999"])
async def test_a_broken_note_of_the_process_id_does_no_harm(content: str, tmp_path: Path) -> None:
    (tmp_path / "nats-server.pid").write_text(content)
    async with running(tmp_path) as server:
        assert server.pid


@asynccontextmanager
async def answering(said: bytes) -> AsyncIterator[int]:
    """The port of a listener that greets with some bytes and then answers nothing."""
    ended = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()
        ended.set()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()[1]
        async with asyncio.timeout(WAIT_S):
            await ended.wait()


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400\r\n", b"INFO no json\r\n", b"INFO []\r\n", b"INFO {}\r\n-ERR 'Other'\r\n", b"x" * 99999],
    ids=["another protocol", "no json", "no mapping", "no answer to a ping", "an endless line"],
)
async def test_what_is_no_nats_server_is_not_taken_for_one(said: bytes) -> None:
    async with answering(said) as port:
        assert await greeting("127.0.0.1", port) is None


async def test_a_server_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "OLDEST", (99,))
    with pytest.raises(errors.ConfigError, match="too old"):
        async with running(tmp_path):
            pass


def test_versions_are_compared_as_numbers() -> None:
    assert version_of("2.9.25") < (2, 11) <= version_of("2.11.0") < version_of("v2.16.0-dev")
    assert version_of("") == version_of("none") == ()


def test_the_program_is_found_beside_python_then_in_the_package_then_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = find_program()
    assert Path(own).name.startswith("nats-server")
    monkeypatch.setattr(server_module.sysconfig, "get_path", lambda _: str(tmp_path))
    assert Path(find_program()).resolve() == Path(own).resolve()
    monkeypatch.setattr(server_module, "PACKAGE", "no-such-package")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.ConfigError, match="not installed") as missing:
        find_program()
    assert "pip install" in missing.value.remedy
    (tmp_path / "nats-server").write_text("#!/bin/sh\n")
    (tmp_path / "nats-server").chmod(0o755)
    assert find_program() == str(tmp_path / "nats-server")


async def test_a_program_that_cannot_be_run_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "find_program", lambda: str(tmp_path / "gone"))
    with pytest.raises(errors.ConfigError, match="cannot be started"):
        async with running(tmp_path / "data"):
            pass


def test_a_free_port_is_one_to_listen_at() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_the_port_is_read_from_what_the_server_wrote(tmp_path: Path) -> None:
    own = folder_module.ServerFolder(tmp_path)
    assert own.port(7) == 0
    for content in ("", "[]", '{"nats": []}', '{"nats": 5}'):
        (tmp_path / "nats-server_7.ports").write_text(content)
        assert own.port(7) == 0
    (tmp_path / "nats-server_7.ports").write_text(json.dumps({"nats": ["nats://127.0.0.1:4567"]}))
    assert (own.port(7), own.port(8)) == (4567, 0)


def test_a_child_gets_what_it_needs_to_run_and_what_it_is_told_by_name() -> None:
    own = {"PATH": "/bin", "LC_ALL": "C", "GOMEMLIMIT": "1GiB", "AWS_SECRET_ACCESS_KEY": "x", "LATTICE_SECRET_A": "y"}
    assert plain_environment(own) == {"PATH": "/bin", "LC_ALL": "C", "GOMEMLIMIT": "1GiB"}
    assert plain_environment({"GOOGLE_API_KEY": "canary", "GODADDY_SECRET": "canary"}) == {}
    assert "LATTICE_SECRET_A" in plain_environment(own, ["LATTICE_SECRET_A"])
