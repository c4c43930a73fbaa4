"""`lattice update`: changes what a running host runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.start import stored
from lattice.cli.target import (
    ContextOption,
    DataOption,
    LatticeOption,
    ManifestOption,
    NatsOption,
    connected,
    data_folder,
)

UPDATE_S_MAX = 120.0
"""A large image compiles for some ten seconds and may take another 30 to start; a host that needs longer is stuck."""


def build() -> typer.Typer:
    group = typer.Typer(
        help="Change what a running host runs.\n\n\b\nExample:\n  lattice update actor counter counter.wasm",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.callback()(_group)
    group.command("actor")(actor)
    return group


def _group() -> None:
    pass


def actor(
    target: Annotated[str, typer.Argument(help="Key, call alias or component name of an actor.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="The new image, a .wasm file.", show_default=False)],
    data: DataOption = None,
    manifest: ManifestOption = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Put a new image in the place of a running actor's, without a call failing.

    The old image finishes the calls it has. One that cannot be read, compiled or started changes nothing: the reason is
    printed and the old one keeps serving. The manifest stays as it is.

    \b
    Example:
      lattice update actor counter counter.wasm
    """
    import asyncio

    from lattice.cli.target import nats_settings
    from lattice.control.client import LocalClient

    async def ask() -> Any:
        async with LocalClient(data_folder(data, manifest)) as client:
            # The host reads the file, and its working folder is another.
            arguments = {"target": target, "image": str(file.absolute())}
            return await client.ask("update", arguments, UPDATE_S_MAX)

    async def ask_lattice() -> list[dict[str, Any]]:
        async with connected(nats, lattice, context) as (client, transport):
            return await client.update(target, await stored(transport, lattice, context, str(file)))

    if data is None and manifest is None and nats_settings(nats, context) is not None:
        everywhere = asyncio.run(ask_lattice())
        if output is Format.JSON:
            print_json(everywhere)
        else:
            for copy in everywhere:
                print(f"{copy['name']} ({copy['id']}) is {copy['image_ref']} on {copy['host_id']}")
        return
    updated = asyncio.run(ask())
    if output is Format.JSON:
        print_json(updated)
        return
    print(f"{updated['name']} ({updated['id']})")
    print(f"  was    {updated['old_digest']}")
    print(f"  is now {updated['digest']}")
