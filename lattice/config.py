"""What can be set, with the defaults and why they are what they are. Frozen records; nothing here reads a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

MIB = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one actor may use. Every limit has an error of its own; docs/guides/manifest.md lists both."""

    memory_bytes_max: int = 64 * MIB
    """Linear memory of one instance. Actors in compiled languages use 1-3 MB; 64 MiB leaves room for a large body."""
    time_s_max: float = 10.0
    """One call, all it causes included. The caller's own deadline bounds it further."""
    instances_max: int = 100
    """Live instances, and so concurrent calls. Each call needs an instance of its own."""
    queue_max: int = 1000
    """Calls that wait for an instance; one more is refused (`Overloaded`)."""
    depth_max: int = 16
    """Calls that cause calls: A calls B calls A. Ends a cycle that would not end by itself."""
    payload_bytes_max: int = 16 * MIB
    """A request to the actor, its reply, and each request it makes: copied whole, so bounded."""
    isolation: Literal["instance", "call"] = "instance"
    """`instance`: an instance serves many calls, one at a time. `call`: a fresh one for each call."""
    reuse_max: int = 0
    """Calls that one instance of a component answers, one after another. 0: what its kind says, which is one, or
    without end where it exports `nanolattice:actor`."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that is granted: `host` is its path on the host, absolute; `guest` what the guest calls it."""

    host: str
    guest: str
    writable: bool = False


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a command or component finds around it besides its request. Nothing of the host's own is in it."""

    environment: dict[str, str] = {}
    volumes: tuple[Volume, ...] = ()
    config: dict[str, str] = {}
    """The component's `config`, of which only guests that ask for it by wasi:config learn."""
    entrypoint: str = "_start"
    """The function that answers requests."""
    sockets: tuple[str, ...] = ()
    """Places on a network that a component may reach by wasi:sockets, as `endpoints` reads them."""


LINES_VARIABLE = "WASMTIME_BACKTRACE_DETAILS"
"""Set to 1, the engine names files and lines of a guest that traps. It is the engine's own, read when one is made;
compiled code is good only for engines that have it alike."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The WebAssembly engine of one process."""

    instances_max: int = 12_000
    """Live instances of all actors. Each takes four memory maps, and the kernel's default vm.max_map_count is 65,530:
    past that the process would be aborted, so the pool ends before."""
    memory_bytes_max: int = 1024 * MIB
    """The largest memory limit an actor may be given; only address space is reserved for it."""
    tick_s: float = 0.002
    """How long a guest that has been seen to compute goes on before others get a turn. Above 2 ms neighbours notice;
    below 1 ms it costs."""
    stack_bytes_max: int = 512 * 1024
    """WebAssembly stack of one call; a deeper recursion traps."""


def default_cache() -> Path:
    """Where compiled code is kept: `$LATTICE_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("LATTICE_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nanolattice"
