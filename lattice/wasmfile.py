"""The .wasm container: what a file is, what it wants and what it offers, without compiling it. Pure bytes.

Reads core modules (WebAssembly core specification, "Binary Format / Modules") and components (component model,
"Binary Format Explainer"): the sections of the outermost level, and inside them imports, exports, memories and the
names of custom sections. Nothing else is decoded, and nothing is validated: that is the engine's work. Every offset is
that of the original bytes, also when a length was written with more LEB128 bytes than it needs, because signatures
cover the bytes as they are.

Time is linear in the file's size; memory is bounded by the `*_MAX` limits below.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from lattice import errors

WASM_BYTES_MAX = 256 * 1024 * 1024
"""A file larger than this is not read: the largest real ones, interpreters made into components, are near 40 MB."""
SECTIONS_MAX = 10_000
"""Components made by linkers have a few hundred sections."""
ENTRIES_MAX = 100_000
"""Imports, exports or memories of a file, over all of its sections: a component may have many of each. Browsers stop at
the same number."""
NAME_BYTES_MAX = 100_000
"""One import or export name; the limit that browsers share."""

Format: TypeAlias = Literal["module", "component"]
GuestKind: TypeAlias = Literal["wapc", "component", "command", "unknown"]


class Section(msgspec.Struct, frozen=True):
    """One section: `data[start:end]` is all of it, from the id byte; `data[content:end]` is its content."""

    id: int
    start: int
    content: int
    end: int


class CustomSection(msgspec.Struct, frozen=True):
    """A custom section; here `data[content:end]` is what follows its name."""

    name: str
    start: int
    content: int
    end: int


class Import(msgspec.Struct, frozen=True):
    """`kind` is func, table, memory, global or tag; in a component func, instance, type, value, module or component,
    and `module` is ""."""

    module: str
    name: str
    kind: str


class Export(msgspec.Struct, frozen=True):
    name: str
    kind: str


class Memory(msgspec.Struct, frozen=True):
    """Limits of a linear memory, in pages (64 KiB each unless the module says otherwise)."""

    pages_min: int
    pages_max: int | None
    imported: bool


class WasmFile(msgspec.Struct, frozen=True):
    """What `describe` found. Memories inside a component are its own business and not listed."""

    format: Format
    size: int
    sections: tuple[Section, ...]
    custom_sections: tuple[CustomSection, ...]
    imports: tuple[Import, ...]
    exports: tuple[Export, ...]
    memories: tuple[Memory, ...]

    @property
    def guest(self) -> GuestKind:
        """How a host would run it, judged by the format and the exports."""
        if self.format == "component":
            return "component"
        functions = {export.name for export in self.exports if export.kind == "func"}
        if "__guest_call" in functions:
            return "wapc"
        return "command" if "_start" in functions else "unknown"

    def custom(self, *names: str) -> list[CustomSection]:
        """The custom sections with one of these names, in file order."""
        return [section for section in self.custom_sections if section.name in names]


def describe(data: bytes) -> WasmFile:
    """Reads the container. Raises `errors.NotWasm` that names the offset of the first thing that cannot be."""
    form = _format(data)
    sections = _sections(data, 14 if form == "module" else 12)
    customs: list[CustomSection] = []
    imports: list[Import] = []
    exports: list[Export] = []
    memories: list[Memory] = []
    seen: set[int] = set()
    for section in sections:
        cursor = Cursor(data, section.content, section.end)
        if section.id == 0:
            name = cursor.name("a custom section's name")
            customs.append(CustomSection(name, section.start, cursor.position, section.end))
            continue
        if form == "component":
            if section.id == 10:
                imports.extend(_component_import(cursor) for _ in range(cursor.count("imports", len(imports))))
                cursor.finish("the import section")
            elif section.id == 11:
                exports.extend(_component_export(cursor) for _ in range(cursor.count("exports", len(exports))))
                cursor.finish("the export section")
            continue
        # A second one could hide an export from whoever reads the first only.
        if section.id in seen:
            raise errors.NotWasm(f"byte {section.start}: a second section with id {section.id}")
        seen.add(section.id)
        if section.id == 2:
            imports.extend(_import(cursor, memories) for _ in range(cursor.count("imports", len(imports))))
            cursor.finish("the import section")
        elif section.id == 5:
            memories.extend(_memory(cursor, imported=False) for _ in range(cursor.count("memories", len(memories))))
            cursor.finish("the memory section")
        elif section.id == 7:
            exports.extend(_export(cursor) for _ in range(cursor.count("exports", len(exports))))
            cursor.finish("the export section")
    return WasmFile(form, len(data), tuple(sections), tuple(customs), tuple(imports), tuple(exports), tuple(memories))


def leb128(value: int) -> bytes:
    """A number that is not negative, as unsigned LEB128 in as few bytes as it takes."""
    if value < 0:
        raise ValueError(f"{value} has no unsigned LEB128")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _format(data: bytes) -> Format:
    if data[:4] != b"\0asm":
        raise errors.NotWasm(
            "the file does not begin with the WebAssembly magic number",
            remedy="WebAssembly text (.wat) has to be assembled first" if data.lstrip()[:1] == b"(" else "",
        )
    if len(data) < 8:
        raise errors.NotWasm("the file ends inside its eight byte header")
    # Two bytes of version, two of layer: layer 0 is a core module, layer 1 a component.
    version, layer = int.from_bytes(data[4:6], "little"), int.from_bytes(data[6:8], "little")
    if (version, layer) == (1, 0):
        return "module"
    if (version, layer) == (13, 1):
        return "component"
    raise errors.NotWasm(f"WebAssembly version {version}, layer {layer} is not known here")


def _sections(data: bytes, ids: int) -> list[Section]:
    found: list[Section] = []
    cursor = Cursor(data, 8, len(data))
    while cursor.position < cursor.end:
        start = cursor.position
        if len(found) == SECTIONS_MAX:
            raise errors.NotWasm(f"byte {start}: more than {SECTIONS_MAX} sections")
        kind = cursor.byte("a section's id")
        if kind >= ids:
            raise errors.NotWasm(f"byte {start}: no section has the id {kind}")
        size = cursor.u32("a section's size")
        content = cursor.position
        if size > cursor.end - content:
            raise errors.NotWasm(f"byte {start}: a section of {size} bytes, and {cursor.end - content} are left")
        cursor.position = content + size
        found.append(Section(kind, start, content, cursor.position))
    return found


class Cursor:
    """A place in `data` that never passes `end`."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self.data = data
        self.position = position
        self.end = end

    def byte(self, what: str) -> int:
        if self.position >= self.end:
            raise errors.NotWasm(f"byte {self.position}: cut short in {what}")
        self.position += 1
        return self.data[self.position - 1]

    def u32(self, what: str) -> int:
        return self._leb(what, 32)

    def u64(self, what: str) -> int:
        return self._leb(what, 64)

    def _leb(self, what: str, bits: int) -> int:
        """An unsigned LEB128 of at most `bits` bits; padding is allowed up to the bytes that so many bits can take."""
        start = self.position
        value = shift = 0
        while shift < bits:
            byte = self.byte(what)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if value >> bits:
                    raise errors.NotWasm(f"byte {start}: {what} does not fit {bits} bits")
                return value
        raise errors.NotWasm(f"byte {start}: {what} is longer than {(bits + 6) // 7} bytes")

    def skip_s33(self, what: str) -> None:
        """A type index or an abbreviated type: a signed LEB128 of at most five bytes."""
        start = self.position
        for _ in range(5):
            if self.byte(what) < 0x80:
                return
        raise errors.NotWasm(f"byte {start}: {what} is longer than 5 bytes")

    def count(self, what: str, before: int = 0) -> int:
        """How many entries follow, of which there were `before` in other sections."""
        start = self.position
        count = self.u32(f"the number of {what}")
        # Every entry takes a byte or more, so a larger count is a lie that must not cost anything.
        if count > self.end - self.position or before + count > ENTRIES_MAX:
            raise errors.NotWasm(f"byte {start}: a section says that it has {count} {what}")
        return count

    def name(self, what: str) -> str:
        start = self.position
        size = self.u32(f"the length of {what}")
        if size > self.end - self.position or size > NAME_BYTES_MAX:
            raise errors.NotWasm(f"byte {start}: {what} of {size} bytes, and {self.end - self.position} are left")
        self.position += size
        try:
            return self.data[self.position - size : self.position].decode()
        except UnicodeDecodeError as error:
            raise errors.NotWasm(f"byte {start}: {what} is not UTF-8") from error

    def finish(self, what: str) -> None:
        if self.position != self.end:
            raise errors.NotWasm(f"byte {self.position}: {what} has {self.end - self.position} bytes too many")


