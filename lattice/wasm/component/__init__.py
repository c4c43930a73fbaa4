"""WASI 0.2 components: read, planned once, and run by the canonical ABI applied here, over their core modules.

`ComponentType.load` compiles one, `ComponentGuest` runs it behind the protocol that all guests have; what it may import
is a `HostInterfaces`.
"""

from lattice.wasm.component.guest import ComponentGuest
from lattice.wasm.component.host import Err, GuestResource, HostInterfaces, Ok
from lattice.wasm.component.instantiate import ComponentType

__all__ = ["ComponentGuest", "ComponentType", "Err", "GuestResource", "HostInterfaces", "Ok"]
