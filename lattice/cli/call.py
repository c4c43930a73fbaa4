"""`lattice call`: one call of an actor of a running host or of a lattice."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.target import (
    ContextOption,
    DataOption,
    LatticeOption,
    ManifestOption,
    NatsOption,
    host_or_lattice,
)

PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
"""The default limit of actors; more is read from no file."""
REPLY_S = 2.0
"""What the reply may take on its way, after the actor's own time."""


def call(
    target: Annotated[str, typer.Argument(help="Key, call alias or component name of an actor.", show_default=False)],
    operation: Annotated[str, typer.Argument(help="For example HttpServer.HandleRequest.", show_default=False)],
    payload: Annotated[str, typer.Argument(help="JSON, @FILE, or - for standard input.")] = "",
    data: DataOption = None,
    manifest: ManifestOption = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    timeout: Annotated[float, typer.Option(min=0.001, max=3600, help="Seconds the call may take.")] = 10.0,
    raw: Annotated[bool, typer.Option("--raw", help="Send the payload as it is, and print the reply's bytes.")] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Call an actor of a running host; JSON in, JSON out.

    A function that a component exports is called as ns:pkg/iface.function, with an array of its arguments.

    In messages of published contracts a text stands for bytes where the contract has bytes; {"base64": "..."} is any
    bytes, and replies print bytes that are no text so.

    \b
    Example:
      lattice call counter Actor.HealthRequest '{}'
      lattice call postage lattice:parcels/postage.countries
    """
    import asyncio
    import base64

    from lattice.cli.values import to_json, to_payload

    given = _read(payload)
    message = given if raw else to_payload(_decoded(given), operation)

    async def ask() -> bytes:
        async with host_or_lattice(data, manifest, nats, lattice, context) as client:
            arguments = {
                "target": target,
                "operation": operation,
                "payload": base64.b64encode(message).decode(),
                "timeout_s": timeout,
            }
            reply = await client.ask("call", arguments, timeout + REPLY_S)
            return base64.b64decode(reply["payload"])

    reply = asyncio.run(ask())
    if raw and output is Format.TEXT:
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.flush()
        return
    print_json(to_json(reply, raw))


def _read(payload: str) -> bytes:
    """The argument itself, or what it points to. Raises `errors.ConfigError`, `errors.PayloadTooLarge`."""
    if payload == "-":
        content = sys.stdin.buffer.read(PAYLOAD_BYTES_MAX + 1)
    elif payload.startswith("@"):
        try:
            with Path(payload[1:]).open("rb") as file:
                content = file.read(PAYLOAD_BYTES_MAX + 1)
        except OSError as error:
            raise errors.ConfigError(f"{payload[1:]} cannot be read: {error.strerror or error}") from error
    else:
        content = payload.encode("utf-8", "surrogateescape")
    if len(content) > PAYLOAD_BYTES_MAX:
        raise errors.PayloadTooLarge(f"the payload is larger than {PAYLOAD_BYTES_MAX} bytes")
    return content


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise errors.MalformedMessage("the payload is not UTF-8", remedy="send bytes as they are with --raw") from error
