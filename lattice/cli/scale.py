"""`lattice scale`: how many copies of an actor run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.target import ContextOption, LatticeOption, NatsOption


def build() -> typer.Typer:
    group = typer.Typer(
        help="Change how many copies run.\n\n\b\nExample:\n  lattice scale actor counter 3 --host east-1",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.callback()(_group)
    group.command("actor")(actor)
    return group


def _group() -> None:
    pass


def actor(
    target: Annotated[str, typer.Argument(help="Key, call alias or name of an actor.", show_default=False)],
    count: Annotated[int, typer.Argument(min=0, help="Copies on each host; 0 stops it.", show_default=False)],
    host: Annotated[
        str, typer.Option("--host", help="Name or key of a host.", show_default="every one that has it")
    ] = "",
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Scale an actor that was started by hand; an application's is scaled by its manifest.

    \b
    Example:
      lattice scale actor counter 3 --host east-1
    """
    import asyncio

    done = asyncio.run(scaled(target, count, host, (nats, lattice, context)))
    if output is Format.JSON:
        print_json(done)
        return
    for item in done:
        print(f"{item['id']}: {item['count']} on {item['host_id']}")


async def scaled(
    target: str, count: int, host: str, where: tuple[str | None, str | None, str | None]
) -> list[dict[str, Any]]:
    """Scales an actor on one host, or on every one that has it."""
    from lattice import errors
    from lattice.cli.target import connected
    from lattice.control.messages import ScaleComponent
    from lattice.control.state import APPLICATION

    async with connected(*where) as (client, _):
        copies = await client.find(target)
        only = await client.host_named(host) if host else ""
        done = []
        for inventory, item in copies:
            application = (item.annotations or {}).get(APPLICATION)
            if application:
                raise errors.ConfigError(
                    f"{target} is part of the application {application}, which says how many there are",
                    remedy="change its manifest and deploy that, or lattice app undeploy",
                )
            if only not in ("", inventory.host_id):
                continue
            message = ScaleComponent(
                component_id=item.id, component_ref=item.image_ref, count=count, host_id=inventory.host_id
            )
            told = ("component_scaled", "component_scale_failed")
            await client.tell("component", "scale", inventory.host_id, message, item.id, *told)
            done.append({"host_id": inventory.host_id, "id": item.id, "count": count})
        if not done:
            raise errors.TargetUnknown(f"{host} does not run {target}", remedy="lattice start actor")
        return done
