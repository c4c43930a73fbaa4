"""Sees through the shims that toolchains put between a component's modules.

A module that is made first cannot import a function whose options name a memory that it will itself define. So
wit-component puts a module before it, each function of which calls through a table, and one behind it, which fills the
table. Where what ends up in a slot is the host's function, the module may import that at once: the host's functions are
there before any memory is. Then the two modules have nothing left to do and are not made at all.

Invariant: the modules are recognised byte for byte. Whatever is not just what that tool makes, and means the same, is
left as it is, and works as it is written. Pure bytes and records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from lattice import errors, wasmfile
from lattice.wasm.component import types
from lattice.wasm.component.plan import (
    Canonical,
    CoreExport,
    CoreItem,
    Destructor,
    Lifted,
    Lowered,
    Plan,
    ResourceCall,
    Step,
    Trampoline,
)
from lattice.wasmfile import Cursor, Section, leb128

SHIM_BYTES_MAX = 256 * 1024
"""A larger module is not looked at. Bindings for all of WASI make some ten thousand bytes."""
TYPES, IMPORTS, FUNCTIONS, TABLES, EXPORTS, ELEMENTS, CODE = 1, 2, 3, 4, 7, 9, 10
_LETTERS = {0x7F: "i", 0x7E: "l", 0x7D: "f", 0x7C: "d"}

T = TypeVar("T")
Limits = tuple[int, int | None]
"""Of a table: slots at least, and at most."""


class Shim(msgspec.Struct, frozen=True):
    """A module whose function number n, of `signatures[n]`, calls slot n of its table."""

    signatures: tuple[str, ...]
    names: dict[str, int]
    table: str
    limits: Limits


class Filling(msgspec.Struct, frozen=True):
    """A module that does nothing but put what it imports into a table that it imports too.

    By position among its imports: `slots[n]` is what it puts into slot n, `signatures` are those of functions."""

    table: int
    slots: tuple[int, ...]
    signatures: dict[int, str]
    limits: Limits


class _Other(Exception):
    """The module is something else."""


def see_through(plan: Plan, data: bytes) -> Plan:
    """The same component with as few shims between its modules as possible."""
    for number, step in enumerate(plan.steps):
        shim = _read(_shim, plan, step, data)
        if shim is not None and (filler := _filler(plan, number, shim)) is not None:
            filling = _read(_filling, plan, plan.steps[filler], data)
            if filling is not None and filling.limits == shim.limits:
                straight = _straight(plan, number, shim, plan.steps[filler], filling)
                if _unused(straight, number, filler):
                    return see_through(_without(straight, (number, filler)), data)
                plan = straight
    return plan


def _filler(plan: Plan, number: int, shim: Shim) -> int | None:
    """The one step that has the shim's table, if nothing can have called through it before."""
    users = [n for n, step in enumerate(plan.steps) if CoreExport(number, shim.table) in step.imports]
    if len(users) != 1 or users[0] <= number:
        return None
    if any(plan.modules[step.module].starts for step in plan.steps[number : users[0] + 1]):
        return None
    return users[0]


def _straight(plan: Plan, number: int, shim: Shim, filler: Step, filling: Filling) -> Plan:
    """Whoever imports a function of the shim imports what it calls, where that is the host's."""
    known: dict[CoreItem, CoreItem] = {}
    for name, slot in shim.names.items():
        if slot >= len(filling.slots):
            continue
        place = filling.slots[slot]
        item = filler.imports[place]
        if isinstance(item, Trampoline):
            signature = _signature(plan.trampolines[item.number])
            if signature == shim.signatures[slot] == filling.signatures[place]:
                known[CoreExport(number, name)] = item
    steps = (Step(step.module, tuple(known.get(item, item) for item in step.imports)) for step in plan.steps)
    return msgspec.structs.replace(plan, steps=tuple(steps))


def _signature(what: Lowered | ResourceCall) -> str:
    if isinstance(what, Lowered):
        return "->".join(types.core_signature(what.target.type, lowered=True))
    return "i->" if what.operation == "drop" else "i->i"


def _unused(plan: Plan, shim: int, filler: int) -> bool:
    """Whether nothing refers to the two but one to the other."""
    for number, step in enumerate(plan.steps):
        for item in step.imports:
            if isinstance(item, CoreExport) and (item.step == filler or (item.step == shim and number != filler)):
                return False
    return all(item.step not in (shim, filler) for item in _named(plan))


def _named(plan: Plan) -> Iterator[CoreExport]:
    """What is used besides the imports of modules."""
    canonicals = [lifted.canonical for lifted in plan.lifted]
    canonicals += [what.canonical for what in plan.trampolines if isinstance(what, Lowered)]
    found = [item for canonical in canonicals for item in (canonical.memory, canonical.realloc, canonical.post_return)]
    found += [destructor.function for destructor in plan.destructors]
    found += [lifted.function for lifted in plan.lifted]
    return (item for item in found if item is not None)


