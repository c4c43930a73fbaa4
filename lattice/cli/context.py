"""`lattice context`: lattices that commands go to, saved by name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table

if TYPE_CHECKING:
    from lattice.transport.settings import NatsSettings

FILE = Path("nanolattice", "contexts.json")
"""Where contexts are, in a folder for configuration."""
NameArgument = Annotated[str, typer.Argument(help="The context's name.", show_default=False)]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Lattices that commands go to, saved by name.\n\n\b\nExample:\n"
        "  lattice context set east --nats nats://east:4222",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("set")(set_)
    group.command("use")(use)
    group.command("list")(list_)
    group.command("delete")(delete)
    return group


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One saved lattice. `settings` are the fields of `NatsSettings`; `signer` is the file of the seed that signs calls
    and orders, "" for none."""

    lattice: str = "default"
    settings: dict[str, Any] = {}
    signer: str = ""

    @property
    def nats(self) -> NatsSettings:
        from lattice.transport.settings import NatsSettings

        try:
            return msgspec.convert(self.settings, NatsSettings, dec_hook=lambda type_, value: type_(value))
        except msgspec.ValidationError as error:
            raise errors.ConfigError(f"a saved context cannot be read: {error}", remedy="set it again") from error


class Contexts(msgspec.Struct, frozen=True, kw_only=True):
    current: str = ""
    contexts: dict[str, Context] = {}


def set_(
    name: NameArgument,
    nats: Annotated[str, typer.Option("--nats", help="NATS servers, separated by commas, the near one first.")],
    lattice: Annotated[str, typer.Option("--lattice", help="The lattice's name.")] = "default",
    creds: Annotated[Path | None, typer.Option("--creds", help="Credentials: a file of nsc.")] = None,
    nkey: Annotated[Path | None, typer.Option("--nkey", help="The file of an nkey seed.")] = None,
    tls_ca: Annotated[Path | None, typer.Option("--tls-ca", help="Who signed the servers' certificates.")] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="This client's certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its key.")] = None,
    domain: Annotated[str, typer.Option("--domain", help="The JetStream domain, with leaf nodes.")] = "",
    signer: Annotated[
        Path | None,
        typer.Option(
            "--signer", help="The file of the seed that signs: calls by a cluster key, orders by that or a user's."
        ),
    ] = None,
) -> None:
    """Save a context, and use it if it is the first.

    \b
    Example:
      lattice context set east --nats nats://east:4222,nats://west:4222 --lattice shop
    """
    from lattice import subjects
    from lattice.security.keys import read_pair

    if signer is not None:
        read_pair(signer)
    files = {"creds": creds, "nkey_seed": nkey, "tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
    settings: dict[str, Any] = {key: str(path.absolute()) for key, path in files.items() if path is not None}
    settings["urls"] = [url.strip() for url in nats.split(",") if url.strip()]
    if domain:
        settings["domain"] = domain
    signed_by = str(signer.absolute()) if signer is not None else ""
    context = Context(lattice=subjects.check_lattice(lattice), settings=settings, signer=signed_by)
    _ = context.nats  # says what is wrong now, not at the next command
    known = _read()
    _write(Contexts(current=known.current or name, contexts={**known.contexts, name: context}))


def use(name: NameArgument) -> None:
    """Use a context from now on.

    \b
    Example:
      lattice context use east
    """
    known = _read()
    _find(known, name)
    _write(msgspec.structs.replace(known, current=name))


def list_(output: FormatOption = Format.TEXT) -> None:
    """List the saved contexts.

    \b
    Example:
      lattice context list
    """
    known = _read()
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "lattice": context.lattice,
            "nats": list(context.nats.shown),
            "current": name == known.current,
        }
        for name, context in sorted(known.contexts.items())
    ]
    if output is Format.JSON:
        print_json(rows)
        return
    texts = [[row["name"], row["lattice"], ", ".join(row["nats"]), "in use" if row["current"] else ""] for row in rows]
    print_table(("name", "lattice", "nats", ""), texts)


def delete(name: NameArgument) -> None:
    """Delete a context.

    \b
    Example:
      lattice context delete east
    """
    known = _read()
    _find(known, name)
    left = {key: context for key, context in known.contexts.items() if key != name}
    _write(Contexts(current="" if known.current == name else known.current, contexts=left))


def chosen(name: str | None) -> Context | None:
    """The context of this name, else the one in use. Raises `errors.ConfigError` for a name that is not there."""
    known = _read()
    if name:
        return _find(known, name)
    return known.contexts.get(known.current) if known.current else None


def _find(known: Contexts, name: str) -> Context:
    found = known.contexts.get(name)
    if found is None:
        there = ", ".join(sorted(known.contexts)) or "none"
        raise errors.ConfigError(f"there is no context {name!r}", remedy=f"there are {there}; lattice context set")
    return found


def _file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / FILE


def _read() -> Contexts:
    path = _file()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Contexts)
    except FileNotFoundError:
        return Contexts()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"the saved contexts cannot be read from {path}: {error}") from error


def save_for_children(folder: Path, name: str, lattice: str, nats: NatsSettings) -> dict[str, str]:
    """Saves a context in a folder of its own, and returns the environment by which a child finds it there: what logs in
    is not to be seen among a process's arguments."""
    settings = {
        key: str(value.absolute()) if isinstance(value, Path) else value
        for key, value in msgspec.structs.asdict(nats).items()
    }
    context = Context(lattice=lattice, settings=settings)
    _write(Contexts(current=name, contexts={name: context}), folder / FILE)
    return {"XDG_CONFIG_HOME": str(folder), "LATTICE_CONTEXT": name}


def _write(contexts: Contexts, path: Path | None = None) -> None:
    """For their owner only: addresses may hold passwords."""
    path = path or _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(contexts), indent=2))
        os.replace(temporary, path)
    except OSError as error:
        raise errors.ConfigError(f"the contexts cannot be saved to {path}: {error.strerror or error}") from error
