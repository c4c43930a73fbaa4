"""`lattice claims`: signs .wasm files, and shows what their tokens say."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lattice import errors
from lattice.cli.inspect import claim_rows, describe
from lattice.cli.output import Format, FormatOption, print_json, print_table

if TYPE_CHECKING:
    from lattice.security.keys import KeyPair
    from lattice.security.signing import Wish

SIGNED = "_s"
EPOCH = "SOURCE_DATE_EPOCH"
TIMES = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
FileArgument = Annotated[Path, typer.Argument(help="A .wasm file: a module or a component.", show_default=False)]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Sign actors, and see what their tokens claim.\n\n\b\nExample:\n"
        "  lattice claims sign counter.wasm --cap wasmcloud:keyvalue",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("sign")(sign)
    group.command("inspect")(inspect)
    return group


def sign(
    file: FileArgument,
    name: Annotated[str, typer.Option("--name", help="The actor's name.", show_default="the file's")] = "",
    cap: Annotated[
        list[str] | None, typer.Option("--cap", help="A contract that the actor may use; several times.")
    ] = None,
    rev: Annotated[int, typer.Option("--rev", help="The revision; a live update needs a greater one.")] = 1,
    ver: Annotated[str, typer.Option("--ver", help="The version, for people.")] = "",
    alias: Annotated[str, typer.Option("--alias", help="A call alias: other actors may call it by that.")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag, for policies; several times.")] = None,
    issuer: Annotated[str, typer.Option("--issuer", help="The account that signs: a key's name, or its file.")] = "",
    subject: Annotated[
        str,
        typer.Option(
            "--subject",
            help="The actor's key: public (M...), a key's name, or its file.",
            show_default="NAME, made once",
        ),
    ] = "",
    expires: Annotated[
        str, typer.Option("--expires", help="When the token ends: in 30d, 12h, or at 2027-01-31[T12:00:00Z].")
    ] = "",
    nbf: Annotated[str, typer.Option("--nbf", help="When it begins to be valid; as for --expires.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="The signed file.", show_default="FILE_s.wasm")] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Put a signed token into a .wasm file: who made it, what it is called, which contracts it may use.

    Everything else in the file stays as it is; a token that is there is replaced. Without --issuer the account key
    "development" signs, which is made when it is not there, and so is the actor's key.

    \b
    Example:
      lattice claims sign counter.wasm --cap wasmcloud:keyvalue --cap wasmcloud:httpserver
    """
    from lattice import wasmfile
    from lattice.artifacts import module_file
    from lattice.authoring.building import write
    from lattice.security.signing import Wish
    from lattice.security.signing import sign as signed

    data = module_file.read(file)
    try:
        wasmfile.describe(data)  # before keys are made for it
    except errors.NotWasm as error:
        raise errors.NotWasm(f"{file}: {error.message}", remedy=error.remedy) from error
    name = name or file.stem.removesuffix(SIGNED)
    now = _now()
    account = _issuer(issuer)
    wish = Wish(
        subject=_subject(subject, name),
        name=name,
        caps=tuple(cap or ()),
        rev=rev,
        ver=ver,
        alias=alias,
        tags=tuple(tag or ()),
        issued=_epoch() or 0,
        expires=_moment(expires, now, "--expires"),
        nbf=_moment(nbf, now, "--nbf"),
    )
    target = out or file.with_name(f"{file.stem.removesuffix(SIGNED)}{SIGNED}{file.suffix}")
    write(target, signed(data, wish, account))
    _tell(target, wish, account, output)


def _tell(target: Path, wish: Wish, account: KeyPair, output: Format) -> None:
    document = describe(target)
    if output is Format.JSON:
        print_json({"file": str(target), "digest": document["digest"], "claims": document["claims"]})
        return
    print(f"signed {target}")
    print(f"  actor   {wish.subject}")
    print(f"  account {account.public}")
    print(f"  caps    {', '.join(wish.caps) or 'none: it may use no contract'}")


def inspect(file: FileArgument, output: FormatOption = Format.TEXT) -> None:
    """Show a file's token: who signed what, for how long, and everything that is wrong with it.

    \b
    Example:
      lattice claims inspect counter_s.wasm
    """
    document = describe(file)
    chosen = {
        key: document[key] for key in ("signed", "valid", "reason", "problems", "verified", "claims", "digest", "size")
    }
    if output is Format.JSON:
        print_json(chosen)
    else:
        print_table(("property", "value"), [*claim_rows(document), ["digest", document["digest"]]])
    if not document["valid"]:
        raise typer.Exit(1)


def _issuer(text: str) -> KeyPair:
    from lattice.authoring import key_folder as keys

    if text:
        return keys.pair(keys.find(text), "account")
    found, made = keys.find_or_make("account", keys.DEVELOPMENT)
    if made:
        _say(f"made the account key {found.public} in {found.file}: hosts have to trust it, or any account")
    return keys.pair(found, "account")


def _subject(text: str, name: str) -> str:
    from lattice.authoring import key_folder as keys
    from lattice.security.keys import decode_public, resembles

    if resembles(text, "actor"):
        decode_public(text, "actor")
        return text
    if text:
        return keys.pair(keys.find(text), "actor").public
    found, made = keys.find_or_make("actor", keys.key_name(name))
    if made:
        _say(f"made the actor's key {found.public} in {found.file}: the same actor is signed for it again")
    return found.public


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _epoch() -> int | None:
    """The time that a build shall believe in (reproducible-builds.org). Raises `errors.ConfigError`."""
    text = os.environ.get(EPOCH, "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise errors.ConfigError(f"{EPOCH} is a number of seconds since 1970, not {text[:40]!r}")
    return int(text) if text else None


def _now() -> int:
    import time

    epoch = _epoch()
    return int(time.time()) if epoch is None else epoch


def _moment(text: str, now: int, what: str) -> int | None:
    """Seconds since 1970 of "30d" from now, or of a date. Raises `errors.ConfigError`."""
    import datetime

    if not text:
        return None
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if found is not None:
        return now + int(found[1]) * TIMES[found[2]]
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise errors.ConfigError(f"{what} is a time such as 30d, 12h or 2027-01-31, not {text[:40]!r}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp())
