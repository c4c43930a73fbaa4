"""`lattice new`: a project that builds, is tested, and runs at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table

if TYPE_CHECKING:
    from lattice.authoring.project import Project


class _Kinds(TyperGroup):
    """Who leaves out what is to be made is told the whole command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and all(word.startswith("-") for word in args[1:2]):
            ctx.fail(f"what is to be made is missing: lattice new actor {' '.join(args)}")
        return super().resolve_command(ctx, args)


def build() -> typer.Typer:
    group = typer.Typer(
        cls=_Kinds,
        help="Make new projects.\n\n\b\nExample:\n  lattice new actor shop --lang python",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("actor")(actor)
    return group


def actor(
    name: Annotated[str, typer.Argument(help="Small letters, digits and dashes; also the folder.", show_default=False)],
    lang: Annotated[
        str, typer.Option("--lang", "-l", help="The language; asked for on a terminal.", show_default=False)
    ] = "",
    template: Annotated[
        str, typer.Option("--template", "-t", help="What it does: http, counter, worker or cron.")
    ] = "http",
    output: FormatOption = Format.TEXT,
) -> None:
    """Make the folder NAME with an actor that builds, is tested, and runs at once. Nothing else is touched.

    Nothing is installed: `lattice doctor` says which compilers are here, and how to get the others.

    \b
    Example:
      lattice new actor shop --lang c --template counter
    """
    from lattice.authoring import creating
    from lattice.authoring.toolchains import toolchain

    project = creating.create(name, lang or _ask_language(), template, Path.cwd())
    try:
        missing = None
        toolchain(project.language).find()
    except errors.ToolMissing as error:
        missing = error
    if output is Format.JSON:
        remedy = missing.remedy if missing else None
        print_json({**_document(project), "template": template, "install": remedy})
        return
    print(f"made {name}, an actor in {creating.spelled(project.language)}:")
    for path in _files(project):
        print(f"  {name}/{path}")
    print("next:")
    print(f"  cd {name}")
    print("  lattice dev      # runs it, and again after every saved change")
    print("  lattice test     # its tests")
    if missing is not None:
        print(f"before that: {missing.message}; {missing.remedy}")


def _ask_language() -> str:
    """Raises `errors.ConfigError` where nobody can be asked."""
    from lattice.authoring import creating

    offered = creating.offered()
    listed = f"there are {', '.join(offered)}"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise errors.ConfigError("in which language? --lang is missing", remedy=listed)
    print_table(("language", "templates"), [[language, ", ".join(names)] for language, names in offered.items()])
    answer: str = typer.prompt("language")
    if answer not in offered:
        raise errors.ConfigError(f"no actors are written in {answer[:50]!r} here", remedy=listed)
    return answer


def _files(project: Project) -> list[str]:
    return sorted(path.relative_to(project.folder).as_posix() for path in project.folder.rglob("*") if path.is_file())


def _document(project: Project) -> dict[str, object]:
    return {
        "name": project.name,
        "language": project.language,
        "folder": str(project.folder),
        "files": _files(project),
    }
