"""`lattice up` on a lattice: as one of its hosts, or as several on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

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
    from lattice.security.settings import SecuritySettings
    from lattice.supervisor import Installed
    from lattice.transport.nats import NatsTransport
    from lattice.transport.settings import NatsSettings


class Joining(msgspec.Struct, frozen=True):
    """What a host is made with, and the way to its lattice; `nats` None is the embedded server at `port` (0: any).
    `read_again` reads on SIGHUP what is trusted."""

    settings: HostSettings
    nats: NatsSettings | None
    port: int
    read_again: Callable[[], SecuritySettings] | None


async def serve_on_lattice(
    application: Application,
    manifest: Path,
    installed: Installed,
    joining: Joining,
    count: int,
    options: list[str],
    progress: Progress,
) -> bool:
    """One host, or `count` workers that are each started with these options besides their own. Returns False when
    draining cut calls off."""
    if count == 1:
        return await _serve_joined(application, manifest, joining, progress)
    return await _serve_workers(spread_over_workers(application, installed), joining, count, options, progress)


async def _serve_joined(application: Application, manifest: Path, joining: Joining, progress: Progress) -> bool:
    settings = joining.settings

    async def ready(host: Host, transport: NatsTransport, url: str) -> None:
        from lattice.control.lattice_client import LatticeClient

        progress.line(f"joined the lattice {settings.lattice} at {url} as {host.identity.name} ({host.key})")
        client = LatticeClient(transport, settings.lattice, settings.security.cluster.signing)
        await _deploy(client, transport, settings.lattice, application, deploying.read(manifest, application), progress)

    drained = await serve_lattice(settings, joining.nats, joining.port, stop_on_signals(), ready, joining.read_again)
    progress.line("stopped")
    return drained


async def _serve_workers(
    spread: Application, joining: Joining, count: int, options: list[str], progress: Progress
) -> bool:
    from lattice.control.manifest.writer import to_text

    async def ready(client: LatticeClient, transport: NatsTransport) -> None:
        progress.line(f"{count} workers run")
        await _deploy(client, transport, joining.settings.lattice, spread, to_text(spread), progress)

    stopping = stop_on_signals()
    drained = await serve_workers(
        count, joining.settings, joining.nats, joining.port, options, stopping, ready, joining.read_again
    )
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
