"""`lattice get`: what a running host has."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from lattice.cli.output import Format, FormatOption, print_json, print_table
from lattice.cli.target import (
    ContextOption,
    DataOption,
    LatticeOption,
    ManifestOption,
    NatsOption,
    host_or_lattice,
)

WATCH_EVERY_S = 1.0

WatchOption = Annotated[bool, typer.Option("--watch", help="Show it again whenever it changes, until Ctrl-C.")]


def build() -> typer.Typer:
    group = typer.Typer(
        help="What a running host or a lattice has.\n\n\b\nExample:\n  lattice get inventory -o json",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (hosts, inventory, links, claims):
        group.command(command.__name__)(command)
    return group


def hosts(
    data: DataOption = None,
    manifest: ManifestOption = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    watch: WatchOption = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """List hosts.

    \b
    Example:
      lattice get hosts
    """
    _show("hosts", _print_hosts, host_or_lattice(data, manifest, nats, lattice, context), watch, output)


def inventory(
    data: DataOption = None,
    manifest: ManifestOption = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    watch: WatchOption = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """List what a host runs: actors and providers.

    \b
    Example:
      lattice get inventory --watch
    """
    _show("inventory", _print_inventory, host_or_lattice(data, manifest, nats, lattice, context), watch, output)


def links(
    data: DataOption = None,
    manifest: ManifestOption = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    watch: WatchOption = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """List links. Their configuration, which may hold passwords, is shown with -o json only.

    \b
    Example:
      lattice get links
    """
    _show("links", print_links, host_or_lattice(data, manifest, nats, lattice, context), watch, output)


def claims(
    data: DataOption = None,
    manifest: ManifestOption = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    watch: WatchOption = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the claims of the actors that are signed, as the hosts that run them have verified them.

    \b
    Example:
      lattice get claims
    """
    _show("claims", _print_claims, host_or_lattice(data, manifest, nats, lattice, context), watch, output)


def _show(command: str, write: Callable[[Any], None], place: Any, watch: bool, output: Format) -> None:
    """Asks and prints; with `watch` again and again. A watch with JSON prints a line for each change."""
    import asyncio
    import json

    async def run() -> None:
        previous = None
        async with place as client:
            while True:
                document = await client.ask(command)
                if not watch:
                    print_json(document) if output is Format.JSON else write(document)
                    return
                seen = _without_uptime(document)
                if seen != previous:
                    previous = seen
                    if output is Format.JSON:
                        print(json.dumps(document, ensure_ascii=False), flush=True)
                    else:
                        _clear()
                        write(document)
                        sys.stdout.flush()
                await asyncio.sleep(WATCH_EVERY_S)

    asyncio.run(run())


def _without_uptime(document: Any) -> Any:
    """What counts as a change; the passing of time does not."""
    if isinstance(document, dict):
        return {key: _without_uptime(value) for key, value in document.items() if not key.startswith("uptime")}
    return [_without_uptime(item) for item in document] if isinstance(document, list) else document


def _clear() -> None:
    if sys.stdout.isatty():
        print("\x1b[2J\x1b[H", end="")
    else:
        print(time.strftime("-- %H:%M:%S"))


def _print_hosts(document: Any) -> None:
    rows = [
        [host["id"], host["friendly_name"], host["uptime_human"], str(host["components"]), str(host["providers"])]
        for host in document
    ]
    print_table(("host", "name", "up", "actors", "providers"), rows)


def _print_inventory(document: Any) -> None:
    inventories = document if isinstance(document, list) else [document]
    rows = []
    for inventory in inventories:
        host = inventory["friendly_name"]
        rows += [
            [host, "actor", item["name"], item["id"], item["status"], _copies(item)] for item in inventory["components"]
        ]
        for item in inventory["providers"]:
            notes = item["message"] or " ".join(item["urls"])
            rows.append([host, "provider", item["name"], item["id"], item["status"], notes])
    print_table(("host", "kind", "name", "id", "status", "notes"), rows)


def _copies(item: dict[str, Any]) -> str:
    count = item["max_instances"]
    return " ".join(part for part in (item["alias"], f"{count} copies" if count > 1 else "") if part)


def print_links(document: Any) -> None:
    rows = [
        [
            item["source_id"],
            item["target"],
            item["contract"] or "(calls)",
            item["name"],
            item.get("granted_by", ""),  # hosts of other kinds know of neither
            ", ".join(item.get("operations", ())) or "all",
        ]
        for item in document
    ]
    print_table(("source", "target", "contract", "link name", "granted by", "operations"), rows)


def _print_claims(document: Any) -> None:
    rows = [
        [item["component"], item["subject"], item["issuer"], ", ".join(item["caps"]), str(item["rev"] or "")]
        for item in document
    ]
    print_table(("component", "subject", "issuer", "capabilities", "revision"), rows)
