"""What every command that reaches registries has: its options, and a bar of progress on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lattice.artifacts.settings import RegistrySettings

InsecureRegistryOption = Annotated[
    list[str] | None,
    typer.Option("--insecure-registry", help="HOST:PORT of a registry without TLS; may be given several times."),
]
RegistryCaOption = Annotated[
    Path | None, typer.Option("--registry-ca", help="Who signed the certificates of private registries: a PEM file.")
]
RegistryPrivateHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--registry-private-host",
        help="Host with a private address that registries may send this one to; may be given several times.",
    ),
]


def registries(insecure: list[str] | None, ca: Path | None, private: list[str] | None) -> RegistrySettings:
    """What the options and the variables say. Raises `errors.ConfigError`."""
    from lattice.artifacts.settings import registry_settings

    return registry_settings(os.environ, insecure=insecure or (), private=private or (), ca=ca)


def options_of(settings: RegistrySettings) -> list[str]:
    """The same for a child. Logins are not among them: arguments are for everybody to see."""
    words = [word for name in sorted(settings.insecure) for word in ("--insecure-registry", name)]
    words += [word for name in sorted(settings.private) for word in ("--registry-private-host", name)]
    return words + (["--registry-ca", str(settings.ca)] if settings.ca is not None else [])


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gets bytes that are done, and of how many; shows them where people look, and nowhere else."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda done, size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, size: shown.update(task, completed=done, total=size)
