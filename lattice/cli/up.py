"""`lattice up`: one host with everything a manifest names, in the foreground."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from lattice import errors
from lattice.cli.host import HostNatsOption, LabelsOption, NameOption, NatsPortOption
from lattice.cli.logs import LogFormat, LogLevel, configure, keep_out
from lattice.cli.output import Format, FormatOption, print_error, print_json, styled
from lattice.cli.registry import (
    InsecureRegistryOption,
    RegistryCaOption,
    RegistryPrivateHostOption,
    options_of,
    registries,
)
from lattice.cli.security import ClusterKeyOption, SecurityOption, TrustOption, UnsignedOption, given
from lattice.cli.target import CredsOption, DataOption, LatticeOption, data_folder

if TYPE_CHECKING:
    import asyncio

    from lattice.control.manifest import Application
    from lattice.host import Host, HostSettings
    from lattice.security.settings import SecuritySettings

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
    trust: TrustOption = None,
    allow_unsigned: UnsignedOption = False,
    cluster_key: ClusterKeyOption = None,
    security: SecurityOption = None,
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

    Modules with a valid signature run, whoever signed them, and unsigned ones with a warning. --trust and --security
    say otherwise.

    \b
    Example:
      lattice up lattice.yaml
    """
    import asyncio

    from lattice.cli.host import host_settings, joined
    from lattice.cli.serve import EMBEDDED, loop_factory, require_drained
    from lattice.control.manifest import load
    from lattice.control.settings_check import check_application
    from lattice.supervisor import Installed

    configure(log_level, log_format)
    progress, installed = Progress(output), Installed()
    progress.line(f"loading {manifest}")
    application = load(manifest, installed)
    check_application(application, installed.type)
    trusting = given(security, trust, allow_unsigned, cluster_key)
    reachable = registries(insecure_registry, registry_ca, registry_private_host)
    folder, called = data_folder(data, manifest), name or application.name
    settings = host_settings(folder, called, label, trusting, reachable, own_machine=True)
    read_again = trusting.read_again(own_machine=True)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        if workers == 1 and nats is None and context is None:
            drained = runner.run(_serve(application, settings, progress, read_again))
        else:
            from lattice.cli.up_lattice import Joining, serve_on_lattice

            place = nats or (None if context else EMBEDDED)
            if place != EMBEDDED and not trusting.says_whose_actors:
                progress.line("this host runs anybody's actors, signed or not, in a lattice of others: give --trust")
            joining = Joining(*joined(settings, place, lattice, context, creds), nats_port, read_again)
            options = [*trusting.words(), *options_of(reachable), "--log-level", log_level.value]
            serving = serve_on_lattice(application, manifest, installed, joining, workers, options, progress)
            drained = runner.run(serving)
    require_drained(drained)


class Progress:
    """Lines for people: on standard output, or on standard error when that is for a document."""

    def __init__(self, output: Format) -> None:
        self.output = output
        self.stream = sys.stderr if output is Format.JSON else sys.stdout

    def line(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


async def _serve(
    application: Application,
    settings: HostSettings,
    progress: Progress,
    read_again: Callable[[], SecuritySettings] | None,
) -> bool:
    """Runs until a signal; False when draining cut calls off."""

    from lattice.cli.serve import reload_on_hangup, stop_on_signals
    from lattice.control.local import LocalServer
    from lattice.host import Host

    stopping = stop_on_signals()
    host = Host(settings)
    keep_out(host.redactor)
    reload_on_hangup(read_again, host.reload)
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
    from lattice.cli.serve import unless

    if await unless(stopping, host.deploy(application, progress.line)) is None:
        return False
    progress.line(f"linked {len(application.links)} links" if len(application.links) != 1 else "linked 1 link")
    return True


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
