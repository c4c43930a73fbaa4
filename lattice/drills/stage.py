"""The stage of a drill: clouds with hosts, an application on them, a watcher, and load from outside."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from lattice import errors
from lattice.artifacts.images import Images
from lattice.control.lattice_client import LatticeClient
from lattice.control.peers import Peers
from lattice.control.state import HostSeen, Observed
from lattice.drills.clouds import Clouds
from lattice.drills.host_process import HostProcess
from lattice.drills.load import Entry, Load
from lattice.nats_server.server import free_port
from lattice.subjects import image_objects
from lattice.tasks import end_all
from lattice.transport.nats import NatsTransport, connect
from lattice.transport.nats_buckets import JetStream
from lattice.transport.settings import NatsSettings

APPLICATION = "drill"
ACTORS = ("echo", "ledger")
COPIES = 4
STREAM, SUBJECT, BUCKET = "DRILL", "drill.events", "DRILL"
MESSAGE_EVERY_S = 0.05
LOOK_S = 0.05
DEPLOY_S_MAX = 60.0
SETTLE_S_MAX = 15.0
"""How long after healing the state of all hosts may differ."""
DELIVER_S_MAX = 45.0
"""A host that died with a message in hand leaves it to another after the timeout of its link and ten seconds."""

Say = Callable[[str], None]


class Stage:
    """`async with Stage(folder, actors) as stage`: all of it is up, and ends at the end."""

    def __init__(self, actors: Path, say: Say, *, rate: float = 200.0, store_bytes_max: int = 0) -> None:
        """`actors` is the folder with echo.wasm and ledger.wasm of this project's actors."""
        self._actors = actors
        self._say = say
        self._rate = rate
        self._store_bytes_max = store_bytes_max
        self._folder = Path(tempfile.mkdtemp(prefix="lattice-drill-"))
        self.clouds = Clouds(self._folder, ("east", "west"), "witness")
        self.ports: dict[str, int] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._publisher: asyncio.Task[None] | None = None
        self._version = ""
        self.published: list[str] = []
        self.left_over: list[str] = []

    async def __aenter__(self) -> Stage:
        try:
            await self._set_up()
        except BaseException:
            await self._tear_down()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._tear_down()

    async def _set_up(self) -> None:
        self._say("starting two clouds and a witness")
        await self.clouds.start_servers(store_bytes_max=self._store_bytes_max)
        servers = self.clouds.servers
        urls = tuple(servers[site].url for site in ("witness", "east", "west"))
        self.transport: NatsTransport = await connect(NatsSettings(urls=urls, name="drill"))
        self.jetstream = JetStream(self.transport, "")
        stream = {"name": STREAM, "subjects": [SUBJECT], "storage": "file"}
        await self.jetstream.ensure(stream, None)
        await self.transport.bucket(BUCKET)
        for cloud in self.clouds.clouds:
            self.ports[cloud] = free_port()
            nats = ",".join(self.clouds.urls(cloud))
            self.clouds.add_host(
                f"{cloud}-entry", cloud, {"role": "entry", "port": str(self.ports[cloud]), "nats": nats}
            )
            for number in (1, 2):
                self.clouds.add_host(f"{cloud}-{number}", cloud, {"role": "work", "nats": nats})
        self._say(f"starting {len(self.clouds.hosts)} hosts")
        for host in self.clouds.hosts.values():
            await host.start()
        lattice = self.clouds.lattice
        self.client = LatticeClient(self.transport, lattice)
        self.peers = Peers(self.transport, lattice, "drill", "drill", lambda: HostSeen(key="drill"))
        await self.peers.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="watch")
        self._say("deploying the application")
        await self.deploy("v1")
        entries = [Entry(f"{cloud}", self.url(cloud)) for cloud in self.clouds.clouds]
        first, second = self.clouds.clouds
        entries.append(Entry("either, west first", self.url(second), (self.url(first),)))
        self.load = Load(entries, self._rate, "/echo", "/ledger")

    def url(self, cloud: str) -> str:
        return f"http://127.0.0.1:{self.ports[cloud]}"

    async def put(self, version: str, limits: dict[str, str] | None = None) -> None:
        """Stores a version, with its images. Raises `errors.LatticeError`."""
        images = Images(self._folder / "images", lambda: self.transport.objects(image_objects(self.clouds.lattice)))
        references = {name: await images.put(self._actors / name / f"{name}.wasm") for name in ACTORS}
        document = manifest(version, references, limits or {})
        await self.client.app("put", body=json.dumps(document).encode())

    async def deploy(self, version: str, limits: dict[str, str] | None = None) -> None:
        """Puts and deploys a version, and waits until it runs everywhere."""
        await self.put(version, limits)
        await self.client.app("deploy", APPLICATION, json.dumps({"version": version}).encode())
        self._version = version
        await self.until("the application to run", self.is_deployed, DEPLOY_S_MAX)

    async def is_deployed(self) -> bool:
        try:
            status = (await self.client.app("status", APPLICATION, timeout_s=5))["application"]
        except errors.LatticeError:
            return False
        return (status["status"], status["version"]) == ("deployed", self._version)

    async def start_load(self) -> None:
        self._say(f"{self._rate:g} requests a second at {len(self.load.entries)} entries")
        await self.load.start()
        self._publisher = asyncio.create_task(self._publish(), name="publisher")

    async def stop_load(self) -> None:
        if self._publisher is not None:
            await end_all((self._publisher,))
        await self.load.stop()

    async def _publish(self) -> None:
        """Messages with an acknowledgement: those that get one are to be delivered, whatever happens."""
        number = 0
        while True:
            number += 1
            await asyncio.sleep(MESSAGE_EVERY_S)
            try:
                await self.jetstream.write(SUBJECT, str(number).encode(), None, 2.0)
            except errors.LatticeError:
                continue
            self.published.append(f"/messages/{number}")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.peers.sweep()

    # What is seen.

    @property
    def observed(self) -> Observed:
        return self.peers.observed

    def copies(self, key: str) -> int:
        """How many copies run on hosts that give signs of life."""
        found = (host.actors.get(key) for host in self.observed.hosts.values() if not host.draining)
        return sum(actor.count for actor in found if actor is not None)

    def has_everything(self) -> bool:
        return all(self.copies(f"{APPLICATION}-{name}") == COPIES for name in ACTORS)

    def share_of(self, host: HostProcess) -> int:
        seen = self.observed.hosts.get(host.key)
        return sum(actor.count for actor in seen.actors.values()) if seen is not None else 0

    async def until(self, what: str, condition: Callable[[], Any], within_s: float) -> float:
        """Waits for a condition, plain or a coroutine function; returns how long it took. Raises
        `errors.DeadlineExceeded`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return loop.time() - began
            if loop.time() - began > within_s:
                raise errors.DeadlineExceeded(f"waited {within_s:g} s for {what}")
            await asyncio.sleep(LOOK_S)

    async def state_is_equal(self) -> bool:
        """Whether every host knows the same stored state, everything wanted runs, and nothing more."""
        expected = {host.key for host in self.clouds.hosts.values() if host.running}
        try:
            inventories = await self.client.inventories()
        except errors.LatticeError:
            return False
        if {inventory.host_id for inventory in inventories} != expected:
            return False
        counts = {f"{APPLICATION}-{name}": 0 for name in ACTORS}
        for inventory in inventories:
            for item in inventory.components:
                counts[item.id] = counts.get(item.id, 0) + item.max_instances
        same = len({inventory.state for inventory in inventories}) == 1
        return same and all(count == COPIES for count in counts.values()) and await self.is_deployed()

    async def missing(self) -> list[str]:
        """What was acknowledged and is not there, asked for at an entry that lives."""
        wanted = [*self.load.acknowledged, *self.published]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DELIVER_S_MAX
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while True:
                room = asyncio.Semaphore(16)

                async def is_there(path: str, room: asyncio.Semaphore = room) -> bool:
                    async with room, session.get(self.url(self.clouds.clouds[0]) + path) as response:
                        return response.status == 200

                there = await asyncio.gather(*(is_there(path) for path in wanted))
                wanted = [path for path, found in zip(wanted, there, strict=True) if not found]
                if not wanted or loop.time() > deadline:
                    return wanted
                await asyncio.sleep(1)

    async def _tear_down(self) -> None:
        self._say("ending hosts and servers")
        for task in (self._sweeper, self._publisher):
            if task is not None:
                await end_all((task,))
        if hasattr(self, "peers"):
            await self.peers.stop()
        self.left_over = await self.clouds.stop()
        if hasattr(self, "transport"):
            await self.transport.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def manifest(version: str, references: dict[str, str], limits: dict[str, str]) -> dict[str, Any]:
    """The application of the drills: an actor that answers, one that keeps, four copies of each over two clouds; HTTP
    at each cloud's entry; keys and messages in JetStream."""
    half = [
        {"name": cloud, "requirements": {"cloud": cloud, "role": "work"}, "weight": 50} for cloud in ("east", "west")
    ]
    spread = {"type": "spreadscaler", "properties": {"instances": COPIES, "spread": half}}
    works = {"type": "daemonscaler", "properties": {"spread": [{"name": "work", "requirements": {"role": "work"}}]}}
    enters = {"type": "daemonscaler", "properties": {"spread": [{"name": "entry", "requirements": {"role": "entry"}}]}}
    nats = {"url": "${label:nats}"}

    def link(target: str, package: str, **more: Any) -> dict[str, Any]:
        return {"type": "link", "properties": {"target": target, "namespace": "wasmcloud", "package": package, **more}}

    def route(target: str, path: str) -> dict[str, Any]:
        config = {"address": "127.0.0.1:${label:port}", "path": path, "timeout": "20"}
        return link(target, "httpserver", name=path.strip("/"), source_config=config)

    def actor(name: str, *traits: dict[str, Any]) -> dict[str, Any]:
        properties = {"image": references[name], "limits": {"time": "19s", **limits}}
        return {"name": name, "type": "component", "properties": properties, "traits": [spread, *traits]}

    def provider(name: str, image: str, config: dict[str, str], *traits: dict[str, Any]) -> dict[str, Any]:
        properties: dict[str, Any] = {"image": f"builtin://{image}"}
        if config:
            properties["config"] = config
        return {"name": name, "type": "capability", "properties": properties, "traits": list(traits)}

    events = {
        "subscriptions": SUBJECT,
        "stream": STREAM,
        "durable": "ledger",
        "concurrency": "4",
        "deliveries_max": "100",
        "timeout": "10",
    }
    components = [
        actor("echo"),
        actor("ledger", link("keys", "keyvalue", target_config={"bucket": BUCKET})),
        provider("keys", "keyvalue-nats", {**nats, "timeout_s": "18"}, works),
        provider(
            "http",
            "http-server",
            {},
            enters,
            route("echo", "/echo"),
            route("ledger", "/ledger"),
            route("ledger", "/messages"),
        ),
        provider("events", "messaging-nats", nats, enters, link("ledger", "messaging", source_config=events)),
    ]
    return {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": APPLICATION, "annotations": {"version": version}},
        "spec": {"components": components},
    }
