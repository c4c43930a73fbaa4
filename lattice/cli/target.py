"""Which running host a command talks to: the data folder, given itself or found beside a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA_NAME = ".lattice"

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="LATTICE_DATA",
        help="The host's data folder.",
        show_default=f"{DATA_NAME} beside the manifest, else here",
    ),
]
ManifestOption = Annotated[
    Path | None, typer.Option("--manifest", help=f"The host's manifest; its data folder is {DATA_NAME} beside it.")
]


def data_folder(data: Path | None, manifest: Path | None) -> Path:
    """The folder itself where it is given, else beside the manifest, else here."""
    if data is not None:
        return data
    return (manifest.parent if manifest is not None else Path()) / DATA_NAME
