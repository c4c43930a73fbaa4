"""`lattice spy`: a lattice's events as they happen."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from lattice.cli.output import Format, FormatOption
from lattice.cli.target import ContextOption, LatticeOption, NatsOption

BORING = ("host_heartbeat", "health_check_status")


def spy(
    names: Annotated[list[str] | None, typer.Argument(help="Names of events; all but heartbeats without.")] = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Print the events of a lattice until Ctrl-C; with -o json one document in each line.

    \b
    Example:
      lattice spy component_scaled component_scale_failed
    """
    import asyncio

    import msgspec

    from lattice.cli.target import connected

    async def run() -> None:
        async with connected(nats, lattice, context) as (client, _):
            async for event in client.events(*(names or ())):
                if not names and event.name in BORING:
                    continue
                if output is Format.JSON:
                    print(json.dumps(msgspec.to_builtins(event), ensure_ascii=False))
                else:
                    print(f"{event.time}  {event.source[:8]}  {event.name}  {_shown(event.data)}")
                sys.stdout.flush()

    asyncio.run(run())


def _shown(data: object) -> str:
    if not isinstance(data, dict):
        return ""
    keys = (
        "component_id",
        "provider_id",
        "max_instances",
        "image_ref",
        "friendly_name",
        "labels",
        "error",
        "config_name",
    )
    return " ".join(f"{key}={data[key]}" for key in keys if data.get(key))
