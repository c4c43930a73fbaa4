"""`lattice cache`: the images that this machine keeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table

if TYPE_CHECKING:
    from lattice.artifacts.images import Images

DAY_S = 24 * 3600.0


def build() -> typer.Typer:
    group = typer.Typer(
        help="Images that this machine keeps, by content.\n\n\b\nExample:\n  lattice cache list",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(list_)
    group.command("trim")(trim)
    group.command("verify")(verify)
    return group


def list_(output: FormatOption = Format.TEXT) -> None:
    """Show what is kept: size, when it was last used, and the references that mean it.

    \b
    Example:
      lattice cache list
    """
    from lattice.artifacts.pull import ago

    images = _images()
    rows = _rows(images)
    size = sum(row["size"] for row in rows)
    if output is Format.JSON:
        print_json({"folder": str(images.blobs.folder), "size": size, "blobs": rows})
        return
    cells = [
        [row["digest"][7:19], row["kind"], str(row["size"]), ago(row["unused_s"]), ", ".join(row["references"])]
        for row in rows
    ]
    print_table(("digest", "kind", "bytes", "unused for", "references"), cells)
    print(f"{size} bytes in {images.blobs.folder}")


def trim(
    max_size: Annotated[str | None, typer.Option("--max-size", help="Keep at most so much, such as 500MiB.")] = None,
    unused_for: Annotated[str | None, typer.Option("--unused-for", help="Remove what was not used for 30d.")] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Remove what was longest not used. What was used within the last minute stays.

    Without an option it removes what is over the limit of 2 GiB, which hosts do by themselves.

    \b
    Example:
      lattice cache trim --max-size 500MiB --unused-for 30d
    """
    images = _images()
    size = _read("--max-size", max_size, _size)
    gone = images.blobs.trim(None if size is None else int(size), _read("--unused-for", unused_for, _duration))
    images.tags.forget(frozenset(f"sha256:{entry.digest}" for entry in gone))
    freed = sum(entry.size for entry in gone)
    if output is Format.JSON:
        print_json({"removed": [f"sha256:{entry.digest}" for entry in gone], "freed": freed})
        return
    print(f"removed {len(gone)}, which frees {freed} bytes")


def verify(output: FormatOption = Format.TEXT) -> None:
    """Read everything and compare it with its digest. What is wrong is removed, and fetched again when it is wanted.

    \b
    Example:
      lattice cache verify
    """
    right, wrong = _images().blobs.verify()
    if output is Format.JSON:
        print_json({"right": right, "wrong": [f"sha256:{digest}" for digest in wrong]})
    else:
        print(f"{right} right, {len(wrong)} wrong")
        for digest in wrong:
            print(f"  sha256:{digest} is removed")
    if wrong:
        raise typer.Exit(1)


def _images() -> Images:
    from lattice.artifacts.images import Images
    from lattice.config import default_cache

    return Images(default_cache() / "images")


def _rows(images: Images) -> list[dict[str, Any]]:
    """A module is meant by the references of its manifest."""
    from lattice.artifacts.pull import references

    meant = references(images.blobs, images.tags)
    now = time.time()
    return [
        {
            "digest": f"sha256:{entry.digest}",
            "kind": entry.kind,
            "size": entry.size,
            "unused_s": max(0, round(now - entry.used_at)),
            "references": sorted(meant.get(f"sha256:{entry.digest}", ())),
        }
        for entry in images.blobs.entries()
    ]


def _read(option: str, text: str | None, parse: Any) -> float | None:
    if text is None:
        return None
    try:
        return float(parse(text))
    except ValueError as error:
        raise errors.ConfigError(f"{option}: {error}") from error


def _size(text: str) -> int:
    from lattice.control.manifest import parse_size

    return parse_size(text)


def _duration(text: str) -> float:
    from lattice.control.manifest import parse_duration

    if text.endswith("d"):
        return parse_duration(text.removesuffix("d")) * DAY_S
    return parse_duration(text)
