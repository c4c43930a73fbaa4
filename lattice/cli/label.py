"""`lattice label`: what placement chooses hosts by."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lattice.cli.host import parse_labels
from lattice.cli.target import ContextOption, LatticeOption, NatsOption

HostArgument = Annotated[str, typer.Argument(help="Name or key of a host.", show_default=False)]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Labels of hosts.\n\n\b\nExample:\n  lattice label put east-1 disk=fast",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("put")(put)
    group.command("del")(delete)
    return group


def put(
    host: HostArgument,
    label: Annotated[str, typer.Argument(help="KEY=VALUE", show_default=False)],
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
) -> None:
    """Give a host a label until it ends. What belongs there by a manifest moves there.

    \b
    Example:
      lattice label put east-1 disk=fast
    """
    ((key, value),) = parse_labels([label]).items()
    _ask("put", host, key, value, (nats, lattice, context))
    print(f"{host} has {key}={value}")


def delete(
    host: HostArgument,
    key: Annotated[str, typer.Argument(help="The label's key.", show_default=False)],
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
) -> None:
    """Take a label from a host.

    \b
    Example:
      lattice label del east-1 disk
    """
    _ask("del", host, key, "", (nats, lattice, context))
    print(f"{host} has no {key} any more")


def _ask(verb: str, host: str, key: str, value: str, where: tuple[str | None, str | None, str | None]) -> Any:
    import asyncio

    from lattice.cli.target import connected
    from lattice.control.messages import Label

    async def run() -> Any:
        async with connected(*where) as (client, _):
            chosen = await client.host_named(host)
            return await client.command("label", verb, chosen, message=Label(key=key, value=value))

    return asyncio.run(run())
