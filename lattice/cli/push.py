"""`lattice push`: a module into a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.registry import (
    InsecureRegistryOption,
    RegistryCaOption,
    RegistryPrivateHostOption,
    progress_bar,
    registries,
)


def push(
    file: Annotated[Path, typer.Argument(help="A .wasm file.", show_default=False)],
    reference: Annotated[str, typer.Argument(help="REGISTRY/NAME:TAG", show_default=False)],
    insecure_registry: InsecureRegistryOption = None,
    registry_ca: RegistryCaOption = None,
    registry_private_host: RegistryPrivateHostOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Put a module into a registry, as an image that others pull by its tag or digest.

    The file goes as it is, its signature with it. What the registry has already is not sent again.

    \b
    Example:
      lattice push counter.wasm registry.example/team/counter:1.0
    """
    import asyncio

    import msgspec

    from lattice.artifacts.push import push as push_file
    from lattice.artifacts.reference import parse

    wanted = parse(reference)
    settings = registries(insecure_registry, registry_ca, registry_private_host)
    with progress_bar(f"pushing {wanted}") as progress:
        pushed = asyncio.run(push_file(file, wanted, settings, progress))
    if output is Format.JSON:
        print_json(msgspec.to_builtins(pushed))
        return
    print(f"pushed {pushed.reference}")
    print(f"  digest {pushed.digest}")
    print(f"  module {pushed.module} ({pushed.size} bytes{'' if pushed.sent else ', which was there'})")
