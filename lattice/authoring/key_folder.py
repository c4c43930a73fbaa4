"""Keys in a folder of one's own, by name. Whoever has the folder can sign as its owner."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lattice import errors

if TYPE_CHECKING:
    from lattice.security.keys import KeyPair, Role

FOLDER = Path("nanolattice", "keys")
"""Where keys are, in a folder for configuration."""
VARIABLE = "LATTICE_KEYS"
SUFFIX = ".nk"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DEVELOPMENT = "development"
"""The account key that signs when no issuer is named. It is made at its first use."""


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
    return read(path.stem, path)


def pair(saved: SavedKey, role: Role) -> KeyPair:
    """A key to sign with. Raises `errors.ConfigError` for one of another role."""
    from lattice.security import keys

    if saved.role != role:
        raise errors.ConfigError(f"{saved.file} holds the key of an {saved.role}, and one of an {role} is needed")
    return keys.from_seed(saved.seed)


def find_or_make(role: Role, name: str) -> tuple[SavedKey, bool]:
    """The key of this name, made when there is none; and whether it was. Raises `errors.ConfigError`."""
    path = _place(name)
    if not path.exists():
        try:
            return make(role, name), True
        except errors.ConfigError:
            if not path.exists():
                raise
            # Another process made it in between.
    found = read(name, path)
    if found.role != role:
        raise errors.ConfigError(f"the key {name} is one of an {found.role}, and one of an {role} is needed")
    return found, False


def make(role: Role, name: str) -> SavedKey:
    """A new key in the folder of keys. Raises `errors.ConfigError` for a name that is taken."""
    return make_in(role, name, _place(name))


def make_in(role: Role, name: str, path: Path) -> SavedKey:
    """A new key in a file. Raises `errors.ConfigError` for one that is there."""
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


def read(name: str, path: Path) -> SavedKey:
    """Raises `errors.ConfigError`."""
    from lattice.security import keys

    seed = keys.read_seed_text(path)
    return SavedKey(name, *keys.public_of(seed), path, seed)


def key_name(name: str) -> str:
    """An actor's name as that of a key. Other letters are left out, and a part of a hash keeps such names apart."""
    if NAME.fullmatch(name):
        return name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:80] or "actor"
    return f"{plain}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
