"""`lattice drill`: failover, rehearsed on this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from lattice import errors
from lattice.cli.logs import LogFormat, LogLevel, configure
from lattice.cli.output import Format, FormatOption, print_json, print_table

ACTORS = Path("actors")


def drill(
    name: Annotated[str, typer.Argument(help="A drill, all, or list.", show_default=False)],
    rate: Annotated[float, typer.Option("--rate", min=1, max=2000, help="Requests a second, over all entries.")] = 200,
    actors: Annotated[
        Path, typer.Option("--actors", help="The folder with this project's actors, echo and ledger.")
    ] = ACTORS,
    output: FormatOption = Format.TEXT,
) -> None:
    """Start two clouds and a witness on this machine, break something under load, heal it, and report.

    Real nats-servers and hosts on loopback, and load from outside of them. The exit code says whether every promise was
    kept. With -o json one document is printed, a list for all.

    \b
    Example:
      lattice drill lose-host
    """
    import asyncio

    from lattice.cli.serve import loop_factory
    from lattice.drills.drills import DRILLS, perform
    from lattice.drills.report import as_document, as_text

    if name == "list":
        if output is Format.JSON:
            print_json([{"name": one.name, "about": one.about} for one in DRILLS.values()])
        else:
            print_table(("drill", "what breaks"), [[one.name, one.about] for one in DRILLS.values()])
        return
    if name != "all" and name not in DRILLS:
        raise errors.ConfigError(f"there is no drill {name!r}", remedy=f"there are {', '.join(DRILLS)}, and all")
    if not (actors / "ledger" / "ledger.wasm").is_file():
        raise errors.ConfigError(
            f"{actors} has no echo and ledger",
            remedy="run it in a clone of the project, or name the folder with --actors",
        )
    configure(LogLevel.ERROR, LogFormat.TEXT)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)

    reports = []
    for one in DRILLS.values() if name == "all" else (DRILLS[name],):
        say(f"drill {one.name}: {one.about}")
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            report = runner.run(perform(one, actors.absolute(), say, rate))
        reports.append(report)
        if output is Format.TEXT:
            print(f"\n{as_text(report)}\n")
    if output is Format.JSON:
        documents = [as_document(report) for report in reports]
        print_json(documents if name == "all" else documents[0])
    if not all(report.kept for report in reports):
        raise typer.Exit(1)
