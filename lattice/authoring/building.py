"""From a project to a signed module: compile, look at what came out, shrink it, sign it with the development key."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

import msgspec

from lattice import errors, wasmfile
from lattice.artifacts import module_file
from lattice.authoring import app_manifest, capabilities, key_folder
from lattice.authoring.compiling import run
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from lattice.config import Limits
from lattice.security.signing import Wish, sign

PAGE_BYTES = 64 * 1024
OPTIMISER = "wasm-opt"
"""Of binaryen. Used when it is there; without it modules are somewhat larger."""
OPTIMISER_FLAGS = ("-Os", "--strip-debug", "--strip-producers")


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """What a build came to. `imports` are names such as `wapc.__host_call`; `notes` are sentences for people."""

    path: Path
    size: int
    kind: wasmfile.GuestKind
    imports: tuple[str, ...]
    contracts: tuple[str, ...]
    takes_messages: bool
    revision: int
    compiler: str
    seconds: float
    optimised: bool = False
    notes: tuple[str, ...] = ()


def build(project: Project, out: Path | None = None, *, revision: int | None = None) -> Built:
    """Builds a project to its `target`, or to `out`; the token has its `revision`, or that which is given. What was
    there is replaced when all went well, and stays when not. Blocks: callers on a loop use a thread.

    Raises `errors.ToolMissing`, `errors.BuildFailed`, `errors.ConfigError`.
    """
    began = time.monotonic()
    target = out or project.target
    chain = toolchain(project.language)
    tool = chain.find()
    if not (project.folder / project.source).is_file():
        raise errors.ConfigError(
            f"{project.folder} has no file {project.source}", remedy="source in lattice.toml names the actor's code"
        )
    scratch = project.own_folder / ("build-debug" if project.debug else "build")
    raw = scratch / f"{os.getpid()}.wasm"
    _make_folder(scratch)
    _make_folder(target.parent)
    try:
        chain.build(project, raw, scratch)
        _require_size(project, raw)
        optimised = not project.debug and _optimise(raw)
        data = module_file.read(raw)
    except OSError as error:
        raise errors.BuildFailed(
            f"{project.name} cannot be built: {error}",
            remedy="is the project's folder writable, and the compiler whole?",
        ) from error
    finally:
        raw.unlink(missing_ok=True)
    file = wasmfile.describe(data)
    _require_runnable(project, file)
    found = chain.contracts(project)
    seen = capabilities.contracts(data, file) if found is None else found
    contracts = frozenset(seen if project.capabilities is None else project.capabilities)
    rev = project.revision if revision is None else revision
    signed = sign_for_development(data, project, tuple(sorted(contracts)), rev)
    write(target, signed)
    return Built(
        path=target,
        size=len(signed),
        kind=file.guest,
        imports=tuple(f"{entry.module}.{entry.name}" if entry.module else entry.name for entry in file.imports),
        contracts=tuple(sorted(contracts)),
        takes_messages=capabilities.takes_messages(data, file),
        revision=rev,
        compiler=f"{tool.name} {tool.version}",
        seconds=time.monotonic() - began,
        optimised=optimised,
        notes=_notes(project, seen, contracts),
    )


def sign_for_development(data: bytes, project: Project, contracts: tuple[str, ...], revision: int) -> bytes:
    """The same module with a token by the development key of this user, which is made when it is not there. The same
    source gives the same bytes."""
    account, _ = key_folder.find_or_make("account", key_folder.DEVELOPMENT)
    subject, _ = key_folder.find_or_make("actor", key_folder.key_name(project.name))
    if subject.role != "actor":
        raise errors.ConfigError(f"{subject.file} is no actor's key", remedy="move it away, or rename the actor")
    wish = Wish(subject=subject.public, name=project.name, caps=contracts, rev=revision, alias=project.alias)
    return sign(data, wish, key_folder.pair(account, "account"))


def write(target: Path, data: bytes) -> None:
    """Whole or not at all: a host may be reading it. Raises `errors.ConfigError`."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as opened:  # no link that somebody put there is followed
            opened.write(data)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise errors.ConfigError(f"{target} cannot be written: {error.strerror or error}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.ConfigError(f"the folder {folder} cannot be made: {error.strerror or error}") from error


def _require_size(project: Project, raw: Path) -> None:
    """A compiler wrote something, and hosts would read it."""
    if not raw.is_file():
        raise errors.BuildFailed(f"{project.name}: the compiler said nothing, and wrote no module")
    size = raw.stat().st_size
    if size > wasmfile.WASM_BYTES_MAX:
        raise errors.BuildFailed(
            f"{project.name} is too large: {size // 2**20} MiB, and hosts read {wasmfile.WASM_BYTES_MAX // 2**20} MiB",
            remedy="leave out what it does not need: data files belong into a blob store, libraries may have features",
        )


def _require_runnable(project: Project, file: wasmfile.WasmFile) -> None:
    """Better now than at the start of a host."""
    if file.guest == "unknown":
        raise errors.BuildFailed(
            f"{project.name} compiled to a module that no host can call: it exports neither __guest_call nor _start",
            remedy="does it register its handlers with the SDK? The template shows how",
        )
    least = max((memory.pages_min * PAGE_BYTES for memory in file.memories), default=0)
    limit = Limits().memory_bytes_max
    if least > limit and not _raises_memory(project):
        raise errors.BuildFailed(
            f"{project.name} is too large: it begins with {least // 2**20} MiB of memory, and an actor gets"
            f" {limit // 2**20} MiB",
            remedy="make its tables and arrays smaller, or set limits.memory of the component in app.yaml",
        )


def _raises_memory(project: Project) -> bool:
    """Whether the manifest sets a limit of its own; the host then keeps to that, and says so."""
    from lattice.supervisor import Installed

    with contextlib.suppress(errors.ManifestError):
        application = app_manifest.read(project, Installed())
        found = application.components if application is not None else ()
        return any(component.limits.memory_bytes_max > Limits().memory_bytes_max for component in found)
    return False


def _optimise(raw: Path) -> bool:
    """Makes a core module smaller, where the optimiser is there and knows all that is in it."""
    program = shutil.which(OPTIMISER)
    with raw.open("rb") as opened:
        is_module = opened.read(8) == b"\0asm\1\0\0\0"
    if program is None or not is_module:
        return False
    smaller = raw.with_suffix(".optimised")
    try:
        run([program, *OPTIMISER_FLAGS, str(raw), "-o", str(smaller)], raw.parent)
        if smaller.stat().st_size >= raw.stat().st_size:
            return False
        os.replace(smaller, raw)
    except (errors.BuildFailed, OSError):
        return False  # it runs as it is
    return True


def _notes(project: Project, seen: frozenset[str], contracts: frozenset[str]) -> tuple[str, ...]:
    if project.capabilities is None:
        return ()
    return tuple(
        f"it seems to use {name}, which capabilities in lattice.toml does not have: such calls will be refused"
        for name in sorted(seen - contracts)
    )