def _without(plan: Plan, gone: tuple[int, int]) -> Plan:
    """The plan without two steps, and without the modules that nothing else is made of."""
    steps = [step for number, step in enumerate(plan.steps) if number not in gone]
    numbers = {old: new for new, old in enumerate(n for n in range(len(plan.steps)) if n not in gone)}
    used = sorted({step.module for step in steps})
    modules = {old: new for new, old in enumerate(used)}

    def moved(item: CoreExport) -> CoreExport:
        return CoreExport(numbers[item.step], item.name)

    def kept(item: CoreExport | None) -> CoreExport | None:
        return None if item is None else moved(item)

    def canonical(of: Canonical) -> Canonical:
        return Canonical(of.encoding, kept(of.memory), kept(of.realloc), kept(of.post_return), of.owner)

    def imported(item: CoreItem) -> CoreItem:
        return moved(item) if isinstance(item, CoreExport) else item

    return msgspec.structs.replace(
        plan,
        modules=tuple(plan.modules[number] for number in used),
        steps=tuple(Step(modules[step.module], tuple(map(imported, step.imports))) for step in steps),
        trampolines=tuple(
            Lowered(what.target, canonical(what.canonical)) if isinstance(what, Lowered) else what
            for what in plan.trampolines
        ),
        lifted=tuple(Lifted(moved(one.function), one.type, canonical(one.canonical)) for one in plan.lifted),
        destructors=tuple(Destructor(kept(one.function), one.owner) for one in plan.destructors),
        tables=plan.tables - 1,
    )


def _read(read: Callable[[bytes, dict[int, Section]], T], plan: Plan, step: Step, data: bytes) -> T | None:
    """The module of a step as such a one, or None."""
    code = plan.modules[step.module]
    if code.starts or code.end - code.start > SHIM_BYTES_MAX:
        return None
    module = data[code.start : code.end]
    file = wasmfile.describe(module)
    try:
        return read(module, {section.id: section for section in file.sections if section.id})
    except (_Other, errors.NotWasm, KeyError, IndexError):
        return None


def _shim(module: bytes, sections: dict[int, Section]) -> Shim:
    _need(list(sections) == [TYPES, FUNCTIONS, TABLES, EXPORTS, CODE])
    signatures = _signatures(module, sections[TYPES])
    cursor = _cursor(module, sections[FUNCTIONS])
    of = [cursor.u32("") for _ in range(cursor.count(""))]
    cursor.finish("")
    cursor = _cursor(module, sections[TABLES])
    _need(cursor.u32("") == 1)
    limits = _table(cursor)
    _need(limits[0] >= len(of))
    cursor.finish("")
    cursor = _cursor(module, sections[CODE])
    _need(cursor.count("") == len(of))
    bodies = b"".join(_body(number, type_, signatures[type_]) for number, type_ in enumerate(of))
    _need(module[cursor.position : cursor.end] == bodies)
    cursor = _cursor(module, sections[EXPORTS])
    names: dict[str, int] = {}
    table = ""
    for _ in range(cursor.count("")):
        name, kind, index = cursor.name(""), cursor.byte(""), cursor.u32("")
        _need(name not in names and name != table)
        if kind == 0:
            _need(index < len(of))
            names[name] = index
        else:
            _need(kind == 1 and index == 0 and not table)
            table = name
    cursor.finish("")
    _need(bool(table))
    return Shim(tuple(signatures[type_] for type_ in of), names, table, limits)


def _body(number: int, type_: int, signature: str) -> bytes:
    """The code of function `number`: its parameters, the number of its slot, a call through the table."""
    gets = b"".join(b"\x20" + leb128(n) for n in range(signature.index("-")))
    code = b"\0" + gets + b"\x41" + _signed(number) + b"\x11" + leb128(type_) + b"\0\x0b"
    return leb128(len(code)) + code


def _signed(value: int) -> bytes:
    """A number that is not negative, as signed LEB128: its highest bit must not look like a sign."""
    padded = leb128(value)
    return padded if padded[-1] < 0x40 else padded[:-1] + bytes([padded[-1] | 0x80, 0])


def _filling(module: bytes, sections: dict[int, Section]) -> Filling:
    _need(list(sections) == [TYPES, IMPORTS, ELEMENTS])
    types_ = _signatures(module, sections[TYPES])
    cursor = _cursor(module, sections[IMPORTS])
    signatures: dict[int, str] = {}
    table = -1
    limits: Limits = (0, None)
    for place in range(cursor.count("")):
        cursor.name("")
        cursor.name("")
        kind = cursor.byte("")
        _need(kind == 0 or (kind == 1 and table < 0))
        if kind == 0:
            signatures[place] = types_[cursor.u32("")]
        else:
            table, limits = place, _table(cursor)
    cursor.finish("")
    cursor = _cursor(module, sections[ELEMENTS])
    # One segment, of function indices, that goes to the beginning of the first table.
    _need(cursor.u32("") == 1 and [cursor.byte("") for _ in range(4)] == [0, 0x41, 0, 0x0B])
    functions = list(signatures)
    slots = tuple(functions[cursor.u32("")] for _ in range(cursor.count("")))
    cursor.finish("")
    _need(table >= 0 and len(slots) <= limits[0])
    return Filling(table, slots, signatures, limits)


def _signatures(module: bytes, section: Section) -> list[str]:
    """Of functions of numbers, such as "ii->l"."""
    cursor = _cursor(module, section)
    found = []
    for _ in range(cursor.count("")):
        _need(cursor.byte("") == 0x60)
        sides = ["".join(_LETTERS[cursor.byte("")] for _ in range(cursor.count(""))) for _ in range(2)]
        found.append("->".join(sides))
    cursor.finish("")
    return found


def _table(cursor: Cursor) -> Limits:
    """Reads the type of a table of functions."""
    _need(cursor.byte("") == 0x70)
    flags = cursor.byte("")
    _need(flags in (0, 1))
    return cursor.u32(""), cursor.u32("") if flags else None


def _cursor(module: bytes, section: Section) -> Cursor:
    return Cursor(module, section.content, section.end)


def _need(held: bool) -> None:
    if not held:
        raise _Other
