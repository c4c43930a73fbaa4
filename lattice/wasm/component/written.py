"""Python written for one known function of the host: its values across the border and the call, without detours.

`crossings` does the same by functions within functions, five of them for a handle and a result. A request of a small
component is ten such calls, and half of its time were those. Here the common values (handles, numbers, texts, bytes, a
result that holds one of these) become lines of one function; everything else is handed to what `lift` and `lower` make.

What is written depends on types alone: no name or text of a component gets into it.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from lattice import errors
from lattice.wasm.component import lift, types
from lattice.wasm.component.crossings import RAW_BYTES, Outward
from lattice.wasm.component.host import KnownFunction, Ok, of_type
from lattice.wasm.component.memory import LIFTED_BYTES_MAX
from lattice.wasm.component.plan import Canonical
from lattice.wasm.component.resources import Entry
from lattice.wasm.component.types import FunctionType, Handle, List, Primitive, ValueType, Variant

_NUMBERS = {
    **dict.fromkeys(("u32", "u64", "f32", "f64"), "{0}"),
    **{"s32": "{0} - (({0} >> 31) << 32)", "s64": "{0} - (({0} >> 63) << 64)"},
    **{"u8": "{0} & 0xFF", "u16": "{0} & 0xFFFF", "bool": "{0} != 0"},
}
_OCTETS = List(Primitive("u8"))
SMALL_BYTES = 16 * 1024
"""Of a text or bytes: the sixteen that a call may have are nothing beside `LIFTED_BYTES_MAX`."""

_ALLOWED = """\
    if not instance.may_leave:
        raise may_not_leave()
"""
_BORROWED = """\
    entry = entries[{value}] if {value} < len(entries) else None
    if entry is not None and entry.type is {handle}_resource:
        {name} = entry.what
    else:
        {name} = table.lift({handle}, {value})
"""
# Small ones need not be paid for. What is wrong with a text is told by who reads all others.
_TEXT = """\
    try:
        small = {size} <= SMALL and {at} + {size} <= len(cx.view)
        {name} = str(cx.view[{at} : {at} + {size}], "utf-8") if small else text(cx, {at}, {size})
    except UnicodeDecodeError:
        {name} = text(cx, {at}, {size})
"""
_BYTES = """\
    small = {size} <= SMALL and {at} + {size} <= len(cx.view)
    {name} = cx.view[{at} : {at} + {size}].tobytes() if small else octets(cx, {at}, {size})
"""
_STORE = """\
    at = {value}
    if at & {mask} or at + {size} > len(cx.view):
        cx.inside(at, {alignment}, {size})
"""
_OK = """\
    if type(outcome) is Ok:
        {write}
        return
"""


class _Code:
    """The lines of a function, and what their names mean."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.uses_cx = self.uses_table = False

    def name(self, value: Any) -> str:
        name = f"x{len(self.names)}"
        self.names[name] = value
        return name


def function_for(
    known: KnownFunction, type_: FunctionType, outward: Outward, options: Canonical, group: int
) -> Callable[..., None]:
    """What core code calls: for a function that `waits` as `Linker.define_typed` wants it, for others `define_raw`."""
    code = _Code()
    arguments = ["instance.host"] if known.of_instance else []
    arguments += _arguments(code, type_, outward, options.encoding)
    taken = code.lines
    code.lines = []
    if known.waits:
        code.uses_cx = True
        code.lines.append("    outward.give(cx, values, outcome, results)")
    else:
        _give(code, type_, outward)
    values = [
        "    values = read(string_at(address, size))" if known.waits else "    values = read(at_address(address))"
    ]
    if outward.parameters:
        values.append(f"    {', '.join(f'v{n}' for n in range(len(outward.parameters)))}, = values")
    if code.uses_cx:
        values += [
            f"    cx = instance.crossings[{group}] or instance.crossing({group})",
            f"    cx.budget = {LIFTED_BYTES_MAX}",
        ]
    if code.uses_table:
        values += [f"    table = instance.tables[{options.owner}]", "    entries = table.entries"]
    waited = (
        "        instance.sleep(instance.answered(outward, cx, None, values, results, outcome))\n        return"
        if known.waits
        else "        outcome.close()\n        raise waits()"
    )
    text = "\n".join(
        [
            f"def called(instance, address{', results' if known.waits else ''}):",
            _ALLOWED.rstrip(),
            *values,
            *taken,
            f"    outcome = function({', '.join(arguments)})",
            "    if type(outcome) is CoroutineType:",
            waited,
            *code.lines,
        ]
    )
    names: dict[str, Any] = {
        **{"may_not_leave": _may_not_leave, "waits": _waits, "CoroutineType": CoroutineType, "Ok": Ok, "Entry": Entry},
        **{"function": of_type(known.function, type_), "outward": outward, "text": lift.text, "octets": lift.octets},
        **{"string_at": ctypes.string_at, "size": outward.values_in.size},
        "SMALL": SMALL_BYTES,
        "read": outward.values_in.unpack if known.waits else outward.read_raw,
        "at_address": (ctypes.c_char * (RAW_BYTES * max(1, len(outward.parameters)))).from_address,
        "word": ctypes.c_uint64.from_address,
        **code.names,
    }
    exec(compile(text, "<a host function>", "exec"), names)  # noqa: S102  # see above what it is made of
    made: Callable[..., None] = names["called"]
    return made


