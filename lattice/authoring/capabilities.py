"""Which contracts an actor uses, seen in its module.

A component says what it uses in its imports and exports. A waPC module says nothing outside its code, but has to name
what it calls and what it answers; compilers leave out what is never reached. So the names are looked for in its data. A
module that makes up a name at run time is not seen through: lattice.toml is for that.
"""

from __future__ import annotations

from lattice import wasmfile
from lattice.contracts import blobstore, builtin, httpclient, httpserver, keyvalue, messaging
from lattice.contracts.interfaces import is_of_others, without_version
from lattice.contracts.known import CONTRACTS

INTERFACES = {
    "wasi:http/incoming-handler": httpserver.CONTRACT.id,
    "wasi:http/outgoing-handler": httpclient.CONTRACT.id,
    "wasi:keyvalue/store": keyvalue.CONTRACT.id,
    "wasi:keyvalue/atomics": keyvalue.CONTRACT.id,
    "wasi:keyvalue/batch": keyvalue.CONTRACT.id,
    "wasi:blobstore/blobstore": blobstore.CONTRACT.id,
    "wasi:blobstore/container": blobstore.CONTRACT.id,
    "wasmcloud:messaging/consumer": messaging.CONTRACT.id,
    "wasmcloud:messaging/handler": messaging.CONTRACT.id,
    "wasi:logging/logging": builtin.LOGGING.id,
}
"""What a component imports or exports for a contract, without the version."""
_DATA = 11
_OWN_WORLD = "nanolattice:actor/"


def contracts(data: bytes, file: wasmfile.WasmFile) -> frozenset[str]:
    """The contracts that a module or component uses, by itself alone."""
    if file.format == "component":
        names = _interfaces(file)
        found = {INTERFACES[name] for name in names if name in INTERFACES}
        imported = (without_version(entry.name) for entry in file.imports)
        found |= {name for name in imported if is_of_others(name)}
        if any(name.startswith(_OWN_WORLD) for name in names):
            # One import stands for every contract: which ones, its code says.
            found |= _named(data)
        return frozenset(found)
    if file.guest == "command":
        return frozenset({httpserver.CONTRACT.id})
    return _named(_data(data, file))


def takes_messages(data: bytes, file: wasmfile.WasmFile) -> bool:
    """Whether it answers messages, and not only sends some: then it wants subscriptions."""
    if file.format == "component":
        names = _interfaces(file)
        if not any(name.startswith(_OWN_WORLD) for name in names):
            return any(export.name.startswith("wasmcloud:messaging/handler") for export in file.exports)
    return _has(_data(data, file), messaging.HANDLE_MESSAGE.name)


def _interfaces(file: wasmfile.WasmFile) -> list[str]:
    """What it imports and exports, without versions."""
    names = [entry.name for entry in file.imports] + [entry.name for entry in file.exports]
    return [name.partition("@")[0] for name in names]


def _data(data: bytes, file: wasmfile.WasmFile) -> bytes:
    """The data of a module; all of a component, whose modules have theirs inside."""
    if file.format == "component":
        return data
    return b"".join(data[section.content : section.end] for section in file.sections if section.id == _DATA)


def _named(data: bytes) -> frozenset[str]:
    """The contracts that these bytes name with one of their operations, or of which they name one of actors. An id
    alone may stand in an SDK's constants, which are there whether they are used or not."""
    return frozenset(
        contract.id
        for contract in CONTRACTS.values()
        if any(_has(data, operation.name) for operation in contract.actor_operations)
        or (_has(data, contract.id) and any(_has(data, operation.name) for operation in contract.operations))
    )


def _has(data: bytes, text: str) -> bool:
    """As UTF-8, or as the UTF-16 of AssemblyScript."""
    return text.encode() in data or text.encode("utf-16-le") in data
