"""One toolchain for each language. A new one: a file here, a line below, a folder of actors/sdk and of templates."""

from __future__ import annotations

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


def toolchain(language: str) -> Toolchain:
    """Raises `errors.ConfigError` for a language that there is none for."""
    found = TOOLCHAINS.get(language)
    if found is None:
        raise errors.ConfigError(
            f"no toolchain for the language {language[:50]!r}", remedy=f"there are {', '.join(sorted(TOOLCHAINS))}"
        )
    return found
