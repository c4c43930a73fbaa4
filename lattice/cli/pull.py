"""`lattice pull`: an image from a registry into the cache, or a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json
from lattice.cli.registry import (
    InsecureRegistryOption,
    RegistryCaOption,
    RegistryPrivateHostOption,
    progress_bar,
    registries,
)


def pull(
    reference: Annotated[
        str, typer.Argument(help="REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("--out", help="A file to copy the module to.")] = None,
    insecure_registry: InsecureRegistryOption = None,
    registry_ca: RegistryCaOption = None,
    registry_private_host: RegistryPrivateHostOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Fetch an image from a registry into the cache, from which hosts start it without the registry.

    A download that was broken off goes on where it ended. By digest, what is in the cache needs no network.

    \b
    Example:
      lattice pull registry.example/team/counter:1.0
    """
    import asyncio

    from lattice.artifacts.images import Images
    from lattice.artifacts.reference import parse
    from lattice.config import default_cache

    wanted = parse(reference)
    settings = registries(insecure_registry, registry_ca, registry_private_host)
    images = Images(default_cache() / "images", registries=settings)
    with progress_bar(f"pulling {wanted}") as progress:
        pulled = asyncio.run(images.pull(wanted, progress, stale=False))
    place = pulled.path
    if out is not None:
        _copy(place, out)
        place = out
    if output is Format.JSON:
        document = {"reference": pulled.reference, "digest": pulled.digest, "module": pulled.module}
        print_json({**document, "size": pulled.size, "path": str(place), "from_cache": pulled.from_cache})
        return
    print(f"pulled {pulled.reference}{' (the module was in the cache)' if pulled.from_cache else ''}")
    print(f"  digest {pulled.digest}")
    print(f"  module {pulled.module} ({pulled.size} bytes)")
    print(f"  {place}")


def _copy(path: Path, out: Path) -> None:
    """The file appears whole or not at all."""
    try:
        handle, temporary = tempfile.mkstemp(dir=out.absolute().parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(path.read_bytes())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, out)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise errors.ArtifactUnreadable(f"{out} cannot be written: {error.strerror or error}") from error
