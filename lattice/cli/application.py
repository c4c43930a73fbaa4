"""`lattice app`: applications and their manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lattice.cli import lattice_app
from lattice.cli.output import Format, FormatOption, print_json


def build() -> typer.Typer:
    group = typer.Typer(
        help="Applications and their manifests.\n\n\b\nExample:\n  lattice app validate lattice.yaml",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name, command in (
        ("validate", validate),
        ("put", lattice_app.put),
        ("deploy", lattice_app.deploy),
        ("undeploy", lattice_app.undeploy),
        ("delete", lattice_app.delete),
        ("list", lattice_app.list_),
        ("get", lattice_app.get),
        ("status", lattice_app.status),
        ("history", lattice_app.history),
        ("rollback", lattice_app.rollback),
    ):
        group.command(name)(command)
    return group


def validate(
    manifest: Annotated[Path, typer.Argument(help="A manifest.", show_default=False)],
    output: FormatOption = Format.TEXT,
) -> None:
    """Find every mistake in a manifest, without starting anything.

    \b
    Example:
      lattice app validate lattice.yaml
    """
    from lattice import errors
    from lattice.control.manifest import load
    from lattice.control.settings_check import check_application
    from lattice.supervisor import Installed

    try:
        installed = Installed()
        application = load(manifest, installed)
        check_application(application, installed.type)
    except errors.ManifestError as error:
        if output is Format.TEXT:
            raise
        mistakes = [_mistake(one) for one in (error, *error.others)]
        print_json({"valid": False, "name": None, "components": [], "links": [], "mistakes": mistakes})
        raise typer.Exit(1) from None
    if output is Format.JSON:
        components = [
            {
                "name": component.name,
                "kind": component.kind,
                "image": component.image.text,
                "contract": component.contract,
            }
            for component in application.components
        ]
        links = [
            {
                "source": link.source,
                "target": link.target,
                "contract": link.contract,
                "name": link.name,
                "granted_by": link.granted_by,
                "operations": link.operations,
            }
            for link in application.links
        ]
        print_json({"valid": True, "name": application.name, "components": components, "links": links, "mistakes": []})
        return
    print(f"{manifest}: {application.name} is valid", end="")
    print(f" ({len(application.components)} components, {len(application.links)} links)")


def _mistake(error: Any) -> dict[str, Any]:
    return {
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "message": error.message,
        "remedy": error.remedy,
    }
