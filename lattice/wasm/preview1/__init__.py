"""WASI preview 1 for guests that import it, under both of its names.

waPC actors have clocks, random bytes and output to the log, and nothing else (`bare`). Commands have what their
manifest grants: arguments, environment, input and output (`process`), and files of granted folders (`files`,
`descriptions`, `paths`).

Written here rather than taken from the engine, whose version sleeps inside `poll_oneoff` with the whole loop and can
send output only to files (docs/adr/0005). Source: the witx definitions.
"""

from __future__ import annotations

from lattice.wasm.engine import HostFunction, Linker
from lattice.wasm.preview1 import bare, descriptions, files, paths, process
from lattice.wasm.preview1.codes import MODULES, PARAMETERS

IMPORT_MODULES = MODULES


def define_imports(linker: Linker) -> None:
    """For waPC actors."""
    for module in MODULES:
        _define(linker, module, bare.AT_ONCE, bare.may_wait(module))


def define_for_commands(linker: Linker) -> None:
    """For fibers that have a `Process`."""
    for module in MODULES:
        may_wait = {
            **process.may_wait(module),
            **files.may_wait(module),
            **descriptions.may_wait(module),
            **paths.may_wait(module),
        }
        _define(linker, module, process.AT_ONCE, may_wait)


def _define(linker: Linker, module: str, at_once: dict[str, HostFunction], may_wait: dict[str, HostFunction]) -> None:
    assert at_once.keys() ^ may_wait.keys() == PARAMETERS.keys(), "each function of the interface once"
    for name, function in at_once.items():
        linker.define(module, name, PARAMETERS[name], "" if name == "proc_exit" else "i", function)
    for name, function in may_wait.items():
        linker.define_async(module, name, PARAMETERS[name], "i", function)
