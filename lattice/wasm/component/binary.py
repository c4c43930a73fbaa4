"""The binary format of components: bytes to definitions in the order in which they stand. Pure.

Source: the component model's "Binary Format Explainer". Nothing is resolved here: an index is the index that was
written, and the plan (`plan.py`) finds what it means. What the engine cannot do (WASI 0.3: async functions, streams,
futures; threads; values as imports) is refused here with `errors.UnsupportedGuest`, what is not a component with
`errors.NotWasm`. Time and memory are linear in the file's size: every count is checked against the bytes that are left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lattice import errors
from lattice.wasm.component import pieces
from lattice.wasm.component.definitions import (
    Component,
    CoreInstanceOf,
    CoreInstantiate,
    CoreModule,
    CoreType,
    Export,
    ExportAlias,
    ExportDeclaration,
    Import,
    InstanceOf,
    Instantiate,
    Lift,
    Lower,
    Options,
    OuterAlias,
    RawEnum,
    RawFlags,
    RawFunction,
    RawHandle,
    RawList,
    RawOption,
    RawPrimitive,
    RawRecord,
    RawResource,
    RawResult,
    RawScope,
    RawTuple,
    RawVariant,
    ResourceFunction,
    TypeDefinition,
)
from lattice.wasmfile import Cursor

T = TypeVar("T")

NESTING_MAX = 24
"""Components in components and types in types; composed ones have three or four levels."""
DEFINITIONS_MAX = 200_000
"""Of the whole file. Interpreters made into components, with hundreds of libraries' symbols, have some thousands."""


def parse(data: bytes) -> Component:
    """Reads a component. Raises `errors.NotWasm` or `errors.UnsupportedGuest`."""
    if data[:8] != b"\0asm\x0d\0\x01\0":
        raise errors.NotWasm("the file is not a WebAssembly component")
    return _Parser(data).component(Cursor(data, 8, len(data)), 0)


