"""`lattice dev`: an actor's project, running while it is written."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lattice import errors
from lattice.cli.build import ProjectArgument, size
from lattice.cli.output import Format, FormatOption, print_error, print_json, styled

if TYPE_CHECKING:
    from lattice.authoring.building import Built
    from lattice.authoring.observing import Answered
    from lattice.authoring.project import Project

ACTOR_LOG = "lattice.actor."


def dev(
    project: ProjectArgument = Path(),
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="For HTTP.", show_default="app.yaml's, else any")
    ] = 0,
    output: FormatOption = Format.TEXT,
) -> None:
    """Build and run an actor's project, and again after every saved change, until Ctrl-C.

    What the actor uses is linked to providers in this process, without being told: keys, objects and tables are kept in
    the project's .lattice. A change is served without losing a request or any state. What fails to build is told, and
    what ran before goes on.

    \b
    Example:
      lattice dev shop
    """
    import asyncio

    from lattice.authoring.project import load
    from lattice.cli.serve import loop_factory, require_drained
    from lattice.config import LINES_VARIABLE

    found = load(project)
    os.environ.setdefault(LINES_VARIABLE, "1")
    screen = TerminalScreen(found.name, output)
    screen.take_logs()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        drained = runner.run(_serve(found, port, screen))
    require_drained(drained)


async def _serve(project: Project, port: int, screen: TerminalScreen) -> bool:
    """Runs until a signal; False when draining cut calls off."""
    from lattice.authoring.devloop import DevLoop
    from lattice.cli.serve import stop_on_signals, unless
    from lattice.config import default_cache
    from lattice.control.local import LocalServer
    from lattice.host import Host, HostSettings

    stopping = stop_on_signals()
    host = Host(HostSettings(data=project.own_folder, cache=default_cache(), name=project.name))
    control = LocalServer(project.own_folder, host.agent.answer)
    try:
        try:
            await control.start()  # first: it locks the folder
        except errors.ConfigError as error:
            if not isinstance(error.__cause__, BlockingIOError):
                raise
            raise errors.ConfigError(
                f"another lattice dev or lattice up runs {project.folder}", remedy="end it first"
            ) from error
        await host.start()
        await unless(stopping, DevLoop(project.folder, host, screen, port).run())
        screen.line("draining; press Ctrl-C again to stop at once")
    finally:
        drained = await host.stop()
        await control.close()
    screen.line("stopped")
    return drained


class TerminalScreen:
    """A `Screen` of lines: on standard output, or on standard error when that is for a document."""

    def __init__(self, name: str, output: Format) -> None:
        self._name = name
        self._output = output
        self._stream = sys.stderr if output is Format.JSON else sys.stdout

    def line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def error(self, error: errors.LatticeError) -> None:
        print_error(error)
        sys.stderr.flush()

    def answered(self, call: Answered) -> None:
        clock = time.strftime("%H:%M:%S")
        outcome = styled(call.outcome, "31" if call.failed else "32", self._stream)
        self.line(f"{clock} {printable(call.what)} {outcome} {call.milliseconds:.1f} ms")
        for line in call.detail.splitlines():
            self.line(f"         {printable(line)}")

    def serving(self, urls: list[str], built: Built, seconds: float, first: bool) -> None:
        uses = ", ".join(built.contracts) or "no contracts"
        self.line(f"{self._name} {built.revision}: {size(built.size)}, built in {built.seconds:.2f} s, uses {uses}")
        if not first:
            self.line(f"serving the change after {seconds:.2f} s")
            return
        for url in urls:
            self.line(styled(url, "1", self._stream))
        if self._output is Format.JSON:
            print_json({"name": self._name, "urls": urls})
            sys.stdout.flush()
        self.line(f"serving after {seconds:.2f} s; saved changes run at once, Ctrl-C ends")

    def take_logs(self) -> None:
        """What the actor writes, and warnings of everything else, become lines here."""
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(_Lines("%(asctime)s %(message)s", "%H:%M:%S"))
        handler.addFilter(_is_for_authors)
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
        logging.getLogger(ACTOR_LOG.rstrip(".")).setLevel(logging.DEBUG)
        logging.captureWarnings(True)


class _Lines(logging.Formatter):
    """An actor's lines with their level; others with who says them."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        clock, _, message = text.partition(" ")
        if record.name.startswith(ACTOR_LOG):
            return f"{clock} log {record.levelname.lower()}: {message}"
        return f"{clock} {record.name}: {message}"


def _is_for_authors(record: logging.LogRecord) -> bool:
    return record.name.startswith(ACTOR_LOG) or record.levelno >= logging.WARNING


def printable(text: str) -> str:
    """Without what could steer the terminal: paths and texts of strangers are in it."""
    return "".join(character if character.isprintable() else " " for character in text)
