"""The rules that hold for every backend, as pure functions, and the errors that say when one is broken."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lattice import errors
from lattice_keyvalue.bucket import Kind

KEY_BYTES_MAX = 1024
"""Of a key as UTF-8. NATS reads at most 4 KiB as the line that names a subject, and a key written there may take three
bytes for each of its own: one limit for all backends, so that an actor can be moved between them."""
SETS_MAX = 32
"""Sets of one union or intersection: each is read whole, and in some stores on the loop."""

REPLY_BYTES_MAX = 16 * 1024 * 1024
"""Of all items of a list or set in one reply: it is built in memory, and hosts refuse larger payloads anyway."""
KEYS_PAGE_MAX = 1000
"""Keys of one page: 1 MB if all are of the longest, and some milliseconds to find."""
INTEGER_MIN = -(2**31)
INTEGER_MAX = 2**31 - 1
"""Counters are 32 bits wide because the published contract's messages are."""
WIDE_MIN = -(2**63)
WIDE_MAX = 2**63 - 1
"""Those that are asked to be wide; Redis has no wider ones."""

# As Redis reads integers: no plus sign, no leading zeros, no spaces. Longer digits cannot fit and need no parsing.
_integer = re.compile(rb"(?:0|-?[1-9][0-9]{0,18})\Z").match


def check_key(key: str) -> None:
    """Raises `errors.ProviderError` for a key over the limit."""
    # A character takes up to four bytes: short keys need no counting.
    if len(key) * 4 > KEY_BYTES_MAX and len(key.encode()) > KEY_BYTES_MAX:
        raise errors.ProviderError(
            f"the key {key[:40]!r}... has {len(key.encode())} bytes; at most {KEY_BYTES_MAX} are possible",
            remedy="use a shorter key, such as a hash of the long one",
        )


def check_sets(keys: list[str]) -> list[str]:
    """The keys of a union or intersection, each once. Raises `errors.ProviderError` for one that is not possible."""
    distinct = list(dict.fromkeys(keys))
    if len(distinct) > SETS_MAX:
        raise errors.ProviderError(
            f"{len(distinct)} sets are named; at most {SETS_MAX} are possible in one operation",
            remedy="combine the results of several operations",
        )
    for key in distinct:
        check_key(key)
    return distinct


def nameable(key: str) -> bool:
    """Whether an actor can ask for the key: other programs may have longer ones."""
    return len(key.encode()) <= KEY_BYTES_MAX


def limits(wide: bool) -> tuple[int, int]:
    """The least and the greatest counter."""
    return (WIDE_MIN, WIDE_MAX) if wide else (INTEGER_MIN, INTEGER_MAX)


def check_delta(delta: int, wide: bool) -> None:
    """Raises `errors.MalformedMessage` for more than 32 bits where the counter has no more."""
    least, most = limits(wide)
    if not least <= delta <= most:
        raise errors.MalformedMessage(
            f"KeyValue.Increment: value is {delta}, which does not fit into 32 bits",
            remedy="say that the counter is wide",
        )


def added(key: str, value: bytes, delta: int, wide: bool = False) -> int:
    """The integer in `value` plus `delta`. Raises `errors.ProviderError` when either it or the sum is not possible."""
    if _integer(value) is None:
        raise not_an_integer(key)
    total = int(value) + delta
    least, most = limits(wide)
    if not least <= total <= most:
        raise out_of_range(key, wide)
    return total


def span(length: int, start: int, stop: int) -> tuple[int, int]:
    """The half-open range of positions that [start, stop] means in a list of `length` items."""
    first = max(0, start + length if start < 0 else start)
    last = stop + length if stop < 0 else stop
    end = min(last + 1, length)
    return (first, end) if first < end else (0, 0)


def bounded(what: str, items: Iterable[bytes]) -> list[bytes]:
    """The items as a list. Raises `errors.PayloadTooLarge`, without reading on, when they are too many for a reply."""
    found: list[bytes] = []
    room = REPLY_BYTES_MAX
    for item in items:
        room -= len(item)
        if room < 0:
            raise reply_too_large(what)
        found.append(item)
    return found


def reply_too_large(what: str) -> errors.PayloadTooLarge:
    return errors.PayloadTooLarge(
        f"{what} has more than {REPLY_BYTES_MAX} bytes of items, the limit of one reply",
        remedy="read it in parts, or keep less in it",
    )


def wrong_kind(key: str, wanted: Kind) -> errors.ProviderError:
    return errors.ProviderError(
        f"the key {key!r} holds something else than a {wanted.name.lower()}; nothing was changed",
        remedy="use another key, or delete this one first",
    )


def not_an_integer(key: str) -> errors.ProviderError:
    return errors.ProviderError(
        f"the value of {key!r} is not a decimal integer; nothing was changed",
        remedy="increment only keys that hold counters",
    )


def out_of_range(key: str, wide: bool = False) -> errors.ProviderError:
    least, most = limits(wide)
    return errors.ProviderError(
        f"the counter {key!r} would leave the range {least} to {most}; nothing was changed",
        remedy="reset the counter with Set, or count under several keys",
    )


def bad_cursor(cursor: str) -> errors.ProviderError:
    return errors.ProviderError(
        f"{cursor[:40]!r} is no cursor of this store", remedy="begin again without one: cursors are not kept for long"
    )