_KINDS = {0: "func", 1: "table", 2: "memory", 3: "global", 4: "tag"}


def _import(cursor: Cursor, memories: list[Memory]) -> Import:
    module = cursor.name("an import's module name")
    name = cursor.name("an import's name")
    start = cursor.position
    kind = cursor.byte("an import's kind")
    if kind == 0:
        cursor.u32("a type index")
    elif kind == 1:
        _skip_value_type(cursor)
        _limits(cursor)
    elif kind == 2:
        memories.append(_memory(cursor, imported=True))
    elif kind == 3:
        _skip_value_type(cursor)
        cursor.byte("a global's mutability")
    elif kind == 4:
        cursor.byte("a tag's attribute")
        cursor.u32("a type index")
    else:
        raise errors.NotWasm(f"byte {start}: import kind {kind} is not known here")
    return Import(module, name, _KINDS[kind])


def _export(cursor: Cursor) -> Export:
    name = cursor.name("an export's name")
    start = cursor.position
    kind = cursor.byte("an export's kind")
    if kind not in _KINDS:
        raise errors.NotWasm(f"byte {start}: export kind {kind} is not known here")
    cursor.u32("an export's index")
    return Export(name, _KINDS[kind])


def _skip_value_type(cursor: Cursor) -> None:
    if cursor.byte("a value type") in (0x63, 0x64):  # (ref null ht) and (ref ht)
        cursor.skip_s33("a heap type")


