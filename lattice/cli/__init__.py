"""The command line. One module per noun; each imports what it needs when its command runs, so that help is quick."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Annotated

import typer

from lattice import errors
from lattice.cli import (
    application,
    cache,
    call,
    claims,
    config,
    context,
    dev,
    doctor,
    drill,
    get,
    host,
    inspect,
    keys,
    label,
    link,
    new,
    pull,
    push,
    scale,
    secret,
    spy,
    start,
    stop,
    up,
    update,
)
from lattice.cli.build import build as build_actor
from lattice.cli.output import print_error
from lattice.cli.test import run_tests

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
"""What shells report for a program that Ctrl-C ended."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"lattice {version('nanolattice')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A host for small WebAssembly actors: business logic in, everything else from capability providers.

    \b
    Example:
      lattice up lattice.yaml
    """


def build() -> typer.Typer:
    """The program with all its commands."""
    program = typer.Typer(
        name="lattice",
        callback=_root,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    program.add_typer(new.build(), name="new")
    program.command("build")(build_actor)
    program.command("dev")(dev.dev)
    program.command("test")(run_tests)
    program.command("up")(up.up)
    program.command("host")(host.host)
    program.command("call")(call.call)
    program.command("inspect")(inspect.inspect)
    program.command("push")(push.push)
    program.command("pull")(pull.pull)
    program.add_typer(cache.build(), name="cache")
    program.add_typer(keys.build(), name="keys")
    program.add_typer(claims.build(), name="claims")
    program.command("doctor")(doctor.doctor)
    program.add_typer(application.build(), name="app")
    program.add_typer(get.build(), name="get")
    program.add_typer(start.build(), name="start")
    program.add_typer(stop.build(), name="stop")
    program.add_typer(scale.build(), name="scale")
    program.add_typer(update.build(), name="update")
    program.add_typer(link.build(), name="link")
    program.add_typer(config.build(), name="config")
    program.add_typer(secret.build(), name="secret")
    program.add_typer(label.build(), name="label")
    program.command("spy")(spy.spy)
    program.command("drill")(drill.drill)
    program.add_typer(context.build(), name="context")
    return program


def main() -> None:
    """Runs the command of `sys.argv` and exits: 0 on success only, 2 for wrong usage, 1 for everything else."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal with another encoding gets escapes where it has no letter, not a failure.
            stream.reconfigure(errors="backslashreplace")
    try:
        build()()
    except errors.LatticeError as error:
        if os.environ.get("LATTICE_DEBUG") == "1":
            traceback.print_exc()
        print_error(error)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if os.environ.get("LATTICE_DEBUG") == "1":
            raise
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        print("  this is a fault of lattice itself; LATTICE_DEBUG=1 shows where", file=sys.stderr)
        sys.exit(EXIT_FAILED)
