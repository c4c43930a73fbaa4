"""Contracts that are WIT interfaces, "ns:pkg/iface" without a version; their operations are the functions.

What they say is in the components that export and import them, and nowhere here.
"""

from __future__ import annotations

OF_HOSTS = frozenset({"wasi", "wasmcloud", "nanolattice"})
"""Namespaces whose interfaces hosts serve; the contracts behind them have names of their own."""


def without_version(name: str) -> str:
    """Interfaces are matched by name alone."""
    return name.partition("@")[0]


def names_interface(contract: str) -> bool:
    """Whether a contract is a WIT interface."""
    namespace, colon, rest = contract.partition(":")
    package, slash, interface = rest.partition("/")
    return bool(namespace and colon and package and slash and interface)


def is_of_others(interface: str) -> bool:
    """Whether it is left to actors and providers to answer it."""
    return names_interface(interface) and interface.partition(":")[0] not in OF_HOSTS


def split(operation: str) -> tuple[str, str] | None:
    """Interface and function of "ns:pkg/iface.function", also with a version; None for another operation."""
    head, dot, function = operation.rpartition(".")
    interface = without_version(head)
    return (interface, function) if dot and function and names_interface(interface) else None
