"""`lattice keys`: nkeys in a folder of one's own, by name. Seeds are printed only when they are asked for."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table

if TYPE_CHECKING:
    from lattice.security.keys import KeyPair, Role

FOLDER = Path("nanolattice", "keys")
"""Where keys are, in a folder for configuration."""
VARIABLE = "LATTICE_KEYS"
SUFFIX = ".nk"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SeedOption = Annotated[bool, typer.Option("--show-seed", help="Print the private key too. Who has it can sign.")]


def build() -> typer.Typer:
    group = typer.Typer(
        help="Keys of accounts, actors, clusters and others.\n\n\b\nExample:\n  lattice keys gen account",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("gen")(gen)
    group.command("list")(list_)
    group.command("get")(get)
    return group


class SavedKey(msgspec.Struct, frozen=True):
    """A key in a file. `seed` is the private one."""

    name: str
    role: Role
    public: str
    file: Path
    seed: str

    def document(self, with_seed: bool) -> dict[str, Any]:
        shown = {"name": self.name, "role": self.role, "public": self.public, "file": str(self.file)}
        return {**shown, "seed": self.seed} if with_seed else shown


def gen(
    role: Annotated[
        str,
        typer.Argument(help="account, actor, cluster, curve, host, operator, provider or user.", show_default=False),
    ],
    name: Annotated[str, typer.Option("--name", help="What commands know the key by.", show_default="the role")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="Another file.", show_default="NAME.nk in the folder of keys")
    ] = None,
    show_seed: SeedOption = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a key and keep it in a file that only you can read. A file that is there is never overwritten.

    The public key is printed. The folder of keys is $LATTICE_KEYS, else ~/.config/nanolattice/keys.

    \b
    Example:
      lattice keys gen account --name shop
    """
    from typing import get_args

    from lattice.security.keys import Role

    if role not in get_args(Role):
        raise errors.ConfigError(f"no keys are of the role {role!r}", remedy=f"roles: {', '.join(get_args(Role))}")
    found = make(role, name or role) if out is None else _make_in(role, out.stem, out)  # type: ignore[arg-type]  # is one
    _show(found, show_seed, output)


def list_(output: FormatOption = Format.TEXT) -> None:
    """List the keys in the folder of keys, without their seeds.

    \b
    Example:
      lattice keys list
    """
    rows: list[dict[str, Any]] = []
    for path in sorted(folder().glob(f"*{SUFFIX}")):
        try:
            rows.append(_read(path.stem, path).document(with_seed=False))
        except errors.ConfigError as error:
            rows.append({"name": path.stem, "role": None, "public": None, "file": str(path), "error": str(error)})
    if output is Format.JSON:
        print_json(rows)
        return
    print_table(
        ("name", "role", "public key"),
        [[row["name"], row["role"] or "unreadable", row["public"] or row["error"]] for row in rows],
    )


def get(
    name: Annotated[str, typer.Argument(help="A key's name, or a file.", show_default=False)],
    show_seed: SeedOption = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show a key: its role, its public key, its file.

    \b
    Example:
      lattice keys get shop
    """
    _show(find(name), show_seed, output)


def folder() -> Path:
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / FOLDER


def find(text: str) -> SavedKey:
    """The key of this name, else in this file. Raises `errors.ConfigError`; a seed is never taken from an argument,
    where everybody on the machine can read it."""
    if re.fullmatch(r"S[A-Z2-7]{57}", text):
        raise errors.ConfigError(
            "a seed does not belong on a command line, which others can see", remedy="put it into a file, and name that"
        )
    path = _place(text) if NAME.fullmatch(text) else Path(text)
    if not path.exists() and Path(text).is_file():
        path = Path(text)
    if not path.exists():
        raise errors.ConfigError(
            f"there is no key {text!r} in {folder()}", remedy="lattice keys list; lattice keys gen"
        )
    return _read(path.stem, path)


def pair(saved: SavedKey, role: Role) -> KeyPair:
    """A key to sign with. Raises `errors.ConfigError` for one of another role."""
    from lattice.security import keys

    if saved.role != role:
        raise errors.ConfigError(f"{saved.file} holds the key of an {saved.role}, and one of an {role} is needed")
    return keys.from_seed(saved.seed)


def find_or_make(role: Role, name: str) -> tuple[SavedKey, bool]:
    """The key of this name, made when there is none; and whether it was. Raises `errors.ConfigError`."""
    path = _place(name)
    if path.exists():
        found = _read(name, path)
        if found.role != role:
            raise errors.ConfigError(f"the key {name} is one of an {found.role}, and one of an {role} is needed")
        return found, False
    return make(role, name), True


def make(role: Role, name: str) -> SavedKey:
    """A new key in the folder of keys. Raises `errors.ConfigError` for a name that is taken."""
    return _make_in(role, name, _place(name))


def _make_in(role: Role, name: str, path: Path) -> SavedKey:
    from lattice.security import keys

    seed = keys.generate_seed(role)
    keys.write_new_seed(path, seed)
    return SavedKey(name, *keys.public_of(seed), path, seed)


def _place(name: str) -> Path:
    if not NAME.fullmatch(name):
        raise errors.ConfigError(
            f"{name[:100]!r} cannot be the name of a key", remedy="letters, digits, dots and dashes, at most 100"
        )
    return folder() / f"{name}{SUFFIX}"


def _read(name: str, path: Path) -> SavedKey:
    from lattice.security import keys

    seed = keys.read_seed_text(path)
    return SavedKey(name, *keys.public_of(seed), path, seed)


def _show(key: SavedKey, with_seed: bool, output: Format) -> None:
    document = key.document(with_seed)
    if output is Format.JSON:
        print_json(document)
        return
    print_table(("property", "value"), [[name, str(value)] for name, value in document.items()])
