"""The file of an actor: read, looked at and admitted. What comes out of here may be compiled."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from lattice import errors, wasmfile
from lattice.artifacts import module_file
from lattice.contracts.interfaces import names_interface, without_version
from lattice.security import admission
from lattice.security.claims import Claims, token_in
from lattice.security.settings import ActorTrust


class ActorImage(msgspec.Struct, frozen=True):
    """A file that was admitted, not yet compiled. `claims` are verified, None for an unsigned module; `token` is where
    they came from, for other hosts to verify."""

    path: Path
    data: bytes
    digest: str
    file: wasmfile.WasmFile
    claims: Claims | None
    token: bytes

    @property
    def claimed_key(self) -> str:
        """The actor's key by its token, "" without one."""
        return self.claims.subject if self.claims is not None else ""

    @property
    def interfaces(self) -> frozenset[str] | None:
        """What a component exports, without versions; None for what is none, and answers what it likes."""
        if self.file.format != "component":
            return None
        return frozenset(without_version(entry.name) for entry in self.file.exports if entry.kind == "instance")


def require_exported(contract: str, name: str, interfaces: frozenset[str] | None) -> None:
    """Raises `errors.ConfigError` for a link by which others would call an interface that `name` does not export."""
    if interfaces is None or not names_interface(contract) or contract in interfaces:
        return
    exported = ", ".join(sorted(interfaces)) or "no interface"
    raise errors.ConfigError(
        f"a link leads to {name} for {contract}, which it does not export",
        remedy=f"it exports {exported}; interfaces are matched by name, without their versions",
    )


def read_image(path: Path, trust: ActorTrust, now: float) -> ActorImage:
    """Reads a file once, and admits these bytes; `now` is in seconds since 1970.

    Raises `errors.ArtifactUnreadable`, `errors.NotWasm`, `errors.NotAdmitted`, naming the file.
    """
    data = module_file.read(path, "check the component's image")
    try:
        file = wasmfile.describe(data)
        claims = admission.admit(data, file, trust, now)
        token = token_in(data, file) or b""
    except errors.ArtifactError as error:
        raise in_file(path, error) from error
    return ActorImage(path, data, hashlib.sha256(data).hexdigest(), file, claims, token)


def in_file(path: Path, error: errors.LatticeError) -> errors.LatticeError:
    """The same error, naming the file that it is about."""
    return type(error)(f"{path}: {error.message}", remedy=error.remedy)
