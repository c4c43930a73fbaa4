"""`lattice start`: an actor or a provider by hand, on one host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lattice import errors
from lattice.cli.host import parse_labels
from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.target import ContextOption, LatticeOption, NatsOption

HostOption = Annotated[
    str, typer.Option("--host", help="Name or key of a host.", show_default="the one with the fewest actors")
]
ConstraintOption = Annotated[list[str] | None, typer.Option("--on", help="KEY=VALUE, a label the host has to have.")]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Start something on a host of the lattice, by hand.\n\n\b\nExample:\n"
        "  lattice start actor counter counter.wasm --on cloud=east",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("actor")(actor)
    group.command("provider")(provider)
    return group


def actor(
    key: Annotated[str, typer.Argument(help="The id that it gets.", show_default=False)],
    file: Annotated[str, typer.Argument(help="A .wasm file, or a reference.", show_default=False)],
    count: Annotated[int, typer.Option("--count", min=1, help="How many copies the host is to run.")] = 1,
    host: HostOption = "",
    on: ConstraintOption = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Start an actor. What is started by hand stays until it is stopped by hand.

    \b
    Example:
      lattice start actor counter counter.wasm --on cloud=east
    """
    import asyncio

    from lattice.cli.target import connected
    from lattice.control.messages import ScaleComponent

    async def run() -> dict[str, Any]:
        async with connected(nats, lattice, context) as (client, transport):
            chosen = await client.host_named(host) if host else await client.auction("component", key, parse_labels(on))
            reference = await stored(transport, lattice, context, file)
            message = ScaleComponent(component_id=key, component_ref=reference, count=count, host_id=chosen)
            done, failed = "component_scaled", "component_scale_failed"
            await client.tell("component", "scale", chosen, message, key, done, failed)
            return {"host_id": chosen, "id": key, "image_ref": reference, "count": count}

    _print(asyncio.run(run()), output)


def provider(
    key: Annotated[str, typer.Argument(help="The id that it gets.", show_default=False)],
    name: Annotated[str, typer.Argument(help="The provider's name, such as keyvalue-redis.", show_default=False)],
    config: Annotated[list[str] | None, typer.Option("--config", help="Name of a stored configuration.")] = None,
    host: HostOption = "",
    on: ConstraintOption = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Start a provider.

    \b
    Example:
      lattice start provider cache keyvalue-redis --config redis-address
    """
    import asyncio

    from lattice.cli.target import connected
    from lattice.control.messages import StartProvider

    async def run() -> dict[str, Any]:
        async with connected(nats, lattice, context) as (client, _):
            chosen = await client.host_named(host) if host else await client.auction("provider", key, parse_labels(on))
            reference = f"builtin://{name.removeprefix('builtin://')}"
            message = StartProvider(provider_id=key, provider_ref=reference, config=config or [], host_id=chosen)
            await client.tell("provider", "start", chosen, message, key, "provider_started", "provider_start_failed")
            return {"host_id": chosen, "id": key, "image_ref": reference}

    _print(asyncio.run(run()), output)


async def stored(transport: Any, lattice: str | None, context: str | None, file: str) -> str:
    """A file's reference in the lattice's store; what is a reference already stays as it is."""
    from lattice.artifacts.reference import is_reference
    from lattice.cli.lattice_app import image_store

    if "://" in file:
        return file
    path = Path(file)
    if not path.is_file():  # noqa: ASYNC240  # once, before anything runs
        if is_reference(file):
            return file
        raise errors.ArtifactUnreadable(f"there is no file {file}")
    reference: str = await image_store(transport, lattice, context).put(path)
    return reference


def _print(document: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        print_json(document)
    else:
        print(f"started {document['id']} on {document['host_id']}")
