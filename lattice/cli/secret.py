"""`lattice secret`: secrets that the lattice keeps, sealed before they leave this process."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table
from lattice.cli.target import ContextOption, LatticeOption, NatsOption

if TYPE_CHECKING:
    from lattice.control.secret_store import SecretStore
    from lattice.security.sealing import CurvePair

T = TypeVar("T")

NameArgument = Annotated[str, typer.Argument(help="The secret's name.", show_default=False)]
KeysOption = Annotated[
    Path, typer.Option("--keys", help="File of curve seeds (SX...), one a line; the first seals.", show_default=False)
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", help="Public key (X...) to seal for.", show_default="the first of --keys"),
]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Secrets that the lattice keeps, sealed. Values are read from standard input, a file or a prompt.\n\n"
        "\b\nExample:\n  lattice secret put redis/url --keys secrets.xk < url.txt",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("put")(put)
    group.command("list")(list_)
    group.command("del")(delete)
    group.command("rotate")(rotate)
    return group


def put(
    name: NameArgument,
    keys: KeysOption,
    to: ToOption = None,
    application: Annotated[
        list[str] | None, typer.Option("--application", help="Only this application may have it; several times.")
    ] = None,
    any_application: Annotated[
        bool, typer.Option("--any-application", help="Leave a secret to all that was bound before.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option("--file", help="Holds the value.", show_default="standard input, or a prompt")
    ] = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Store a new version of a secret. The value is never an argument, which others on this machine could read.

    Providers get it when they next start or are linked. A line end behind the value is taken away.

    \b
    Example:
      lattice secret put redis/url --keys secrets.xk --application shop < url.txt
    """
    import datetime

    if application and any_application:
        raise errors.ConfigError("--application and --any-application exclude each other")
    pairs, recipient = _keys(keys, to)
    value = _value(name, file)
    bound = [] if any_application else application or None
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

    async def work(store: SecretStore) -> int:
        return await store.put(name, value, pairs[0], recipient, created, bound)

    version = _with_store(work, nats, lattice, context)
    if output is Format.JSON:
        print_json({"name": name, "version": version, "applications": bound or [], "sealed_for": recipient})
        return
    print(f"stored {name}, version {version}")


def list_(
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the stored secrets: names, versions, and what they are bound to. Values are not shown by any command.

    \b
    Example:
      lattice secret list
    """
    records = _with_store(lambda store: store.all(), nats, lattice, context)
    if output is Format.JSON:
        documents = []
        for record in records:
            versions = [
                {"version": one.version, "created": one.created, "sealed_by": one.sender, "sealed_for": one.recipient}
                for one in record.versions
            ]
            documents.append({"name": record.name, "applications": list(record.applications), "versions": versions})
        print_json(documents)
        return
    rows = []
    for record in records:
        newest = max(record.versions, key=lambda one: one.version, default=None)
        created = newest.created if newest is not None else ""
        bound = ", ".join(record.applications) or "any"
        rows.append([record.name, str(record.latest), str(len(record.versions)), bound, created])
    print_table(("name", "version", "kept", "applications", "created"), rows)


def delete(
    name: NameArgument, nats: NatsOption = None, lattice: LatticeOption = None, context: ContextOption = None
) -> None:
    """Delete a secret with all its versions. Providers that run with it go on.

    \b
    Example:
      lattice secret del redis/url
    """
    _with_store(lambda store: store.delete(name), nats, lattice, context)
    print(f"deleted {name}")


def rotate(
    keys: KeysOption,
    to: ToOption = None,
    trust: Annotated[
        list[str] | None, typer.Option("--trust", help="Public key (X...) of somebody else who sealed; several times.")
    ] = None,
    nats: NatsOption = None,
    lattice: LatticeOption = None,
    context: ContextOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Seal every secret again with the first of --keys, which has to hold the seeds that open them now.

    \b
    Example:
      lattice secret rotate --keys secrets.xk
    """
    from lattice.security.keys import decode_public

    pairs, recipient = _keys(keys, to)
    senders = frozenset(trust or ())
    for sender in senders:
        decode_public(sender, "curve")
    done: list[str] = []
    failed: dict[str, str] = {}

    async def work(store: SecretStore) -> None:
        for record in await store.all():
            try:
                if await store.rotate(record.name, pairs, recipient, senders):
                    done.append(record.name)
            except (errors.SecretUnavailable, errors.Conflict) as error:
                failed[record.name] = str(error)

    _with_store(work, nats, lattice, context)
    if output is Format.JSON:
        print_json({"sealed_for": recipient, "rotated": done, "failed": failed})
    else:
        for name in done:
            print(f"sealed {name} again")
        if not done and not failed:
            print("nothing to do: everything is sealed so")
    if failed:
        what = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise errors.SecretUnavailable(
            f"not sealed again: {what}", remedy="--keys has to hold the seed that each of them is sealed for"
        )


def _keys(path: Path, to: str | None) -> tuple[tuple[CurvePair, ...], str]:
    """The keys of a file, and for whom to seal. Raises `errors.ConfigError`."""
    from lattice.security.keys import decode_public
    from lattice.security.sealing import read_seeds

    pairs = read_seeds(path)
    recipient = to or pairs[0].public
    decode_public(recipient, "curve")
    return pairs, recipient


def _value(name: str, file: Path | None) -> str:
    """Raises `errors.ConfigError`, without the value."""
    from getpass import getpass

    from lattice.control.secret_store import VALUE_BYTES_MAX, check_value

    if file is None and sys.stdin.isatty():
        # The terminal is told to show nothing before it shows the prompt, which those of typer do after it.
        value = getpass(f"value of {name}: ")
        if getpass("the same again: ") != value:
            raise errors.ConfigError("the two values differ; nothing was stored")
        return check_value(value)
    try:
        if file is None:
            data = sys.stdin.buffer.read(VALUE_BYTES_MAX + 3)  # and a line end
        else:
            with file.open("rb") as opened:
                data = opened.read(VALUE_BYTES_MAX + 3)
        text = data.decode()
    except OSError as error:
        raise errors.ConfigError(f"the value cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise errors.ConfigError("the value is not UTF-8 text", remedy="store it as base64") from None
    return check_value(text.removesuffix("\n").removesuffix("\r"))


def _with_store(
    work: Callable[[SecretStore], Awaitable[T]], nats: str | None, lattice: str | None, context: str | None
) -> T:
    import asyncio

    from lattice import subjects
    from lattice.cli.target import connected, lattice_name
    from lattice.control.secret_store import SecretStore

    async def run() -> T:
        name = lattice_name(lattice, context)
        async with connected(nats, lattice, context) as (_, transport):
            return await work(SecretStore(await transport.bucket(subjects.secret_bucket(name)), name))

    return asyncio.run(run())
