"""An actor's project: a folder with a lattice.toml, which says what it is called and what it is written in."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from lattice import errors

FILE = "lattice.toml"
OWN_FOLDER = ".lattice"
"""What belongs to this machine: state of `lattice dev`, scratch files of builds. Never in version control."""
NAME = re.compile(r"[a-z][a-z0-9-]{0,49}")
"""Names become file names, package names and component names; this is what all of them take."""
FILE_BYTES_MAX = 64 * 1024
"""A lattice.toml has ten lines."""
REVISION_MAX = 2**31 - 1
"""As tokens have it; see `security.signing`."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What lattice.toml says. `folder` is absolute, `source` relative to it."""

    folder: Path
    name: str
    """What the module and the actor are called: small letters, digits and dashes."""
    language: str
    """What it is written in; `lattice doctor` lists what there is."""
    source: str
    """The file that the compiler begins with, inside the project."""
    revision: int = 1
    """`rev` of the token. A live update needs a greater one."""
    capabilities: tuple[str, ...] | None = None
    """Contract ids that count instead of those that are found; None: look."""
    alias: str = ""
    """A name by which other actors may call it."""
    debug: bool = False
    """Not of the file: `lattice dev` sets it. A toolchain that can keep source positions then does, at the cost of
    size."""

    @property
    def target(self) -> Path:
        """Where the built and signed module is."""
        return self.folder / "build" / f"{self.name}.wasm"

    @property
    def manifest(self) -> Path:
        return self.folder / "app.yaml"

    @property
    def own_folder(self) -> Path:
        return self.folder / OWN_FOLDER

    @property
    def module_name(self) -> str:
        """The name where dashes are not allowed: modules of Python, crates, packages."""
        return self.name.replace("-", "_")


def find(place: Path) -> Path:
    """The project folder that `place` is, or lies in. Raises `errors.ConfigError`."""
    place = place.absolute()
    if not place.exists():
        raise errors.ConfigError(f"there is no folder {place}", remedy="lattice new actor NAME makes a project")
    for folder in (place, *place.parents):
        if (folder / FILE).is_file():
            return folder
    raise errors.ConfigError(
        f"{place} is not an actor's project: there is no {FILE} in it or above it",
        remedy="lattice new actor NAME makes one; or name the project's folder",
    )


def load(place: Path) -> Project:
    """Reads the lattice.toml of the project at `place`. Raises `errors.ConfigError`, `errors.ManifestError`."""
    folder = find(place)
    file = folder / FILE
    try:
        data = file.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            raise errors.ConfigError(f"{file} has {len(data)} bytes; at most {FILE_BYTES_MAX} are read")
        document = tomllib.loads(data.decode())
    except OSError as error:
        raise errors.ConfigError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise errors.ConfigError(f"{file} is not UTF-8: {error.reason} at byte {error.start}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _mistake(file, str(error) or "nested too deeply") from error
    return parse(document, folder)


def parse(document: dict[str, Any], folder: Path) -> Project:
    """A project of what a lattice.toml holds. Raises `errors.ConfigError`."""
    file = folder / FILE
    _require_known(document, {"actor"}, file, "at the top")
    table = document.get("actor")
    if not isinstance(table, dict):
        raise _mistake(file, "there is no table [actor]")
    known = {"name", "language", "source", "revision", "capabilities", "alias"}
    _require_known(table, known, file, "in [actor]")
    texts = {}
    for key in ("name", "language", "source", "alias"):
        value = table.get(key, "" if key == "alias" else None)
        if not isinstance(value, str) or (not value and key != "alias"):
            raise _mistake(file, f"[actor] needs {key} as text, such as {key} = {_EXAMPLES[key]}")
        texts[key] = value
    require_name(texts["name"])
    source = Path(texts["source"])
    if source.is_absolute() or ".." in source.parts:
        raise _mistake(file, f"source is a path inside the project, not {texts['source'][:200]!r}")
    revision = table.get("revision", 1)
    if type(revision) is not int or not 0 <= revision <= REVISION_MAX:
        raise _mistake(file, f"revision is a number from 0 to {REVISION_MAX}")
    capabilities = table.get("capabilities")
    if capabilities is not None and not (isinstance(capabilities, list) and all(map(_is_contract, capabilities))):
        raise _mistake(file, 'capabilities is a list of contracts, such as ["wasmcloud:keyvalue"]')
    return Project(
        folder=folder.absolute(),
        name=texts["name"],
        language=texts["language"],
        source=texts["source"],
        revision=revision,
        capabilities=None if capabilities is None else tuple(capabilities),
        alias=texts["alias"],
    )


_EXAMPLES = {"name": '"shop"', "language": '"python"', "source": '"app.py"', "alias": '"shop"'}


def require_name(name: str) -> None:
    """Raises `errors.ConfigError` for what cannot be a project's name."""
    if not NAME.fullmatch(name):
        raise errors.ConfigError(
            f"{name[:100]!r} cannot be an actor's name",
            remedy="small letters, digits and dashes, beginning with a letter, at most 50: for example word-count",
        )


def _is_contract(value: object) -> bool:
    return isinstance(value, str) and ":" in value and value.isprintable() and " " not in value and len(value) <= 200


def _require_known(table: dict[str, Any], known: set[str], file: Path, where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise _mistake(file, f"{unknown[0]!r} {where} is not known; known are {', '.join(sorted(known))}")


def _mistake(file: Path, what: str) -> errors.ConfigError:
    return errors.ConfigError(f"{file}: {what}", remedy=f"docs/guides/dev.md shows a whole {FILE}")
