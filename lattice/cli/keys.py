"""`lattice keys`: nkeys in a folder of one's own, by name. Seeds are printed only when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lattice import errors
from lattice.authoring.key_folder import SUFFIX, SavedKey, find, folder, make, make_in, read
from lattice.cli.output import Format, FormatOption, print_json, print_table

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
    found = make(role, name or role) if out is None else make_in(role, out.stem, out)  # type: ignore[arg-type]  # is one
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
            rows.append(read(path.stem, path).document(with_seed=False))
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


def _show(key: SavedKey, with_seed: bool, output: Format) -> None:
    document = key.document(with_seed)
    if output is Format.JSON:
        print_json(document)
        return
    print_table(("property", "value"), [[name, str(value)] for name, value in document.items()])
