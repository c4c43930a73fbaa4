"""nanolattice: a host for small WebAssembly actors. These names are the public API; everything else may change.

    host = Host(HostSettings(data=Path(".lattice")))
    async with host:
        await host.deploy(load_manifest("lattice.yaml", host.installed))

Providers import `lattice.provider`, `lattice.contracts` and `lattice.errors`; tests of providers `lattice.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lattice.config import EngineSettings, Limits
    from lattice.contracts.message import Contract, Message, Operation
    from lattice.control.manifest import Application
    from lattice.control.manifest import load as load_manifest
    from lattice.errors import CallError, ConfigError, LatticeError, ManifestError
    from lattice.host import Host, HostSettings
    from lattice.invocation import EntityId, Handler, Invocation
    from lattice.links import Link
    from lattice.provider import Context, Provider, Settings

    __version__: str

__all__ = [
    "Application",
    "CallError",
    "ConfigError",
    "Context",
    "Contract",
    "EngineSettings",
    "EntityId",
    "Handler",
    "Host",
    "HostSettings",
    "Invocation",
    "LatticeError",
    "Limits",
    "Link",
    "ManifestError",
    "Message",
    "Operation",
    "Provider",
    "Settings",
    "__version__",
    "load_manifest",
]

_WHERE = {
    "Application": "lattice.control.manifest",
    "CallError": "lattice.errors",
    "ConfigError": "lattice.errors",
    "Context": "lattice.provider",
    "Contract": "lattice.contracts.message",
    "EngineSettings": "lattice.config",
    "EntityId": "lattice.invocation",
    "Handler": "lattice.invocation",
    "Host": "lattice.host",
    "HostSettings": "lattice.host",
    "Invocation": "lattice.invocation",
    "LatticeError": "lattice.errors",
    "Limits": "lattice.config",
    "Link": "lattice.links",
    "ManifestError": "lattice.errors",
    "Message": "lattice.contracts.message",
    "Operation": "lattice.contracts.message",
    "Provider": "lattice.provider",
    "Settings": "lattice.provider",
}

if not TYPE_CHECKING:
    # Imported when asked for (PEP 562). The engine, pydantic, asyncio and the YAML reader take 0.18 s together, and
    # whoever imports one module of the package, such as a command that prints its help, runs this file first.
    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name == "__version__":
            from importlib.metadata import version

            return version("nanolattice")
        if name == "load_manifest":
            return import_module("lattice.control.manifest").load
        if name in _WHERE:
            return getattr(import_module(_WHERE[name]), name)
        raise AttributeError(f"module 'lattice' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
