"""`lattice up`: one host with everything a manifest names, in the foreground."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from lattice import errors
from lattice.cli.logs import LogFormat, LogLevel, configure
from lattice.cli.output import Format, FormatOption, print_error, print_json, styled
from lattice.cli.target import DataOption, data_folder

if TYPE_CHECKING:
    import asyncio

    from lattice.control.manifest import Application
    from lattice.host import Host

ANSWER_S_MAX = 5.0
"""How long `up` waits for an address to accept connections before it says that it does not."""
EXIT_AT_ONCE = 130


def up(
    manifest: Annotated[Path, typer.Argument(help="A manifest.", show_default=False)],
    data: DataOption = None,
    log_level: Annotated[LogLevel, typer.Option(help="The least level that is logged.")] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines look, on standard error.")] = LogFormat.TEXT,
    output: FormatOption = Format.TEXT,
) -> None:
    """Run one host with everything a manifest names, until Ctrl-C or SIGTERM.

    The first signal drains: nothing new is taken in and what runs may finish. A second one ends at once. With -o json
    one document is printed when everything is up, and progress goes to standard error.

    \b
    Example:
      lattice up lattice.yaml
    """
    import asyncio

    from lattice.control.manifest import load
    from lattice.control.settings_check import check_application
    from lattice.supervisor import Installed

    configure(log_level, log_format)
    progress = Progress(output)
    progress.line(f"loading {manifest}")
    installed = Installed()
    application = load(manifest, installed)
    check_application(application, installed.type)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        drained = runner.run(_serve(application, data_folder(data, manifest), progress))
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


async def _serve(application: Application, data: Path, progress: Progress) -> bool:
    """Runs until a signal; False when draining cut calls off."""
    import asyncio
    import signal

    from lattice.config import default_cache
    from lattice.control.local import LocalServer
    from lattice.host import Host, HostSettings

    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(EXIT_AT_ONCE)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    host = Host(HostSettings(data=data, cache=default_cache(), name=application.name))
    control = LocalServer(data, host.agent.answer)
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
            if await _accepts(url):
                urls.append(url)
                progress.line(styled(url, "1", progress.stream))
            else:
                print_error(errors.ProviderUnavailable(f"{url} does not accept connections"))
    if progress.output is Format.JSON:
        print_json({"application": application.name, "host_id": host.key, "urls": urls})
        sys.stdout.flush()
    progress.line(f"{application.name} is up; Ctrl-C drains and stops")


async def _accepts(url: str) -> bool:
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
