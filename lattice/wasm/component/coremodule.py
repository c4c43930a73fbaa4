"""A core module whose start function the host calls itself.

A start function runs while its module is instantiated, and there the host may not let the guest sleep: instances of a
component are made by the engine's synchronous call, the only one that takes what other instances export. So the start
section is taken out, and the function exported in its stead, to be called as any other. Pure bytes.
"""

from __future__ import annotations

from lattice import errors, wasmfile
from lattice.wasmfile import Cursor, leb128

START, EXPORTS = 8, 7


def start_exported(data: bytes) -> tuple[bytes, str]:
    """The module without its start section, and the name under which it now exports that function; "" for none."""
    file = wasmfile.describe(data)
    start = next((section for section in file.sections if section.id == START), None)
    if start is None:
        return data, ""
    cursor = Cursor(data, start.content, start.end)
    function = cursor.u32("the start function")
    cursor.finish("the start section")
    taken = {entry.name for entry in file.exports}
    name = next(f"start {n}" for n in range(len(taken) + 1) if f"start {n}" not in taken)
    entry = leb128(len(name)) + name.encode() + b"\0" + leb128(function)
    exports = next((section for section in file.sections if section.id == EXPORTS), None)
    if exports is None:
        content = leb128(1) + entry
        return data[: start.start] + _section(content) + data[start.end :], name
    if exports.start > start.start:
        raise errors.NotWasm("a core module whose sections are out of order")
    cursor = Cursor(data, exports.content, exports.end)
    count = cursor.u32("the number of exports")
    content = leb128(count + 1) + data[cursor.position : exports.end] + entry
    return data[: exports.start] + _section(content) + data[exports.end : start.start] + data[start.end :], name


def _section(content: bytes) -> bytes:
    return bytes([EXPORTS]) + leb128(len(content)) + content
