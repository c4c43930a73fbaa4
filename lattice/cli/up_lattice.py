"""`lattice up` on a lattice: as one of its hosts, or as several on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lattice.cli import deploying
from lattice.cli.lattice_app import WAIT_S
from lattice.cli.output import Format, print_json
from lattice.cli.serve import serve_lattice, stop_on_signals
from lattice.cli.up import Progress, answers
from lattice.cli.workers import serve_workers, spread_over_workers

if TYPE_CHECKING:
    from lattice.control.lattice_client import LatticeClient
    from lattice.control.manifest import Application
    from lattice.host import Host, HostSettings
    from lattice.supervisor import Installed
    from lattice.transport.nats import NatsTransport
    from lattice.transport.settings import NatsSettings


async def serve_joined(
    application: Application,
    manifest: Path,
    settings: HostSettings,
    nats: NatsSettings | None,
    port: int,
    progress: Progress,
) -> bool:
    """One host. Returns False when draining cut calls off."""

    async def ready(host: Host, transport: NatsTransport, url: str) -> None:
        from lattice.control.lattice_client import LatticeClient

        progress.line(f"joined the lattice {settings.lattice} at {url} as {host.identity.name} ({host.key})")
        client = LatticeClient(transport, settings.lattice)
        await _deploy(client, transport, settings.lattice, application, deploying.read(manifest), progress)

    drained = await serve_lattice(settings, nats, port, stop_on_signals(), ready)
    progress.line("stopped")
    return drained


async def serve_workers_with(
    application: Application,
    installed: Installed,
    settings: HostSettings,
    nats: NatsSettings | None,
    port: int,
    count: int,
    log_level: str,
    progress: Progress,
) -> bool:
    """Several hosts. Returns False when draining cut calls off."""
    from lattice.control.manifest.writer import to_text

    spread = spread_over_workers(application, installed)

    async def ready(client: LatticeClient, transport: NatsTransport) -> None:
        progress.line(f"{count} workers run")
        await _deploy(client, transport, settings.lattice, spread, to_text(spread), progress)

    stopping = stop_on_signals()
    drained = await serve_workers(count, settings, nats, port, log_level, stopping, ready)
    progress.line("stopped")
    return drained


async def _deploy(
    client: LatticeClient,
    transport: NatsTransport,
    lattice: str,
    application: Application,
    text: str,
    progress: Progress,
) -> None:
    """Puts and deploys, waits, and tells where it can be reached."""
    import sys

    from lattice.cli.lattice_app import image_store

    images = image_store(transport, lattice, None)
    stored = await deploying.put(client, images, application, text, progress.line)
    name, version = stored["name"], stored["current_version"]
    await deploying.deploy(client, name, version, wait_s=WAIT_S, report=progress.line)
    urls: list[str] = []
    inventories: list[Any] = await client.inventories()
    for inventory in inventories:
        for provider in inventory.providers:
            urls += [url for url in provider.urls if url not in urls]
    for url in urls:
        if await answers(url):
            progress.line(url)
    if progress.output is Format.JSON:
        hosts = [inventory.host_id for inventory in inventories]
        print_json({"application": name, "version": version, "hosts": hosts, "urls": urls})
        sys.stdout.flush()
    progress.line(f"{name} is up; Ctrl-C drains and stops")
