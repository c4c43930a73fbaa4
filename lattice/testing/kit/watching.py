"""Coroutines that a test made and forgot to await, which would otherwise do nothing, and say so only in a warning."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

KEPT_MAX = 1000
"""Coroutines that are looked after; those that have begun are forgotten first."""

P = ParamSpec("P")
Result = TypeVar("Result")


class Forgotten:
    """The coroutines of one test, with what was written to make them."""

    def __init__(self) -> None:
        self._made: list[tuple[str, Coroutine[Any, Any, Any]]] = []

    def add(self, written: str, made: Coroutine[Any, Any, Any]) -> None:
        if len(self._made) >= KEPT_MAX:
            self._made = [(text, one) for text, one in self._made if _is_new(one)][:KEPT_MAX]
        self._made.append((written, made))

    def take(self) -> str:
        """What is to be said of those that never began, which never will from now on; "" for none."""
        forgotten = [(text, one) for text, one in self._made if _is_new(one)]
        self._made.clear()
        for _, one in forgotten:
            one.close()
        return "\n".join(f"{text} was never awaited, so it did nothing: write await before it" for text, _ in forgotten)


def _is_new(made: Coroutine[Any, Any, Any]) -> bool:
    return inspect.getcoroutinestate(made) == inspect.CORO_CREATED


class Watched(Protocol):
    forgotten: Forgotten


Self = TypeVar("Self", bound=Watched)


def awaited(
    method: Callable[Concatenate[Self, P], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, Result]]:
    """The same method, whose coroutines are looked after."""

    @wraps(method)
    def call(self: Self, /, *given: P.args, **named: P.kwargs) -> Coroutine[Any, Any, Result]:
        made = method(self, *given, **named)
        shown = ", ".join((*map(repr, given), *(f"{name}={value!r}" for name, value in named.items())))
        self.forgotten.add(f"{method.__name__}({shown[:100]})", made)
        return made

    return call
