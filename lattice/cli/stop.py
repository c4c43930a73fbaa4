"""`lattice stop`: an actor, a provider or a host."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.target import ContextOption, LatticeOption, NatsOption

HostOption = Annotated[str, typer.Option("--host", help="Name or key of a host.", show_default="every one that has it")]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Stop something; what it has begun may finish.\n\n\b\nExample:\n  lattice stop host east-1",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("actor")(actor)
    group.command("provider")(provider)
    group.command("host")(host_)
    return group


def actor(
    target: Annotated[str, typer.Argument(help="Key, call alias or name of an actor.", show_default=False)],
    host: HostOption = "",
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Stop an actor that was started by hand.

    \b
    Example:
      lattice stop actor counter
    """
    import asyncio

    from lattice.cli.scale import scaled

    done = asyncio.run(scaled(target, 0, host, (nats, lattice, context)))
    _print([f"stopped {item['id']} on {item['host_id']}" for item in done], done, output)


def provider(
    key: Annotated[str, typer.Argument(help="Its id.", show_default=False)],
    host: HostOption = "",
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Stop a provider that was started by hand.

    \b
    Example:
      lattice stop provider cache
    """
    import asyncio

    from lattice import errors
    from lattice.cli.target import connected
    from lattice.control.messages import StopProvider
    from lattice.control.state import APPLICATION

    async def run() -> list[dict[str, Any]]:
        async with connected(nats, lattice, context) as (client, _):
            only = await client.host_named(host) if host else ""
            done = []
            for inventory in await client.inventories():
                for item in inventory.providers:
                    if item.id != key or only not in ("", inventory.host_id):
                        continue
                    application = (item.annotations or {}).get(APPLICATION)
                    if application:
                        raise errors.ConfigError(
                            f"{key} is part of the application {application}",
                            remedy=f"lattice app undeploy {application}",
                        )
                    message = StopProvider(provider_id=key, host_id=inventory.host_id)
                    await client.tell("provider", "stop", inventory.host_id, message, key, "provider_stopped", "")
                    done.append({"host_id": inventory.host_id, "id": key})
            if not done:
                raise errors.TargetUnknown(f"no host runs the provider {key}", remedy="lattice get inventory")
            return done

    done = asyncio.run(run())
    _print([f"stopped {item['id']} on {item['host_id']}" for item in done], done, output)


def host_(
    host: Annotated[str, typer.Argument(help="Name or key of a host.", show_default=False)],
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Stop a host. It drains: others take over, and no request is lost.

    \b
    Example:
      lattice stop host east-1
    """
    import asyncio

    from lattice.cli.target import connected
    from lattice.control.messages import StopHost

    async def run() -> str:
        async with connected(nats, lattice, context) as (client, _):
            key = await client.host_named(host)
            await client.command("host", "stop", key, message=StopHost(host_id=key))
            return key

    key = asyncio.run(run())
    _print([f"{host} drains and stops"], [{"host_id": key}], output)


def _print(lines: list[str], document: list[dict[str, Any]], output: Format) -> None:
    if output is Format.JSON:
        print_json(document)
        return
    for line in lines:
        print(line)
