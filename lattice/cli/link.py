"""`lattice link`: links of the lattice that are no application's."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lattice.cli.get import print_links
from lattice.cli.host import parse_labels
from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.target import ContextOption, LatticeOption, NatsOption

SourceArgument = Annotated[str, typer.Argument(help="Id of the one that calls.", show_default=False)]
ContractArgument = Annotated[str, typer.Argument(help="Such as wasmcloud:keyvalue.", show_default=False)]
LinkNameOption = Annotated[str, typer.Option("--name", help="The link's name.")]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Who may call whom, put by hand.\n\n\b\nExample:\n"
        "  lattice link put counter cache wasmcloud:keyvalue --target-config bucket=hits",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("put")(put)
    group.command("del")(delete)
    group.command("list")(list_)
    return group


def put(
    source: SourceArgument,
    target: Annotated[str, typer.Argument(help="Id of the one that is called.", show_default=False)],
    contract: ContractArgument,
    name: LinkNameOption = "default",
    source_config: Annotated[
        list[str] | None, typer.Option("--source-config", help="KEY=VALUE for the source.")
    ] = None,
    target_config: Annotated[
        list[str] | None, typer.Option("--target-config", help="KEY=VALUE for the target.")
    ] = None,
    granted_by: Annotated[
        str, typer.Option("--granted-by", help="Id of the actor by whose authority the source calls.")
    ] = "",
    operations: Annotated[
        list[str] | None, typer.Option("--operation", help="Only this one passes, or a pattern with *; repeatable.")
    ] = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
) -> None:
    """Put a link. It stands above an application's link of the same source, contract and name.

    \b
    Example:
      lattice link put counter cache wasmcloud:keyvalue --target-config bucket=hits
      lattice link put reader cache wasmcloud:keyvalue --granted-by counter --operation KeyValue.Get
    """
    from lattice.control.messages import LinkItem

    namespace, _, package = contract.partition(":")
    item = LinkItem(
        source_id=source,
        target=target,
        name=name,
        wit_namespace=namespace,
        wit_package=package,
        source_config=parse_labels(source_config),
        target_config=parse_labels(target_config),
        granted_by=granted_by,
        operations=operations or [],
    )
    ask("put", item, nats, lattice, context)
    print(f"linked {source} to {target} ({contract})")


def delete(
    source: SourceArgument,
    contract: ContractArgument,
    name: LinkNameOption = "default",
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
) -> None:
    """Take a link away that was put by hand.

    \b
    Example:
      lattice link del counter wasmcloud:keyvalue
    """
    from lattice.control.messages import DeleteLink

    namespace, _, package = contract.partition(":")
    item = DeleteLink(source_id=source, name=name, wit_namespace=namespace, wit_package=package)
    ask("del", item, nats, lattice, context)
    print(f"{source} has no link for {contract} any more")


def list_(
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the links of the lattice.

    \b
    Example:
      lattice link list
    """
    document = ask("get", None, nats, lattice, context)
    print_json(document) if output is Format.JSON else print_links(document)


def ask(verb: str, message: Any, nats: str | None, lattice: str | None, context: str | None) -> Any:
    import asyncio

    from lattice.cli.target import connected

    async def run() -> Any:
        async with connected(nats, lattice, context) as (client, _):
            return await client.command("link", verb, message=message)

    return asyncio.run(run())
