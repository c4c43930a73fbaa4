"""Which host or lattice a command talks to: one host through its data folder, or a lattice over NATS."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lattice import errors

if TYPE_CHECKING:
    from lattice.control.client import LocalClient
    from lattice.control.lattice_client import LatticeClient
    from lattice.security.keys import KeyPair
    from lattice.transport.nats import NatsTransport
    from lattice.transport.settings import NatsSettings

DATA_NAME = ".lattice"
DEFAULT_LATTICE = "default"
CONNECT_S_MAX = 3.0
CREDS_VARIABLE = "LATTICE_NATS_CREDS"
SIGNER_VARIABLE = "LATTICE_SIGNER"

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="LATTICE_DATA",
        help="The host's data folder.",
        show_default=f"{DATA_NAME} beside the manifest, else here",
    ),
]
ManifestOption = Annotated[
    Path | None, typer.Option("--manifest", help=f"The host's manifest; its data folder is {DATA_NAME} beside it.")
]
NatsOption = Annotated[
    str | None,
    typer.Option("--nats", envvar="LATTICE_NATS_URL", help="NATS servers, separated by commas, the near one first."),
]
LatticeOption = Annotated[
    str | None, typer.Option("--lattice", envvar="LATTICE_NAME", help="The lattice's name.", show_default="default")
]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", envvar="LATTICE_CONTEXT", help="A saved context.", show_default="the one in use"),
]
CredsOption = Annotated[
    Path | None, typer.Option("--creds", envvar=CREDS_VARIABLE, help="Credentials for NATS: a file of nsc.")
]


def data_folder(data: Path | None, manifest: Path | None) -> Path:
    """The folder itself where it is given, else beside the manifest, else here."""
    if data is not None:
        return data
    return (manifest.parent if manifest is not None else Path()) / DATA_NAME


def nats_settings(nats: str | None, context: str | None, creds: Path | None = None) -> NatsSettings | None:
    """How NATS is reached, None when nothing says so: options, else the context. Raises `errors.ConfigError`."""
    import msgspec

    from lattice.cli.context import chosen
    from lattice.transport.settings import NatsSettings

    saved = chosen(context)
    if nats is None and saved is None:
        return None
    settings = saved.nats if saved is not None else NatsSettings()
    if nats is not None:
        urls = tuple(url.strip() for url in nats.split(",") if url.strip())
        settings = msgspec.structs.replace(settings, urls=urls)
    if creds is not None:
        settings = msgspec.structs.replace(settings, creds=creds)
    return msgspec.structs.replace(settings, name=settings.name or "lattice command line")


def lattice_name(lattice: str | None, context: str | None) -> str:
    """The name that is given, else the context's. Raises `errors.ConfigError`."""
    from lattice import subjects
    from lattice.cli.context import chosen

    saved = chosen(context)
    return subjects.check_lattice(lattice or (saved.lattice if saved is not None else DEFAULT_LATTICE))


def signing_key(context: str | None) -> KeyPair | None:
    """What signs calls and orders: the file that LATTICE_SIGNER names, else the context's, None for nothing. Raises
    `errors.ConfigError`."""
    from lattice.cli.context import chosen
    from lattice.security.keys import read_pair

    saved = chosen(context)
    path = os.environ.get(SIGNER_VARIABLE) or (saved.signer if saved is not None else "")
    return read_pair(Path(path)) if path else None


@asynccontextmanager
async def connected(
    nats: str | None, lattice: str | None, context: str | None
) -> AsyncIterator[tuple[LatticeClient, NatsTransport]]:
    """A client of the lattice, and its connection. Raises `errors.ConfigError` when nothing says where NATS is."""
    import msgspec

    from lattice.control.lattice_client import LatticeClient
    from lattice.transport.nats import connect

    creds = os.environ.get(CREDS_VARIABLE)
    settings = nats_settings(nats, context, Path(creds) if creds else None)
    if settings is None:
        raise errors.ConfigError(
            "nothing says where the lattice's NATS server is",
            remedy="give --nats nats://HOST:4222, set LATTICE_NATS_URL, or save a context: lattice context set",
        )
    settings = msgspec.structs.replace(settings, grows=False)
    name, signer = lattice_name(lattice, context), signing_key(context)
    transport = await connect(settings, timeout_s=CONNECT_S_MAX)
    try:
        yield LatticeClient(transport, name, signer), transport
    finally:
        await transport.close()


@asynccontextmanager
async def host_or_lattice(
    data: Path | None, manifest: Path | None, nats: str | None, lattice: str | None, context: str | None
) -> AsyncIterator[LocalClient | LatticeClient]:
    """The host of a data folder when one is given, else the lattice when something says where it is, else the host of
    the data folder here."""
    from lattice.control.client import LocalClient

    if data is None and manifest is None and nats_settings(nats, context) is not None:
        async with connected(nats, lattice, context) as (client, _):
            yield client
        return
    async with LocalClient(data_folder(data, manifest)) as local:
        yield local
