"""wasi:config: what an actor was configured with. `runtime` is the name that the interface had in earlier drafts."""

from __future__ import annotations

from lattice.wasm.component.host import Ok
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.table import Interface


def _get(instance: Instance, key: str) -> Ok:
    return Ok(instance.grants.config.get(key))


def _get_all(instance: Instance) -> Ok:
    return Ok(list(instance.grants.config.items()))


STORE = Interface("wasi:config/store", functions={"get": _get, "get-all": _get_all})
RUNTIME = Interface("wasi:config/runtime", functions={"get": _get, "get-all": _get_all})
