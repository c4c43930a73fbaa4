"""Parameters and rows as CBOR (RFC 8949). Pure.

A parameter is one CBOR value: null, a boolean, a number, text, bytes, an array or a map of these, or one of the tags
for times (0, 1), big integers (2, 3), decimal fractions (4) and UUIDs (37). Other tags are refused: some of them make
a decoder compile patterns, share parts of a value or compute powers, none of which a database needs.

Rows hold plain CBOR only, so that the smallest decoder in a guest reads them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeAlias
from uuid import UUID

import cbor2

Parameter: TypeAlias = Any
"""None, bool, int, float, str, bytes, datetime, Decimal, UUID, or a list or dict (with text keys) of these."""

DEPTH_MAX = 16
"""Arrays and maps inside each other in one value; deeper ones have no use in a row and cost stack."""
REFUSED_TAGS = (5, 25, 28, 29, 30, 35, 36, 54, 52, 100, 256, 258, 260, 261, 1004, 43000, 55799)
"""Every tag that cbor2 would act upon, but for those this module's docstring names."""
SCALARS = (bool, int, float, str, bytes, date, datetime, Decimal, UUID)


class Undecodable(Exception):
    """Bytes that are not exactly one value of the kinds above."""


class Unencodable(Exception):
    """A value of the database without a plain CBOR form."""


class TooLarge(Exception):
    """A result over its limit; the text says which."""


def read_parameter(data: bytes) -> Parameter:
    """One CBOR value. Raises `Undecodable`."""
    stream = io.BytesIO(data)
    decoder = cbor2.CBORDecoder(
        stream,
        semantic_decoders=dict.fromkeys(REFUSED_TAGS, _refuse),
        max_depth=DEPTH_MAX,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        value = decoder.decode()
    except Exception as error:  # the decoder wraps most errors, but not all that a hostile value can cause
        raise Undecodable(_reason(error)) from error
    if stream.tell() != len(data):
        raise Undecodable(f"{len(data) - stream.tell()} bytes follow the value")
    _check(value)
    return value


def _refuse(*_args: object) -> NoReturn:
    raise Undecodable("a CBOR tag that is not accepted")


def _reason(error: BaseException) -> str:
    cause = error.__cause__
    return f"{error}: {cause}" if isinstance(cause, Undecodable) else str(error) or type(error).__name__


def _check(value: Any) -> None:
    if value is None or isinstance(value, SCALARS):
        return
    if isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Undecodable("a map key that is not text")
            _check(item)
    else:
        raise Undecodable(f"a value of a kind that is not accepted ({type(value).__name__})")


class RowBuffer:
    """Rows on their way into a result: encoded as they come, so that a result too large is noticed early."""

    def __init__(self, rows_max: int, bytes_max: int) -> None:
        self.count = 0
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, row: Sequence[Any]) -> None:
        """Raises `TooLarge`, and `Unencodable` for a value that is not plain."""
        if self.count == self._rows_max:
            raise TooLarge(f"the result has more than {self._rows_max} rows (rows_max); ask for fewer, as with LIMIT")
        try:
            part = cbor2.dumps(list(row), default=_unencodable)
        except (cbor2.CBOREncodeError, UnicodeError, RecursionError) as error:
            raise Unencodable(str(error)) from error
        self._size += len(part)
        if self._size > self._bytes_max:
            raise TooLarge(f"the result is over {self._bytes_max} bytes (result_bytes_max); ask for less")
        self._parts.append(part)
        self.count += 1

    def clear(self) -> None:
        """Back to no rows, for another attempt."""
        self._parts.clear()
        self.count = self._size = 0

    def encoded(self) -> bytes:
        """A CBOR array of the rows, each an array."""
        return array_header(self.count) + b"".join(self._parts)


def _unencodable(_encoder: cbor2.CBOREncoder, value: object) -> NoReturn:
    raise cbor2.CBOREncodeError(f"a value of type {type(value).__name__}")


def array_header(count: int) -> bytes:
    """How a CBOR array of `count` items begins."""
    if count < 24:
        return bytes([0x80 | count])
    for mark, size in ((0x98, 1), (0x99, 2), (0x9A, 4)):
        if count < 1 << (8 * size):
            return bytes([mark]) + count.to_bytes(size, "big")
    return b"\x9b" + count.to_bytes(8, "big")


def as_text(value: datetime | date | Decimal | UUID) -> str:
    """A tagged parameter in the form that SQL databases read."""
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


def plain(value: Any) -> Any:
    """A parameter with its tagged parts as text, for JSON."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, (date, Decimal, UUID)):
        return as_text(value)
    return value
