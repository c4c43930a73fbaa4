"""compose.yaml as a project of its own, on free ports: brought up, broken, healed, and ended."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import NO_ENGINE
from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
WANTED = "LATTICE_TEST_COMPOSE"
"""Set by whoever has the images: without a registry they are made first, with one they are fetched."""
UP_S_MAX = 300.0
"""The image of the host is built too."""
COMMAND_S_MAX = 90.0
SETTLE_S_MAX = 60.0


def why_not() -> str:
    """Why no project can be brought up here, "" when one can."""
    if os.environ.get(NO_ENGINE):
        return f"no container engine can be started here ({NO_ENGINE} is set)"
    if not os.environ.get(WANTED):
        return f"{WANTED} is not set: images are built and nine containers started"
    if shutil.which("docker") is None:
        return "docker is not installed on this machine"
    for command, what in ((["info"], "no docker engine answers"), (["compose", "version"], "docker has no compose v2")):
        if subprocess.run(["docker", *command], capture_output=True, timeout=COMMAND_S_MAX).returncode:
            return what
    return ""


class Project:
    def __init__(self) -> None:
        self.name = f"nanolattice-test-{os.getpid()}"
        self.ports = {"east": free_port(), "west": free_port()}
        self._environment = {
            **os.environ,
            "EAST_PORT": str(self.ports["east"]),
            "WEST_PORT": str(self.ports["west"]),
            "NANOLATTICE_IMAGE": "nanolattice-test/host",
        }

    def url(self, cloud: str) -> str:
        return f"http://127.0.0.1:{self.ports[cloud]}"

    def docker(self, *words: str, timeout_s: float = COMMAND_S_MAX) -> str:
        """What the command prints. Raises `RuntimeError` with what it said."""
        done = subprocess.run(
            ["docker", *words],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def compose(self, *words: str, timeout_s: float = COMMAND_S_MAX) -> str:
        return self.docker("compose", "--project-name", self.name, *words, timeout_s=timeout_s)

    async def apart(self, *words: str) -> str:
        """A compose command beside the load."""
        return await asyncio.to_thread(self.compose, *words)

    def up(self) -> None:
        """Returns when the application runs."""
        self.compose("build", "host-east-1", timeout_s=UP_S_MAX)
        self.compose("up", "--detach", "--no-build", timeout_s=UP_S_MAX)
        said = self.compose("logs", "--follow", "--no-color", "deploy")
        assert "deployed (everything runs)" in said, said

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "40")

    async def cut(self, cloud: str) -> None:
        """No connection is closed: the way to all other clouds is gone, and what was sent is not answered."""
        for service in self._of(cloud):
            name = f"{self.name}_between"
            await asyncio.to_thread(self.docker, "network", "disconnect", name, f"{self.name}-{service}-1")

    async def heal(self, cloud: str) -> None:
        """By the names that compose gave them."""
        for service in self._of(cloud):
            where = (f"{self.name}_between", f"{self.name}-{service}-1")
            await asyncio.to_thread(self.docker, "network", "connect", "--alias", service, *where)

    def _of(self, cloud: str) -> tuple[str, ...]:
        return (f"nats-{cloud}", f"host-{cloud}-1", f"host-{cloud}-2")

    def ask(self, *words: str) -> Any:
        """A command of the lattice, asked at the host that no drill breaks."""
        return json.loads(self.compose("exec", "--no-TTY", "host-west-2", "lattice", *words, "--output", "json"))

    def differences(self) -> str:
        """What is not as it should be: hosts, the state that they know, copies, the application."""
        try:
            inventories = self.ask("get", "inventory")
            status = self.ask("app", "status", "demo")
        except RuntimeError as error:
            return str(error)
        names = sorted(inventory["friendly_name"] for inventory in inventories)
        if names != ["east-1", "east-2", "west-1", "west-2"]:
            return f"hosts are {names}"
        if len({inventory["state"] for inventory in inventories}) > 1:
            return "hosts know different states"
        if status["status"] != "deployed":
            return f"demo is {status['status']}: {status['message']}"
        copies: dict[str, int] = {}
        for inventory in inventories:
            for item in inventory["components"]:
                copies[item["name"]] = copies.get(item["name"], 0) + item["max_instances"]
        return "" if set(copies.values()) == {4} else f"copies: {copies}"

    async def settled(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_S_MAX
        while found := await asyncio.to_thread(self.differences):
            assert loop.time() < deadline, f"after {SETTLE_S_MAX:g} s: {found}"
            await asyncio.sleep(0.5)
