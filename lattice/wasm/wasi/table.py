"""How a file of this package says what it has: names of the component encoding to Python functions."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from lattice.wasm.component.host import ByType

Functions = Mapping[str, Callable[..., Any] | ByType]

NONE: Functions = MappingProxyType({})


class Interface(msgspec.Struct, frozen=True):
    """One WIT interface. `functions` get the `Instance` and the lifted arguments; `plain` ones only the arguments."""

    name: str
    functions: Functions = NONE
    plain: Functions = NONE
    resources: frozenset[str] = frozenset()


def waits(function: Callable[..., Any] | ByType) -> bool:
    """Whether a function may return something to wait for, by what it is said to return. `Any` may be anything."""
    if isinstance(function, ByType):
        return True
    if inspect.isbuiltin(function):
        return False
    return inspect.iscoroutinefunction(function) or _may_wait(get_type_hints(function).get("return", Any))


def _may_wait(type_: Any) -> bool:
    if get_origin(type_) in (Union, UnionType):
        return any(map(_may_wait, get_args(type_)))
    plain = get_origin(type_) or type_
    return type_ is Any or (isinstance(plain, type) and issubclass(plain, Awaitable))
