"""Dataclasses from JSON and to it: each mistake is an `Error` "invalid" that names the member.

Types are looked at once, when they are first used: a decoder is a closure for each.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from nanolattice.errors import Error, invalid

T = TypeVar("T")
Decoder = Callable[[Any, str], Any]
"""(a value as `json.loads` makes it, how it is called in an error) -> a value of the type."""

NESTING_MAX = 64
"""JSON nested deeper would end the component instead of failing: its stack is that of WebAssembly, of 512 KiB."""
WHOLE_END = 1 << 63
"""Whole numbers beyond it would not survive a store, a database or a reader in another language."""


def from_json(type_: type[T], text: str | bytes, what: str) -> T:
    """Raises `Error` "invalid", which calls the whole of it `what`."""
    try:
        text = text if isinstance(text, str) else text.decode()
        _require_shallow(text)
        value = json.loads(text, parse_constant=_refuse)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()  # half a character is none
    except (ValueError, RecursionError) as error:
        raise invalid(f"{what} is not JSON: {error}") from error
    return decode(type_, value, what)


def _require_shallow(text: str) -> None:
    """Raises `ValueError` for what is nested deeper than `NESTING_MAX`."""
    if text.count("[") + text.count("{") <= NESTING_MAX:
        return
    brackets = _NO_BRACKETS.sub("", _TEXTS.sub("", text))
    depth = 0
    while depth <= NESTING_MAX and (inner := brackets.replace("[]", "").replace("{}", "")) != brackets:
        brackets = inner
        depth += 1
    # What is left does not fit together; each of it may be one level more.
    if depth + len(brackets) > NESTING_MAX:
        raise ValueError(f"nested more than {NESTING_MAX} deep")


_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def decode(type_: type[T], value: Any, what: str) -> T:
    """The same for JSON that was read."""
    try:
        decoded: T = decoder(type_)(value, what)
    except RecursionError as error:
        raise invalid(f"{what} is nested too deep") from error
    return decoded


def plain(value: Any) -> Any:
    """A value as `json.dumps` takes it: dataclasses become dicts, enums their values, sets lists."""
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, enum.Enum)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in JSON")


_decoders: dict[Any, Decoder] = {}


def decoder(type_: Any) -> Decoder:
    """Raises `TypeError` for a type that JSON does not have."""
    found = _decoders.get(type_)
    if found is None:
        # A dataclass may hold itself: what is inside finds this one instead of making it again.
        _decoders[type_] = lambda value, what: _decoders[type_](value, what)
        try:
            found = _decoders[type_] = _make(type_)
        except BaseException:
            del _decoders[type_]
            raise
    return found


def _make(type_: Any) -> Decoder:
    if type_ in _PLAIN:
        return _PLAIN[type_]
    if dataclasses.is_dataclass(type_):
        return _record(type_)
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return _choice(type_, tuple(member.value for member in type_), type_)
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is typing.Literal:
        return _choice(None, arguments, lambda value: value)
    if origin is typing.Annotated:
        return decoder(arguments[0])
    if type_ is list or origin is list:
        return _list(decoder(arguments[0] if arguments else Any))
    if type_ is dict or origin is dict:
        if arguments and arguments[0] is not str:
            raise TypeError(f"{type_}: the keys of JSON are text")
        return _dict(decoder(arguments[1] if arguments else Any))
    raise TypeError(f"{type_} cannot be read from JSON; dataclasses, list, dict, str, int, float, bool and None can")


def _named(value: Any) -> str:
    """What a value is, for people who see JSON and not Python."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"


def _expect(accepts: Callable[[Any], bool], wanted: str, convert: Callable[[Any], Any] | None = None) -> Decoder:
    def read(value: Any, what: str) -> Any:
        if not accepts(value):
            raise invalid(f"{what} is {_named(value)}, not {wanted}")
        return value if convert is None else convert(value)

    return read


def _whole(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(f"{what} is {_named(value)}, not a whole number")
    if not -WHOLE_END <= value < WHOLE_END:
        raise invalid(f"{what} is a number of more than 64 bits")
    return value


_PLAIN: dict[Any, Decoder] = {
    Any: lambda value, what: value,
    object: lambda value, what: value,
    str: _expect(lambda value: isinstance(value, str), "text"),
    bool: _expect(lambda value: isinstance(value, bool), "true or false"),
    int: _whole,
    float: _expect(lambda value: isinstance(value, (int, float)) and not isinstance(value, bool), "a number", float),
    None: _expect(lambda value: value is None, "null"),
    type(None): _expect(lambda value: value is None, "null"),
}


def _record(type_: Any) -> Decoder:
    hints: dict[str, Any] = typing.get_type_hints(type_)
    members = [
        (field.name, decoder(hints[field.name]), _is_required(field))
        for field in dataclasses.fields(type_)
        if field.init
    ]

    def read(value: Any, what: str) -> Any:
        if not isinstance(value, dict):
            raise invalid(f"{what} is {_named(value)}, not an object")
        found = {}
        for name, decode_member, required in members:
            if name in value:
                found[name] = decode_member(value[name], f"{what}.{name}" if "." in what or "[" in what else name)
            elif required:
                raise invalid(f"{name} is missing")
        return type_(**found)

    return read


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _list(item: Decoder) -> Decoder:
    def read(value: Any, what: str) -> Any:
        if not isinstance(value, list):
            raise invalid(f"{what} is {_named(value)}, not a list")
        return [item(each, f"{what}[{number}]") for number, each in enumerate(value)]

    return read


def _dict(item: Decoder) -> Decoder:
    def read(value: Any, what: str) -> Any:
        if not isinstance(value, dict):
            raise invalid(f"{what} is {_named(value)}, not an object")
        return {key: item(each, f"{what}.{key}") for key, each in value.items()}

    return read


def _choice(type_: Any, values: tuple[Any, ...], convert: Callable[[Any], Any]) -> Decoder:
    def read(value: Any, what: str) -> Any:
        # By type too: True is equal to 1.
        if any(value == each and type(value) is type(each) for each in values):
            return convert(value)
        raise invalid(f"{what} is {json.dumps(value)[:100]}, not one of {', '.join(map(json.dumps, values))}")

    return read


def _union(arguments: tuple[Any, ...]) -> Decoder:
    decoders = [decoder(each) for each in arguments if each is not type(None)]
    nullable = len(decoders) < len(arguments)

    def read(value: Any, what: str) -> Any:
        if value is None and nullable:
            return None
        first: Error | None = None
        for each in decoders:
            try:
                return each(value, what)
            except Error as error:
                first = first or error
        assert first is not None
        raise first

    return read
