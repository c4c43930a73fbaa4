"""The counter in front of stores in containers, from the images that compose.yaml names: one line apart, one result."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testcontainers.core.container import DockerContainer

from tests.compose.project import why_not
from tests.e2e.running import count, counting, provider, serving

BACK_S_MAX = 20.0
SERVERS = {
    "redis": (os.environ.get("REDIS_IMAGE", "redis:7-alpine"), 6379, "redis-server --protected-mode no"),
    "nats": (os.environ.get("NATS_IMAGE", "nats:2.11-alpine"), 4222, "nats-server --jetstream --store_dir /tmp"),
}


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, DockerContainer]]:
    """The line of the manifest that says which store, and the container behind it."""
    if reason := why_not():
        pytest.skip(reason)
    image, port, command = SERVERS[request.param]
    with DockerContainer(image).with_command(command).with_exposed_ports(port) as container:
        url = f"{request.param}://{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
        yield provider("store", f"keyvalue-{request.param}", url=url, timeout_s="2"), container


async def test_a_store_in_a_container_counts_and_is_waited_for_when_it_was_silent(
    tmp_path: Path, server: tuple[str, DockerContainer]
) -> None:
    line, container = server
    with serving(counting(tmp_path, line), "counting") as served:
        assert [count(await served.ask("/a")) for _ in range(3)] == [1, 2, 3]
        container.get_wrapped_container().pause()
        try:
            silent = await served.ask("/b")
        finally:
            container.get_wrapped_container().unpause()
        assert (silent.status, silent.header("retry-after")) == (503, "1")
        deadline = time.monotonic() + BACK_S_MAX
        while (answer := await served.ask("/a")).status != 200:
            assert time.monotonic() < deadline, answer.body
        assert count(answer) >= 4