class _Parser:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._definitions = 0

    def component(self, cursor: Cursor, depth: int) -> Component:
        self._deeper(cursor, depth)
        definitions: list[Any] = []
        readers: dict[int, tuple[str, Callable[[Cursor], Any]]] = {
            2: ("core instances", self._core_instance),
            3: ("core types", lambda c: self._core_type(c, depth + 1)),
            5: ("instances", self._instance),
            6: ("aliases", self._alias),
            7: ("types", lambda c: TypeDefinition(self._type(c, depth + 1))),
            8: ("canonical functions", self._canon),
            10: ("imports", self._import),
            11: ("exports", self._export),
        }
        while cursor.position < cursor.end:
            start = cursor.position
            kind = cursor.byte("a section's id")
            size = cursor.u32("a section's size")
            if size > cursor.end - cursor.position:
                raise errors.NotWasm(f"byte {start}: a section of {size} bytes, {cursor.end - cursor.position} left")
            inner = Cursor(self._data, cursor.position, cursor.position + size)
            cursor.position += size
            if kind == 0:
                inner.name("a custom section's name")
            elif kind == 1:
                self._counted(start)
                definitions.append(CoreModule(inner.position, inner.end))
            elif kind == 4:
                self._counted(start)
                if self._data[inner.position : inner.position + 8] != b"\0asm\x0d\0\x01\0":
                    raise errors.NotWasm(f"byte {inner.position}: a nested component does not begin as one")
                inner.position += 8
                definitions.append(self.component(inner, depth + 1))
            elif kind == 9:
                raise pieces.unsupported("a start definition with values", "which no engine implements yet")
            elif kind in readers:
                what, read = readers[kind]
                definitions.extend(self._vector(inner, what, read))
                inner.finish(f"a section of {what}")
            else:
                raise errors.NotWasm(f"byte {start}: no section has the id {kind}")
        return Component(tuple(definitions))

    def _deeper(self, cursor: Cursor, depth: int) -> None:
        if depth > NESTING_MAX:
            raise errors.NotWasm(f"byte {cursor.position}: nested deeper than {NESTING_MAX} levels")

    def _counted(self, position: int) -> None:
        self._definitions += 1
        if self._definitions > DEFINITIONS_MAX:
            raise errors.NotWasm(f"byte {position}: more than {DEFINITIONS_MAX} definitions")

    def _vector(self, cursor: Cursor, what: str, read: Callable[[Cursor], T]) -> tuple[T, ...]:
        found = []
        for _ in range(cursor.count(what)):
            self._counted(cursor.position)
            found.append(read(cursor))
        return tuple(found)

    def _core_instance(self, cursor: Cursor) -> CoreInstantiate | CoreInstanceOf:
        start = cursor.position
        form = cursor.byte("a core instance")
        if form == 0:
            module = cursor.u32("a module index")
            return CoreInstantiate(module, self._vector(cursor, "arguments", pieces.core_argument))
        if form == 1:
            return CoreInstanceOf(self._vector(cursor, "exports", pieces.core_item))
        raise errors.NotWasm(f"byte {start}: a core instance of form {form} is not known")

    def _instance(self, cursor: Cursor) -> Instantiate | InstanceOf:
        start = cursor.position
        form = cursor.byte("an instance")
        if form == 0:
            component = cursor.u32("a component index")
            return Instantiate(component, self._vector(cursor, "arguments", pieces.argument))
        if form == 1:
            return InstanceOf(self._vector(cursor, "exports", pieces.named_item))
        raise errors.NotWasm(f"byte {start}: an instance of form {form} is not known")

    def _alias(self, cursor: Cursor) -> ExportAlias | OuterAlias:
        sort = pieces.sort(cursor)
        start = cursor.position
        target = cursor.byte("an alias")
        if target in (0, 1):
            if (target == 1) != sort.startswith("core "):
                raise errors.NotWasm(f"byte {start}: an alias of a {sort} from the wrong kind of instance")
            return ExportAlias(sort, cursor.u32("an instance index"), cursor.name("an alias"))
        if target == 2:
            return OuterAlias(sort, cursor.u32("a number of levels"), cursor.u32("an index"))
        raise errors.NotWasm(f"byte {start}: an alias of form {target} is not known")

    def _canon(self, cursor: Cursor) -> Lift | Lower | ResourceFunction:
        start = cursor.position
        form = cursor.byte("a canonical function")
        if form in (0, 1):
            if cursor.byte("a canonical function"):
                raise errors.NotWasm(f"byte {start}: a canonical definition of something that is no function")
            function = cursor.u32("a function index")
            options = self._options(cursor)
            return Lift(function, options, cursor.u32("a type index")) if form == 0 else Lower(function, options)
        if form in (2, 3, 4):
            return ResourceFunction(("new", "drop", "rep")[form - 2], cursor.u32("a type index"))
        if form in (0x40, 0x41, 0x42):
            raise pieces.unsupported("threads", "and guests of this host have one")
        if form > 0x42:
            raise errors.NotWasm(f"byte {start}: a canonical function of form {form} is not known")
        raise pieces.unsupported(f"an asynchronous built-in ({form:#x})", pieces.ASYNC)

    def _options(self, cursor: Cursor) -> Options:
        found: dict[str, Any] = {}
        for code, value in self._vector(cursor, "options", pieces.option):
            if code in found:
                raise errors.NotWasm(f"byte {cursor.position}: the option {code} is given twice")
            found[code] = value
        return Options(**found)

    def _import(self, cursor: Cursor) -> Import:
        name = pieces.extern_name(cursor, "an import's name")
        return Import(name, pieces.described(cursor))

    def _export(self, cursor: Cursor) -> Export:
        name = pieces.extern_name(cursor, "an export's name")
        sort, index = pieces.sort(cursor), cursor.u32("an index")
        if cursor.byte("an export's type") == 1:
            pieces.described(cursor)
        return Export(name, sort, index)

    def _core_type(self, cursor: Cursor, depth: int) -> CoreType:
        """Read past. Function types of one kind and module types are all that components have."""
        self._deeper(cursor, depth)
        start = cursor.position
        form = cursor.byte("a core type")
        if form == 0x60:
            for what in ("parameters", "results"):
                for _ in range(cursor.count(what)):
                    cursor.byte("a value type")
        elif form == 0x50:
            for _ in range(cursor.count("declarations")):
                self._counted(cursor.position)
                self._module_declaration(cursor, depth + 1)
        else:
            raise pieces.unsupported(
                f"a core type of form {form:#x} (byte {start})", "which is none of a function or module"
            )
        return CoreType()

    def _module_declaration(self, cursor: Cursor, depth: int) -> None:
        start = cursor.position
        form = cursor.byte("a declaration")
        if form == 1:
            self._core_type(cursor, depth)
        elif form == 2:
            for what in ("a sort", "an alias"):
                cursor.byte(what)
            cursor.u32("a number of levels")
            cursor.u32("an index")
        else:
            raise pieces.unsupported(
                f"a module type (byte {start})", "and so modules as imports, which this host has not"
            )

    def _type(self, cursor: Cursor, depth: int) -> Any:
        self._deeper(cursor, depth)
        start = cursor.position
        form = cursor.byte("a type")
        if form in pieces.PRIMITIVES:
            return RawPrimitive(pieces.PRIMITIVES[form])
        if form in _VALUE_TYPES:
            return _VALUE_TYPES[form](self, cursor)
        if form == 0x40:
            params = self._vector(cursor, "parameters", pieces.named_value)
            return RawFunction(params, pieces.result(cursor))
        if form == 0x3F:
            if cursor.byte("a resource's representation") != 0x7F:
                raise errors.NotWasm(f"byte {start}: a resource that is not represented by an i32")
            return RawResource(pieces.optional(cursor, lambda c: c.u32("a function index")))
        if form == 0x41:
            return RawScope("component", self._vector(cursor, "declarations", lambda c: self._declare(c, depth, True)))
        if form == 0x42:
            return RawScope("instance", self._vector(cursor, "declarations", lambda c: self._declare(c, depth, False)))
        if form in _ASYNC_TYPES:
            raise pieces.unsupported(_ASYNC_TYPES[form], pieces.ASYNC)
        if form in (0x67, 0x63):
            raise pieces.unsupported("lists of fixed length or maps", "which are not part of WASI 0.2")
        raise errors.NotWasm(f"byte {start}: a type of form {form:#x} is not known")

    def _declare(self, cursor: Cursor, depth: int, component: bool) -> Any:
        start = cursor.position
        form = cursor.byte("a declaration")
        if form == 0:
            return self._core_type(cursor, depth + 1)
        if form == 1:
            return TypeDefinition(self._type(cursor, depth + 1))
        if form == 2:
            return self._alias(cursor)
        if form == 3 and component:
            return self._import(cursor)
        if form == 4:
            return ExportDeclaration(pieces.extern_name(cursor, "an export's name"), pieces.described(cursor))
        raise errors.NotWasm(f"byte {start}: a declaration of form {form} is not known here")

    def read_record(self, cursor: Cursor) -> RawRecord:
        return RawRecord(pieces.some(cursor, self._vector(cursor, "fields", pieces.named_value)))

    def read_variant(self, cursor: Cursor) -> RawVariant:
        return RawVariant(pieces.some(cursor, self._vector(cursor, "cases", pieces.case)))

    def read_tuple(self, cursor: Cursor) -> RawTuple:
        return RawTuple(pieces.some(cursor, self._vector(cursor, "elements", pieces.value)))

    def read_names(self, cursor: Cursor) -> tuple[str, ...]:
        return pieces.some(cursor, self._vector(cursor, "names", lambda c: c.name("a label")))


_VALUE_TYPES: dict[int, Callable[[_Parser, Cursor], Any]] = {
    0x72: _Parser.read_record,
    0x71: _Parser.read_variant,
    0x70: lambda p, c: RawList(pieces.value(c)),
    0x6F: _Parser.read_tuple,
    0x6E: lambda p, c: RawFlags(p.read_names(c)),
    0x6D: lambda p, c: RawEnum(p.read_names(c)),
    0x6B: lambda p, c: RawOption(pieces.value(c)),
    0x6A: lambda p, c: RawResult(pieces.optional(c, pieces.value), pieces.optional(c, pieces.value)),
    0x69: lambda p, c: RawHandle(True, c.u32("a type index")),
    0x68: lambda p, c: RawHandle(False, c.u32("a type index")),
}
_ASYNC_TYPES = {
    0x43: "an async function",
    0x3E: "an async destructor",
    0x66: "streams",
    0x65: "futures",
    0x64: "error contexts",
}
