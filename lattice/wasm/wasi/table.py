"""How a file of this package says what it has: names of the component encoding to Python functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

Functions = Mapping[str, Callable[..., Any]]

NONE: Functions = MappingProxyType({})


class Interface(msgspec.Struct, frozen=True):
    """One WIT interface. `functions` get the `Instance` and the lifted arguments; `plain` ones only the arguments."""

    name: str
    functions: Functions = NONE
    plain: Functions = NONE
    resources: frozenset[str] = frozenset()
