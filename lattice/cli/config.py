"""`lattice config`: named configurations that links and providers refer to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lattice import errors
from lattice.cli.host import parse_labels
from lattice.cli.output import Format, FormatOption, print_json, print_table
from lattice.cli.target import ContextOption, LatticeOption, NatsOption

NameArgument = Annotated[str, typer.Argument(help="The configuration's name.", show_default=False)]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Named configurations.\n\n\b\nExample:\n  lattice config put redis url=redis://127.0.0.1:6379",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("put")(put)
    group.command("get")(get)
    group.command("del")(delete)
    return group


def put(
    name: NameArgument,
    values: Annotated[list[str], typer.Argument(help="KEY=VALUE ...", show_default=False)],
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
) -> None:
    """Store a configuration.

    \b
    Example:
      lattice config put redis url=redis://127.0.0.1:6379
    """
    _ask("put", name, parse_labels(values), nats, lattice, context)
    print(f"stored {name}")


def get(
    name: NameArgument,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show a configuration.

    \b
    Example:
      lattice config get redis
    """
    found = _ask("get", name, None, nats, lattice, context)
    if found is None:
        raise errors.ConfigError(f"there is no configuration {name!r}", remedy="lattice config put stores one")
    if output is Format.JSON:
        print_json(found)
        return
    print_table(("key", "value"), sorted(found.items()))


def delete(
    name: NameArgument, nats: NatsOption = None, lattice: LatticeOption = None, context: ContextOption = None
) -> None:
    """Delete a configuration.

    \b
    Example:
      lattice config del redis
    """
    _ask("del", name, None, nats, lattice, context)
    print(f"deleted {name}")


def _ask(verb: str, name: str, message: Any, nats: str | None, lattice: str | None, context: str | None) -> Any:
    import asyncio

    from lattice.cli.target import connected

    async def run() -> Any:
        async with connected(nats, lattice, context) as (client, _):
            return await client.command("config", verb, name, message=message)

    return asyncio.run(run())
