"""What a test says will be called, how it is answered or fails, and what is said of what did not come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from lattice import errors, wire
from lattice.contracts.known import CONTRACTS
from lattice.contracts.message import Operation
from lattice.testing.kit.transcript import Call

CALLS_SHOWN_MAX = 20
"""Of those that came instead of one that was expected."""


class NotExpected(AssertionError):
    """Something was expected and did not come, or came more often."""


def operation_of(contract: str, name: str) -> Operation | None:
    """An operation by its whole name or what follows the dot; None for a contract that is not known, which may be an
    actor's name. Raises `errors.OperationUnknown`."""
    known = CONTRACTS.get(contract)
    if known is None:
        return None
    for operation in known.operations:
        if name in (operation.name, operation.name.partition(".")[2]):
            return operation
    names = ", ".join(operation.name.partition(".")[2] for operation in known.operations)
    raise errors.OperationUnknown(f"{contract} has no operation {name!r}; it has {names or 'none that actors call'}")


class Expectation:
    """One kind of call. Without `answers` or `fails` it is answered as always, and has to come."""

    def __init__(self, contract: str, name: str, fields: dict[str, Any]) -> None:
        """Raises `errors.OperationUnknown`, and `errors.ConfigError` for a field that the message does not have."""
        self.contract = contract
        self.operation = operation_of(contract, name)
        self.name = self.operation.name if self.operation is not None else name
        self.fields = fields
        self.count: int | None = 1
        """How often; None: at least once."""
        self.seen = 0
        self._error: errors.CallError | None = None
        self._reply: bytes | None = None
        self._require_fields()

    def answers(self, reply: Any = None, /, **fields: Any) -> Expectation:
        """The reply: a message of the contract, its fields, or for calls to actors bytes. Raises `errors.ConfigError`
        for what is no such reply."""
        given = fields if fields else reply
        self._reply = self._encoded(given)
        return self

    def fails(self, error: errors.CallError) -> Expectation:
        self._error = error
        return self

    def times(self, count: int) -> Expectation:
        self.count = count
        return self

    def at_least_once(self) -> Expectation:
        self.count = None
        return self

    def takes(self, contract: str, operation: str, payload: bytes) -> bool:
        """Whether a call is of this kind, and not one too many."""
        if contract != self.contract or operation != self.name or (self.count is not None and self.seen >= self.count):
            return False
        if not self.fields:
            return True
        if self.operation is None:
            return False
        try:
            message = wire.request_decoder(self.operation)(payload)
        except errors.MalformedMessage:
            return False
        return all(_is(wanted, _field(message, name)) for name, wanted in self.fields.items())

    def answer(self) -> bytes | None:
        """What to answer instead of the provider; None: let it. Raises the error that was given."""
        self.seen += 1
        if self._error is not None:
            raise self._error
        return self._reply

    @property
    def is_met(self) -> bool:
        return self.seen > 0 if self.count is None else self.seen == self.count

    def __str__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        often = {None: " at least once", 1: ""}.get(self.count, f" {self.count} times")
        return f"{self.contract} {self.name}({fields}){often}"

    def _require_fields(self) -> None:
        if self.operation is None:
            if self.fields:
                raise errors.ConfigError(
                    f"{self.contract} is no contract that is known here, so its messages cannot be looked into",
                    remedy="leave the fields out",
                )
            return
        type_ = self.operation.request
        known = _fields(type_)
        for name in self.fields:
            if known is not None and name not in known:
                raise errors.ConfigError(
                    f"the message of {self.name} has no field {name!r}; it has {', '.join(known) or 'none'}"
                )
        if known is None and (len(self.fields) > 1 or type_ is None) and self.fields:
            raise errors.ConfigError(f"the message of {self.name} is {'nothing' if type_ is None else 'one value'}")

    def _encoded(self, given: Any) -> bytes:
        if self.operation is None:
            if isinstance(given, bytes):
                return given
            raise errors.ConfigError(f"the answer of {self.contract} is bytes, not {type(given).__name__}")
        type_ = self.operation.reply
        if type_ is None and given is not None:
            raise errors.ConfigError(f"{self.name} answers nothing", remedy="write .answers() without a reply")
        try:
            value = type_(**given) if isinstance(given, dict) and _fields(type_) is not None else given
            encoded = wire.encoder(type_)(value)
            wire.reply_decoder(self.operation)(encoded)
        except (TypeError, errors.MalformedMessage) as error:
            raise errors.ConfigError(f"{given!r} is no reply of {self.name}: {error}") from error
        return encoded


def _fields(type_: Any) -> tuple[str, ...] | None:
    """The names of a record's fields; None for what is one value."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return type_.__struct_fields__
    return None


def _field(message: Any, name: str) -> Any:
    return getattr(message, name) if isinstance(message, msgspec.Struct) else message


def _is(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, str) and isinstance(found, bytes):
        return wanted.encode() == found
    if callable(wanted):
        looks: Callable[[Any], Any] = wanted
        return bool(looks(found))
    return bool(wanted == found)


def require_met(expectations: Sequence[Expectation], calls: Sequence[Call]) -> None:
    """Raises `NotExpected`, which says what did not come and what came instead."""
    missing = [one for one in expectations if not one.is_met]
    if not missing:
        return
    lines = ["expected, and did not come:"]
    for one in missing:
        lines.append(f"  {one}" + (f", came {one.seen} times" if one.seen else ""))
        similar = [call for call in calls if call.operation == one.name]
        lines += [f"    came instead: {call}" for call in similar[:CALLS_SHOWN_MAX]]
        if not similar:
            lines.append(f"    {one.name} was never called")
    raise NotExpected("\n".join(lines))
