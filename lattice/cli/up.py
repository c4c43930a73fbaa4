"""`lattice up`: one host with everything a manifest names, in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from lattice import errors
from lattice.cli.host import HostNatsOption, LabelsOption, NameOption, NatsPortOption
from lattice.cli.logs import LogFormat, LogLevel, configure
from lattice.cli.output import Format, FormatOption, print_error, print_json, styled
from lattice.cli.registry import InsecureRegistryOption, RegistryCaOption, RegistryPrivateHostOption, registries
from lattice.cli.target import CredsOption, DataOption, LatticeOption, data_folder

if TYPE_CHECKING:
    import asyncio

    from lattice.control.manifest import Application
    from lattice.host import Host, HostSettings

ANSWER_S_MAX = 5.0
"""How long `up` waits for an address to accept connections before it says that it does not."""


def up(
    manifest: Annotated[Path, typer.Argument(help="A manifest.", show_default=False)],
    data: DataOption = None,
    nats: HostNatsOption = None,
    lattice: LatticeOption = None,
    name: NameOption = "",
    label: LabelsOption = None,
    nats_port: NatsPortOption = 0,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Hosts on this machine, one a core.")] = 1,
    context: Annotated[str | None, typer.Option("--context", help="A saved context, to join its lattice.")] = None,
    creds: CredsOption = None,
    insecure_registry: InsecureRegistryOption = None,
    registry_ca: RegistryCaOption = None,
    registry_private_host: RegistryPrivateHostOption = None,
    log_level: Annotated[LogLevel, typer.Option(help="The least level that is logged.")] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines look, on standard error.")] = LogFormat.TEXT,
    output: FormatOption = Format.TEXT,
) -> None:
    """Run a host with everything a manifest names, until Ctrl-C or SIGTERM.

    Alone it needs nothing else. With --nats it joins a lattice, deploys the manifest there and stays as one of its
    hosts; with --nats embedded it brings the server that others here can join by. With --workers it is several hosts
    that share the load and the HTTP port.

    The first signal drains: nothing new is taken in and what runs may finish. A second one ends at once. With -o json
    one document is printed when everything is up, and progress goes to standard error.

    \b
    Example:
      lattice up lattice.yaml
    """
    import asyncio

    import msgspec

    from lattice.cli.host import joining, parse_labels
    from lattice.config import default_cache
    from lattice.control.manifest import load
    from lattice.control.settings_check import check_application
    from lattice.host import HostSettings
    from lattice.supervisor import Installed

    configure(log_level, log_format)
    progress = Progress(output)
    progress.line(f"loading {manifest}")
    installed = Installed()
    application = load(manifest, installed)
    check_application(application, installed.type)
    folder = data_folder(data, manifest)
    reachable = registries(insecure_registry, registry_ca, registry_private_host)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        if workers == 1 and nats is None and context is None:
            settings = HostSettings(
                data=folder,
                cache=default_cache(),
                name=name or application.name,
                labels=parse_labels(label),
                registries=reachable,
            )
            drained = runner.run(_serve(application, settings, progress))
        else:
            from lattice.cli.up_lattice import serve_joined, serve_workers_with

            place = nats or (None if context else "embedded")
            settings, reached = joining(place, lattice, context, creds, name or application.name, label, folder)
            settings = msgspec.structs.replace(settings, registries=reachable)
            if workers == 1:
                drained = runner.run(serve_joined(application, manifest, settings, reached, nats_port, progress))
            else:
                drained = runner.run(
                    serve_workers_with(
                        application, installed, settings, reached, nats_port, workers, log_level.value, progress
                    )
                )
    if not drained:
        raise errors.DeadlineExceeded("some calls had not ended when the time to drain was over; they were cut off")


class Progress:
    """Lines for people: on standard output, or on standard error when that is for a document."""

    def __init__(self, output: Format) -> None:
        self.output = output
        self.stream = sys.stderr if output is Format.JSON else sys.stdout

    def line(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on this platform; the standard loop does the same, slower
        return None
    return uvloop.Loop


async def _serve(application: Application, settings: HostSettings, progress: Progress) -> bool:
    """Runs until a signal; False when draining cut calls off."""

    from lattice.cli.serve import stop_on_signals
    from lattice.control.local import LocalServer
    from lattice.host import Host

    stopping = stop_on_signals()
    host = Host(settings)
    control = LocalServer(settings.data, host.agent.answer)
    try:
        await control.start()  # first: it locks the data folder
        await host.start()
        if await _deploy(host, application, stopping, progress):
            await _announce(host, application, progress)
            await stopping.wait()
        progress.line("draining; press Ctrl-C again to stop at once")
    finally:
        drained = await host.stop()
        await control.close()
    progress.line("stopped")
    return drained


async def _deploy(host: Host, application: Application, stopping: asyncio.Event, progress: Progress) -> bool:
    """Puts the application up; False when a signal came before it was."""
    import asyncio

    deploying = asyncio.create_task(host.deploy(application, progress.line), name="deploy")
    stop = asyncio.create_task(stopping.wait(), name="stop")
    try:
        await asyncio.wait((deploying, stop), return_when=asyncio.FIRST_COMPLETED)
        if not deploying.done():
            deploying.cancel()
            await asyncio.gather(deploying, return_exceptions=True)
            return False
        await deploying
        progress.line(f"linked {len(application.links)} links" if len(application.links) != 1 else "linked 1 link")
        return True
    finally:
        stop.cancel()


async def _announce(host: Host, application: Application, progress: Progress) -> None:
    """Each address when it accepts connections, and each provider that does not run with the reason."""
    urls: list[str] = []
    for provider in host.supervisor:
        if provider.status != "running":
            message = f"{provider.name} is {provider.status}: {provider.cause}"
            print_error(errors.ProviderUnavailable(message, remedy="it is tried again until it runs"))
        for url in provider.urls():
            if await answers(url):
                urls.append(url)
                progress.line(styled(url, "1", progress.stream))
            else:
                print_error(errors.ProviderUnavailable(f"{url} does not accept connections"))
    if progress.output is Format.JSON:
        print_json({"application": application.name, "host_id": host.key, "urls": urls})
        sys.stdout.flush()
    progress.line(f"{application.name} is up; Ctrl-C drains and stops")


async def answers(url: str) -> bool:
    """Whether something accepts connections at `url`; it is not called, because a call may have effects.

    A name that a route is for is taken as it is: it may be known to clients only, or lead to a proxy before this host.
    """
    import asyncio

    parts = urlsplit(url)
    if not _is_here(parts.hostname or ""):
        return True
    port = parts.port or (443 if parts.scheme == "https" else 80)
    deadline = asyncio.get_running_loop().time() + ANSWER_S_MAX
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                _, writer = await asyncio.open_connection(parts.hostname, port)
        except TimeoutError:
            return False
        except OSError:
            if asyncio.get_running_loop().time() + 0.05 > deadline:
                return False
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return True


def _is_here(host: str) -> bool:
    """Whether a URL's host is an address, and so this machine's."""
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
