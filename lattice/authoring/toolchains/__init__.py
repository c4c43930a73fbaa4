"""One toolchain for each language. A new one: a file here, a line below, a folder of actors/sdk and of templates."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from lattice import errors
from lattice.authoring.toolchain import Toolchain
from lattice.authoring.toolchains.assemblyscript import AssemblyScript
from lattice.authoring.toolchains.c import C
from lattice.authoring.toolchains.go import Go
from lattice.authoring.toolchains.javascript import JavaScript
from lattice.authoring.toolchains.python import Python
from lattice.authoring.toolchains.rust import Rust
from lattice.authoring.toolchains.zig import Zig

TOOLCHAINS: dict[str, Toolchain] = {
    "assemblyscript": AssemblyScript(),
    "c": C(),
    "go": Go(),
    "javascript": JavaScript("javascript", ".js", ".mjs", ".json"),
    "python": Python(),
    "rust": Rust(),
    "typescript": JavaScript("typescript", ".ts", ".js", ".json"),
    "zig": Zig(),
}
"""By language."""
SHORT = {"py": "python", "ts": "typescript", "js": "javascript", "as": "assemblyscript", "rs": "rust", "golang": "go"}
"""What people also write. It is told and not taken, so that lattice.toml has one word for a language."""


def toolchain(language: str) -> Toolchain:
    """Raises `errors.ConfigError` for a language that there is none for."""
    found = TOOLCHAINS.get(language)
    if found is None:
        raise errors.ConfigError(
            f"no toolchain for the language {language[:50]!r}",
            remedy=meant(SHORT.get(language.lower(), language.lower()), sorted(TOOLCHAINS)),
        )
    return found


def meant(word: str, known: Sequence[str]) -> str:
    """What to say after a word that nothing here is called: the nearest one that something is, and all of them."""
    close = difflib.get_close_matches(word[:50], known, n=1)
    listed = f"there are {', '.join(known)}"
    return f"did you mean {close[0]}? {listed}" if close else listed
