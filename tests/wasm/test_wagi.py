"""WASI commands on a real host: what they are told, what they print, what they may touch."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

import pytest
import wasmtime

from lattice import errors, wire
from lattice.config import Surroundings, Volume
from lattice.contracts.actor import HealthCheckResponse
from tests.support.commands import ACTORS, HELLO, PROBE, ask, environment, granted, request, start, text
from tests.support.hosts import guest_host

BADF, FBIG, MFILE, NOENT, NOTSUP, ROFS, NOTCAPABLE = 8, 22, 33, 44, 58, 69, 76


MEMORY = '(memory (export "memory") 1)'
START = '(func (export "_start"))'


def command(tmp_path: Path, text: str) -> Path:
    """A command from the text format."""
    path = tmp_path / "command.wasm"
    path.write_bytes(bytes(wasmtime.wat2wasm(text)))
    return path


def audited(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "lattice.audit"]


async def test_a_command_answers_requests(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        actor = await start(guests, HELLO, key="hello")
        hello = await ask(guests, key="hello")
        assert (hello.status_code, hello.header, hello.body) == (200, {"content-type": ["text/plain"]}, b"hello")
        other = await ask(guests, "a=1&b", key="hello", path="/x%20y", method="PUT")
        assert other.body == b"PUT /x y\nroute /...\nargument a=1\nargument b\n"
        assert actor.revision.pool.live == actor.revision.pool.idle == 0


async def test_the_body_is_the_input_and_comes_back_whole(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, HELLO, key="hello")
        body = os.urandom(5 * 1024 * 1024)
        response = await ask(guests, body=body, key="hello", content_type="image/png")
        assert response.header == {"content-type": ["image/png"]}
        assert response.body == body


async def test_the_environment_is_that_of_the_request_and_the_manifest_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "canary")
    around = Surroundings(environment={"COLOR": "blue", "HTTP_X_MINE": "set by the owner", "EMPTY": ""})
    async with guest_host(tmp_path) as guests:
        await start(guests, around=around)
        response = await ask(guests, "environment", x_mine="set by a client", x_other="1", authorization="Basic x")
        found = environment(response.body)
    assert found["COLOR"] == "blue"
    assert found["EMPTY"] == ""
    assert found["HTTP_X_MINE"] == "set by the owner"
    assert found["HTTP_X_OTHER"] == "1"
    assert "SECRET" not in found
    assert "HTTP_AUTHORIZATION" not in found


async def test_arguments_are_the_path_and_the_pieces_of_the_query(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        assert await text(guests, "arguments", "a=1", "", "b%20c") == "a=1\n\nb%20c\n"


async def test_what_is_printed_decides_the_response(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        moved = await ask(guests, "print", b"Location: /there\n\n")
        assert (moved.status_code, moved.header) == (302, {"location": ["/there"]})
        missing = await ask(guests, "print", b"status: 404 Not Found\nx-a: 1\nx-a: 2\n\nno")
        assert (missing.status_code, missing.header, missing.body) == (404, {"x-a": ["1", "2"]}, b"no")


async def test_output_that_is_no_response_is_a_500_and_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        for printed in (b"", b"hello", b"x-other: 1\n\nhello"):
            response = await ask(guests, "print", printed)
            assert response.status_code == 500
            assert b"the command printed no" in (response.body or b"")
    assert [r.levelname for r in caplog.records if r.name == "lattice.actor.probe"] == ["WARNING"] * 3


async def test_an_exit_code_besides_0_is_a_failure(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        with pytest.raises(errors.GuestError, match="exit code 3"):
            await ask(guests, "exit&3")
        with pytest.raises(errors.GuestTrapped, match="unreachable"):
            await ask(guests, "abort")


async def test_leaving_with_0_is_success(tmp_path: Path) -> None:
    image = command(
        tmp_path,
        """(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\\08\\00\\00\\00\\0d\\00\\00\\00status: 204\\0a\\0a")
          (func (export "_start")
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
            (call $exit (i32.const 0))))""",
    )
    async with guest_host(tmp_path) as guests:
        await start(guests, image)
        assert (await ask(guests)).status_code == 204


async def test_standard_error_is_the_actors_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        with caplog.at_level(logging.INFO, "lattice.actor.probe"):
            await ask(guests, "complain&about_it")
    lines = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "lattice.actor.probe"]
    assert lines == [("WARNING", "about_it")]


async def test_each_request_gets_a_fresh_instance(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        actor = await start(guests, instances_max=2)
        answers = await asyncio.gather(*(text(guests, "sleep", "20") for _ in range(10)))
        assert answers == ["slept"] * 10
        assert (actor.revision.pool.live, actor.revision.pool.idle) == (0, 0)
        assert guests.host.engine.live_instances == 0


async def test_other_operations_are_unknown_and_health_is_answered(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        reply = await guests.call("probe", b"\x80", operation="Actor.HealthRequest")
        assert wire.decoder(HealthCheckResponse, "health")(reply) == HealthCheckResponse(healthy=True)
        for operation in ("MessageSubscriber.HandleMessage", "Cron.HandleTick", "HandleRequest", ""):
            with pytest.raises(errors.OperationUnknown, match=r"WASI command, which answers HttpServer\.HandleRequest"):
                await guests.call("probe", b"", operation=operation)
        with pytest.raises(errors.MalformedMessage):
            await guests.call("probe", b"\xc1", operation="HttpServer.HandleRequest")
        assert await text(guests, "arguments", "goes_on") == "goes_on\n"


async def test_a_module_has_routes_of_its_own(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        assert (await ask(guests, path="/one")).body == b"one /one "
        assert (await ask(guests, path="/many/a%20b/c")).body == b"many /many/... /a b/c"
        assert (await ask(guests, path="/one/more")).body == b"nothing to do"


async def test_another_function_can_answer(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, around=Surroundings(entrypoint="many"))
        assert (await ask(guests, path="/x")).body == b"many /... /x"
        with pytest.raises(errors.UnsupportedGuest, match="exports no function 'missing', the entrypoint"):
            await start(guests, key="other", around=Surroundings(entrypoint="missing"))
        assert guests.host.engine.live_instances == 0


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ('(func (export "_start"))', "exports no memory"),
        (f'{MEMORY} (func (export "_start") (param i32))', "has type i->"),
        (f'(import "wasi_experimental_http" "req" (func)) {MEMORY} {START}', r"wasi_experimental_http\.req"),
        (f'{MEMORY} {START} (func (export "_routes") (unreachable))', "unreachable"),
        (f'(import "wasi_snapshot_preview1" "sock_open" (func)) {MEMORY} {START}', "sock_open"),
    ],
)
async def test_what_cannot_run_is_refused_at_load(tmp_path: Path, module: str, reason: str) -> None:
    image = command(tmp_path, f"(module {module})")
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.LatticeError, match=reason):
            await start(guests, image)
        assert guests.host.engine.live_instances == 0


async def test_surroundings_are_not_for_wapc_actors(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.ConfigError, match="this is a waPC actor"):
            await start(guests, ACTORS / "echo" / "echo.wasm", around=granted(tmp_path))


# Files.


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "granted"
    (folder / "below").mkdir(parents=True)
    (folder / "file").write_text("content")
    (folder / "below" / "other").write_text("deeper")
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to("../secret")
    return folder


async def test_a_granted_folder_is_read(tmp_path: Path, data: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(data))
        assert await text(guests, "cat", "/data/file") == "content"
        assert await text(guests, "cat", "/data/below/../below/other") == "deeper"
        assert await text(guests, "describe", "/data/file") == "file 7"
        assert await text(guests, "describe", "/data/below") == "folder " + str((data / "below").stat().st_size)
        assert await text(guests, "describe", "/data/out") == "link 9"
        listed = set((await text(guests, "list", "/data")).splitlines())
        assert {line.split()[0] for line in listed} == {".", "..", "file", "below", "out"}
        assert await text(guests, "cat", "/data/none") == f"errno {NOENT}"


async def test_a_large_folder_is_listed_whole(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    names = {f"file-{number:04}" for number in range(1000)}
    for name in names:
        (folder / name).touch()
    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(folder))
        listed = [line.split()[0] for line in (await text(guests, "list", "/data")).splitlines()]
    assert sorted(listed) == sorted(names | {".", ".."})


async def test_a_folder_is_only_read_unless_it_is_said_otherwise(
    tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(data))
        for words in (
            ("put", "/data/new", "text"),
            ("append", "/data/file", "more"),
            ("mkdir", "/data/folder"),
            ("unlink", "/data/file"),
            ("rmdir", "/data/below"),
            ("rename", "/data/file", "/data/moved"),
            ("raw-create", "3", "new"),
        ):
            assert await text(guests, *words) == f"errno {ROFS}", words
    assert {path.name for path in data.iterdir()} == {"file", "below", "out"}
    assert (data / "file").read_text() == "content"
    entries = audited(caplog)
    assert len(entries) == 7
    assert "refused: probe opens a file in a folder that it may only read: 'new'" in entries


async def test_a_writable_folder_is_changed(tmp_path: Path, data: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(data, writable=True))
        assert await text(guests, "put", "/data/new", "text") == "ok"
        assert await text(guests, "append", "/data/new", "+more") == "ok"
        assert (data / "new").read_text() == "text+more"
        assert await text(guests, "rewrite", "/data/worked") == "23ab3ab6"
        assert (data / "worked").read_text() == "0123ab6"
        assert await text(guests, "mkdir", "/data/folder") == ""
        assert await text(guests, "rename", "/data/new", "/data/folder/moved") == ""
        assert (data / "folder" / "moved").read_text() == "text+more"
        assert await text(guests, "unlink", "/data/folder/moved") == ""
        assert await text(guests, "rmdir", "/data/folder") == ""
        assert not (data / "folder").exists()


async def test_nothing_outside_is_reached_and_each_try_is_told(
    tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(data, writable=True))
        assert await text(guests, "cat", "/data/../secret") == f"errno {NOTCAPABLE}"
        assert await text(guests, "cat", "/data/out") == f"errno {NOTCAPABLE}"
        assert await text(guests, "raw-open", "3", "/etc/passwd") == f"errno {NOTCAPABLE}"
        assert await text(guests, "raw-open", "9", "file") == f"errno {BADF}"
        assert await text(guests, "symlink", "/etc", "/data/link") == f"errno {NOTCAPABLE}"
        assert await text(guests, "link", "/data/file", "/data/link") == f"errno {NOTCAPABLE}"
        assert await text(guests, "put", "/data/../made", "x") == f"errno {NOTCAPABLE}"
        assert await text(guests, "rename", "/data/file", "/data/../moved") == f"errno {NOTCAPABLE}"
        assert await text(guests, "socket") == f"errno {NOTSUP}"
    assert audited(caplog) == [
        "refused: probe opens a file outside of what it was granted: '../secret'",
        "refused: probe opens a file outside of what it was granted: 'out'",
        "refused: probe opens a file outside of what it was granted: '/etc/passwd'",
        "refused: probe opens a file in no folder that it was granted: 'file'",
        "refused: probe makes a link, which no guest may: 'link'",
        "refused: probe makes a link, which no guest may: 'link'",
        "refused: probe opens a file outside of what it was granted: '../made'",
        "refused: probe renames a file outside of what it was granted: 'file to ../moved'",
        "refused: probe uses a socket, and guests have none",
    ]
    assert not (data / "link").is_symlink()
    assert not (tmp_path / "made").exists()


async def test_without_volumes_there_are_no_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        assert await text(guests, "cat", "/etc/passwd") == f"errno {NOENT}"
        assert await text(guests, "raw-open", "3", "etc/passwd") == f"errno {BADF}"
    assert audited(caplog) == ["refused: probe opens a file in no folder that it was granted: 'etc/passwd'"]


async def test_the_audit_of_one_actor_is_bounded_and_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        for _ in range(30):
            await text(guests, "raw-open", "3", "a\nforged: line")
    entries = audited(caplog)
    assert len(entries) == 21
    assert entries[0] == "refused: probe opens a file in no folder that it was granted: 'a\\nforged: line'"
    assert "the rest is not told" in entries[-1]


async def test_wapc_actors_that_try_are_told_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("files")
        await guests.call("files")
    assert audited(caplog) == ["refused: files opens a file, and waPC actors have none: '/etc/passwd'"] * 2


async def test_open_files_and_their_sizes_have_limits(tmp_path: Path, data: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(data, writable=True))
        assert await text(guests, "open-many", "/data/file") == f"32, errno {MFILE}"
        grown = await text(guests, "grow", "/data/large")
        assert grown.endswith("errno 22")
        assert (data / "large").stat().st_size == 256 * 1024 * 1024
        (data / "large").unlink()


async def test_two_folders_are_told_apart(tmp_path: Path, data: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    around = Surroundings(
        volumes=(Volume(host=str(data), guest="/data"), Volume(host=str(other), guest="/tmp", writable=True))
    )
    async with guest_host(tmp_path) as guests:
        await start(guests, around=around)
        assert await text(guests, "put", "/tmp/x", "y") == "ok"
        assert await text(guests, "put", "/data/x", "y") == f"errno {ROFS}"
        assert await text(guests, "cat", "/data/file") == "content"


async def test_a_folder_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.ConfigError, match="of the volume /data cannot be opened: No such file"):
            await start(guests, around=granted(tmp_path / "none"))


OLDER = """(module
  (import "wasi_unstable" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_unstable" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "file")
  (data (i32.const 100) "content-type: application/octet-stream\\0a\\0a")
  (func $number (param i32)
    (i32.store (i32.const 16) (local.get 0))
    (i32.store (i32.const 20) (i32.const 8))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 100))
    (i32.store (i32.const 20) (i32.const 40))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0)
      (i32.const 0) (i32.const 32)) (then (unreachable)))
    ;; from the end, which is 1 here
    (if (call $seek (i32.load (i32.const 32)) (i64.const -2) (i32.const 1) (i32.const 200)) (then (unreachable)))
    (call $number (i32.const 200))
    ;; the size, which comes at 24 here
    (if (call $stat (i32.load (i32.const 32)) (i32.const 300)) (then (unreachable)))
    (call $number (i32.const 324))
    ;; a clock, which begins at 24 here
    (i64.store (i32.const 400) (i64.const 7))
    (i32.store (i32.const 424) (i32.const 1))
    (i64.store (i32.const 432) (i64.const 1000000))
    (if (call $poll (i32.const 400) (i32.const 500) (i32.const 1) (i32.const 600)) (then (unreachable)))
    (call $number (i32.const 500))))"""


async def test_the_older_interface_has_its_own_layouts(tmp_path: Path, data: Path) -> None:
    image = command(tmp_path, OLDER)
    async with guest_host(tmp_path) as guests:
        await start(guests, image, around=granted(data))
        numbers = (await ask(guests)).body or b""
    assert [int.from_bytes(numbers[at : at + 8], "little") for at in (0, 8, 16)] == [5, 7, 7]


# Waiting.


async def test_waiting_does_not_hold_the_others(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests)
        began = time.monotonic()
        assert await asyncio.gather(*(text(guests, "sleep", "200") for _ in range(20))) == ["slept"] * 20
        assert time.monotonic() - began >= 0.2
        assert await text(guests, "poll") == "2"
        assert await text(guests, "yield", "100") == ""


async def test_an_image_can_be_replaced_while_it_answers(tmp_path: Path, data: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(data))
        slow = asyncio.create_task(text(guests, "sleep", "200"))
        await asyncio.sleep(0.05)
        await guests.host.actors.replace("probe", PROBE, surroundings=granted(data / "below"))
        assert await text(guests, "cat", "/data/other") == "deeper"
        assert await slow == "slept"


def test_requests_are_as_the_http_server_sends_them() -> None:
    assert wire.decode_any(request("a=1", b"x", path="/p"))["queryString"] == "a=1"
