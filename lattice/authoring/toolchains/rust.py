"""Rust by cargo and the SDK in actors/sdk/rust: a waPC actor, or a component.

A project says that it is a component where it names the SDK in Cargo.toml: `features = ["component"]`.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from lattice import errors
from lattice.authoring import sdk_copy
from lattice.authoring.compiling import compile_project, version_of
from lattice.authoring.project import Project
from lattice.authoring.toolchain import Tool

TARGET = "wasm32-unknown-unknown"
COMPONENT_TARGET = "wasm32-wasip2"
COMPONENT_FEATURE = "component"
SDK = "nanolattice"
OLDEST = (1, 63)
"""What the SDK is written for: the Rust of Debian 12."""
DEBUG_PROFILE = {
    "CARGO_PROFILE_RELEASE_STRIP": "none",
    "CARGO_PROFILE_RELEASE_DEBUG": "1",
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
}
"""Lines of functions for a guest that traps, and a build in half the time. Optimised all the same: debug builds of Rust
are ten times slower and larger."""


class Rust:
    """A `Toolchain`."""

    language = "rust"
    suffixes = (".rs",)

    def find(self) -> Tool:
        cargo, rustc = shutil.which("cargo"), shutil.which("rustc")
        version = version_of([rustc], "--version") if cargo and rustc else None
        if cargo is None or rustc is None or version is None:
            raise errors.ToolMissing(
                "cargo and rustc, which compile Rust, were not found",
                remedy="apt-get install cargo libstd-rust-dev-wasm32 lld; or rustup, then: rustup target add " + TARGET,
            )
        number = re.search(r"(\d+)\.(\d+)[.\d]*", version)
        if number is None or (int(number[1]), int(number[2])) < OLDEST:
            raise errors.ToolMissing(
                f"{version} is here, and actors need {OLDEST[0]}.{OLDEST[1]} or newer", remedy="rustup update stable"
            )
        if not self.has_target(TARGET):
            add = (
                f"rustup target add {TARGET}"
                if shutil.which("rustup")
                else "apt-get install libstd-rust-dev-wasm32 lld"
            )
            raise errors.ToolMissing(f"Rust {number[0]} is here, its library for WebAssembly is not", remedy=add)
        return Tool("rustc", number[0], Path(rustc), (cargo,))

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        (cargo,) = self.find().command
        sdk_copy.place(project, self.language)
        name, target = _made(project, cargo)
        if target == COMPONENT_TARGET and not self.has_target(target):
            raise errors.ToolMissing(
                "Rust is here, and its library for WebAssembly components is not", remedy=f"rustup target add {target}"
            )
        compile_project(
            project,
            [cargo, "build", "--release", "--lib", "--quiet", "--target", target, "--message-format", "short"],
            environment={**(DEBUG_PROFILE if project.debug else {}), "CARGO_TARGET_DIR": str(scratch)},
        )
        shutil.copyfile(scratch / target / "release" / f"{name}.wasm", out)

    def contracts(self, project: Project) -> frozenset[str] | None:
        return None

    def has_target(self, target: str) -> bool:
        """Whether the standard library for a target is here."""
        folder = version_of(["rustc"], "--print", "target-libdir", "--target", target)
        return folder is not None and any(Path(folder).glob("libstd-*.rlib"))


def _made(project: Project, cargo: str) -> tuple[str, str]:
    """What cargo calls the module that it makes, and the target it is for. Raises `errors.BuildFailed`."""
    described = json.loads(compile_project(project, [cargo, "metadata", "--no-deps", "--format-version", "1"]))
    for package in described["packages"]:
        features = {
            feature for entry in package["dependencies"] if entry["name"] == SDK for feature in entry["features"]
        }
        for target in package["targets"]:
            if "cdylib" in target["crate_types"]:
                name = str(target["name"]).replace("-", "_")
                return name, COMPONENT_TARGET if COMPONENT_FEATURE in features else TARGET
    raise errors.BuildFailed(
        f"{project.name}: Cargo.toml makes no module", remedy='it needs [lib] with crate-type = ["cdylib"]'
    )