def _limits(cursor: Cursor) -> tuple[int, int | None]:
    flags = cursor.byte("limits")
    if flags > 0x0F:
        raise errors.NotWasm(f"byte {cursor.position - 1}: limits of an unknown kind ({flags:#x})")
    read = cursor.u64 if flags & 4 else cursor.u32
    least = read("a minimum")
    most = read("a maximum") if flags & 1 else None
    if flags & 8:
        cursor.u32("a page size")
    return least, most


def _memory(cursor: Cursor, imported: bool) -> Memory:
    least, most = _limits(cursor)
    return Memory(least, most, imported)


_COMPONENT_KINDS = {0: "module", 1: "func", 2: "value", 3: "type", 4: "component", 5: "instance"}


def _component_name(cursor: Cursor, what: str) -> str:
    start = cursor.position
    form = cursor.byte(what)
    if form > 1:
        raise errors.NotWasm(f"byte {start}: {what} of form {form} is not known here")
    return cursor.name(what)


def _component_import(cursor: Cursor) -> Import:
    return Import("", _component_name(cursor, "an import's name"), _external_kind(cursor))


def _component_export(cursor: Cursor) -> Export:
    name = _component_name(cursor, "an export's name")
    start = cursor.position
    sort = cursor.byte("an export's kind")
    if sort not in _COMPONENT_KINDS:
        raise errors.NotWasm(f"byte {start}: export kind {sort} is not known here")
    if sort == 0:
        cursor.byte("a core export's kind")
    cursor.u32("an export's index")
    if cursor.byte("an export's type") == 1:
        _external_kind(cursor)
    return Export(name, _COMPONENT_KINDS[sort])


def _external_kind(cursor: Cursor) -> str:
    """Reads past an external description; returns the kind that it is of."""
    start = cursor.position
    kind = cursor.byte("an external kind")
    if kind == 0:
        cursor.byte("a core kind")
        cursor.u32("a type index")
    elif kind in (1, 4, 5):
        cursor.u32("a type index")
    elif kind == 2:
        equal = cursor.byte("a value bound") == 0
        cursor.u32("a value index") if equal else cursor.skip_s33("a value type")
    elif kind == 3:
        if cursor.byte("a type bound") == 0:
            cursor.u32("a type index")
    else:
        raise errors.NotWasm(f"byte {start}: external kind {kind} is not known here")
    return _COMPONENT_KINDS[kind]