def _arguments(code: _Code, type_: FunctionType, outward: Outward, encoding: str) -> list[str]:
    """The expressions of the arguments, after lines that read them in order."""
    if sum(len(types.flatten(param)) for param in type_.params) > types.PARAMS_FLAT_MAX:
        code.uses_cx = True
        return ["*outward.arguments(cx, values)"]
    found = []
    at = 0
    for number, param in enumerate(type_.params):
        name, value = f"a{number}", f"v{at}"
        if isinstance(param, Handle):
            code.uses_table = True
            handle = code.name(param)
            if param.own or param.resource.guest >= 0:
                code.lines.append(f"    {name} = table.lift({handle}, {value})")
            else:
                code.names[f"{handle}_resource"] = param.resource
                code.lines.append(_BORROWED.format(name=name, value=value, handle=handle).rstrip())
        elif isinstance(param, Primitive) and param.name in _NUMBERS:
            code.lines.append(f"    {name} = {_NUMBERS[param.name].format(value)}")
        else:
            code.uses_cx = True
            if param == _OCTETS or (param == Primitive("string") and encoding == "utf8"):
                lines = _TEXT if isinstance(param, Primitive) else _BYTES
                code.lines.append(lines.format(name=name, at=value, size=f"v{at + 1}").rstrip())
            else:
                lifted = code.name(lift.lifter(param, at, outward.parameters))
                code.lines.append(f"    {name} = {lifted}(cx, values)")
        found.append(name)
        at += len(types.flatten(param))
    return found


def _give(code: _Code, type_: FunctionType, outward: Outward) -> None:
    """Lines that put the result where the core code looks for it."""
    result = type_.result
    if result is None:
        return
    if isinstance(result, Handle) and result.resource.guest < 0:
        code.uses_table = True
        resource = code.name(result.resource)
        code.lines.append(f"    word(address).value = table.add(Entry({resource}, outcome, True))")
        return
    code.uses_cx = True
    if not outward.results and isinstance(result, Variant) and result.form == "result":
        write = _ok_written(code, result)
        if write:
            alignment, size = types.alignment(result), types.size(result)
            value = f"v{len(outward.parameters) - 1}"
            code.lines.append(_STORE.format(value=value, mask=alignment - 1, size=size, alignment=alignment).rstrip())
            code.lines.append(_OK.format(write=write).rstrip())
    code.lines.append("    outward.give_raw(cx, values, outcome, at_address(address))")


def _ok_written(code: _Code, result: Variant) -> str:
    """A line that writes the good case of a result to `at`; "" for what is not common."""
    case: ValueType | None = result.cases[0]
    padding = types.payload_offset(result) - types.discriminant_size(2)
    if case is None:
        return "cx.view[at] = 0"
    if isinstance(case, Handle) and case.resource.guest < 0:
        code.uses_table = True
        pack, resource = code.name(struct.Struct(f"<B{padding}xI").pack_into), code.name(case.resource)
        return f"{pack}(cx.view, at, 0, table.add(Entry({resource}, outcome.value, True)))"
    return ""


def _may_not_leave() -> errors.GuestProtocolError:
    return errors.GuestProtocolError("the guest called the host where it may not, from realloc or post-return")


def _waits() -> TypeError:
    return TypeError("the function waits, and is known as one that never does")
