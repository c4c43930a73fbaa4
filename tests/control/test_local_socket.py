"""The local control socket: for its owner, one host a folder, and nothing that a client sends breaks it."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.control import local_socket
from lattice.control.client import LocalClient
from lattice.control.local import CONNECTIONS_MAX, LocalServer


async def answer(command: str, arguments: dict[str, Any]) -> Any:
    if command == "fail":
        raise errors.TargetUnknown("nobody", remedy="ask somebody")
    if command == "wait":
        await asyncio.sleep(60)
    return {"command": command, **arguments}


@pytest.fixture
async def server(tmp_path: Path) -> Any:
    running = LocalServer(tmp_path / "data", answer)
    await running.start()
    yield tmp_path / "data"
    await running.close()


async def test_a_client_asks_several_times_and_gets_the_hosts_own_errors(server: Path) -> None:
    async with LocalClient(server) as client:
        assert await client.ask("a", {"x": [1, "ü"]}) == {"command": "a", "x": [1, "ü"]}
        with pytest.raises(errors.TargetUnknown, match="nobody") as caught:
            await client.ask("fail")
        assert caught.value.remedy == "ask somebody"
        assert await client.ask("b") == {"command": "b"}


async def test_only_the_owner_may_open_the_socket(server: Path) -> None:
    assert stat.S_IMODE(os.stat(server / local_socket.SOCKET_NAME).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(server).st_mode) == 0o700


async def test_a_second_host_with_the_folder_is_refused_and_the_first_goes_on(server: Path) -> None:
    second = LocalServer(server, answer)
    with pytest.raises(errors.ConfigError, match="another lattice up"):
        await second.start()
    await second.close()
    async with LocalClient(server) as client:
        assert await client.ask("a") == {"command": "a"}


async def test_the_folder_is_free_after_close_and_after_a_crash(tmp_path: Path) -> None:
    local_socket.listen(tmp_path).close()  # a crashed host leaves its socket
    for _ in range(2):
        running = LocalServer(tmp_path, answer)
        await running.start()
        async with LocalClient(tmp_path) as client:
            await client.ask("a")
        await running.close()
    assert not (tmp_path / local_socket.SOCKET_NAME).exists()


async def test_a_folder_with_a_long_path_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("path" * 20)
    running = LocalServer(folder, answer)
    await running.start()
    async with LocalClient(folder) as client:
        assert await client.ask("a") == {"command": "a"}
    await running.close()


@pytest.mark.parametrize("line", [b"{}", b"[]", b"no json", b'{"command": 5}', b'{"command": "a", "arguments": 5}'])
async def test_a_malformed_request_gets_an_error_and_the_connection_stays(server: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(server / local_socket.SOCKET_NAME))
    writer.write(line + b"\n" + b'{"command": "a"}\n')
    refused, answered = json.loads(await reader.readline()), json.loads(await reader.readline())
    assert (refused["success"], refused["code"]) == (False, "malformed_message")
    assert answered["response"] == {"command": "a"}
    writer.close()


async def test_too_many_connections_are_refused(server: Path) -> None:
    clients = [LocalClient(server) for _ in range(CONNECTIONS_MAX)]
    for client in clients:
        await client.__aenter__()
        await client.ask("a")
    async with LocalClient(server) as extra:
        with pytest.raises((errors.Overloaded, errors.ProviderUnavailable)):
            await extra.ask("a")
    for client in clients:
        await client.__aexit__(None, None, None)


async def test_a_slow_answer_ends_at_the_clients_deadline(server: Path) -> None:
    async with LocalClient(server) as client:
        with pytest.raises(errors.DeadlineExceeded, match=r"within 0\.1 s"):
            await client.ask("wait", timeout_s=0.1)


async def test_no_host_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="no host runs") as caught:
        async with LocalClient(tmp_path):
            pass
    assert "lattice up" in caught.value.remedy
