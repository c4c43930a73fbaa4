"""wasi:keyvalue (0.2.0-draft and draft2) over wasmcloud:keyvalue. A bucket is a link: its name is the link name.

Values are bytes here and text in the contract, so what is not UTF-8 is refused. The contract cannot list keys and has
no compare-and-set; those functions say so.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from lattice import errors
from lattice.contracts import keyvalue as api
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.instance import Instance, Outgoing
from lattice.wasm.wasi.table import Interface

BATCH_MAX = 1000
"""Keys of one batch, which are asked for one after the other."""
NAME_BYTES_MAX = 256
"""A bucket. It ends up in error texts."""
I32_MIN, I32_MAX = -0x8000_0000, 0x7FFF_FFFF

_GET = Outgoing(api.CONTRACT, "KeyValue.Get")
_SET = Outgoing(api.CONTRACT, "KeyValue.Set")
_DELETE = Outgoing(api.CONTRACT, "KeyValue.Del")
_CONTAINS = Outgoing(api.CONTRACT, "KeyValue.Contains")
_INCREMENT = Outgoing(api.CONTRACT, "KeyValue.Increment")

Pairs = list[tuple[str, bytes]]


class Bucket:
    """The resource `bucket`."""

    __slots__ = ("link_name",)

    def __init__(self, link_name: str) -> None:
        self.link_name = link_name

    def close(self) -> None:
        """Nothing to free: the connection is the provider's."""


def _error(error: errors.CallError, bucket: Bucket) -> Err:
    """The WIT variant `error`."""
    if isinstance(error, errors.NotLinked):
        return Err(("no-such-store", None))
    if isinstance(error, errors.NotGranted | errors.Denied):
        return Err(("access-denied", None))
    return _other(f"bucket {bucket.link_name!r}: {error.code}: {error.message}")


def _other(text: str) -> Err:
    return Err(("other", text))


async def _answer(bucket: Bucket, work: Awaitable[Any]) -> Ok | Err:
    try:
        return Ok(await work)
    except errors.CallError as error:
        return _error(error, bucket)


def _open(instance: Instance, identifier: str) -> Ok | Err:
    if len(identifier.encode()) > NAME_BYTES_MAX:
        return Err(("no-such-store", None))
    return Ok(instance.own_beyond_calls(Bucket(identifier or "default")))


async def _get_value(instance: Instance, bucket: Bucket, key: str) -> bytes | None:
    found: api.GetResponse = await instance.call(_GET, key, bucket.link_name)
    return found.value.encode() if found.exists else None


async def _set_value(instance: Instance, bucket: Bucket, key: str, value: bytes) -> None:
    await instance.call(_SET, api.SetRequest(key=key, value=_text(key, value)), bucket.link_name)


def _text(key: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise errors.MalformedMessage(
            f"the value of {key[:100]!r} is not UTF-8, and wasmcloud:keyvalue holds text",
            remedy="encode it as text, for example in Base64",
        ) from None


async def _delete_key(instance: Instance, bucket: Bucket, key: str) -> None:
    await instance.call(_DELETE, key, bucket.link_name)


async def _get(instance: Instance, bucket: Bucket, key: str) -> Ok | Err:
    return await _answer(bucket, _get_value(instance, bucket, key))


async def _set(instance: Instance, bucket: Bucket, key: str, value: bytes) -> Ok | Err:
    return await _answer(bucket, _set_value(instance, bucket, key, value))


async def _delete(instance: Instance, bucket: Bucket, key: str) -> Ok | Err:
    return await _answer(bucket, _delete_key(instance, bucket, key))


async def _exists(instance: Instance, bucket: Bucket, key: str) -> Ok | Err:
    return await _answer(bucket, instance.call(_CONTAINS, key, bucket.link_name))


def _list_keys(_bucket: Bucket, _cursor: Any) -> Err:
    return _other("wasmcloud:keyvalue cannot list keys; keep them in a set of your own")


async def _increment(instance: Instance, bucket: Bucket, key: str, delta: int) -> Ok | Err:
    if not I32_MIN <= delta <= I32_MAX:
        return _other(f"an increment by {delta}; wasmcloud:keyvalue counts in 32 bits")
    request = api.IncrementRequest(key=key, value=delta)
    return await _answer(bucket, instance.call(_INCREMENT, request, bucket.link_name))


def _no_compare_and_set(*_arguments: Any) -> Err:
    return _other("wasmcloud:keyvalue has no compare-and-set; use increment")


def _swap(*_arguments: Any) -> Err:
    return Err(("store-error", ("other", "wasmcloud:keyvalue has no compare-and-set; use increment")))


async def _get_many(instance: Instance, bucket: Bucket, keys: list[str]) -> Ok | Err:
    """In the order of the keys; None for one that is not there."""

    async def ask() -> list[tuple[str, bytes] | None]:
        _require_batch(keys)
        found: list[tuple[str, bytes] | None] = []
        for key in keys:
            value = await _get_value(instance, bucket, key)
            found.append(None if value is None else (key, value))
        return found

    return await _answer(bucket, ask())


async def _set_many(instance: Instance, bucket: Bucket, pairs: Pairs) -> Ok | Err:
    async def change() -> None:
        _require_batch(pairs)
        for key, value in pairs:
            _text(key, value)  # before anything is stored
        for key, value in pairs:
            await _set_value(instance, bucket, key, value)

    return await _answer(bucket, change())


async def _delete_many(instance: Instance, bucket: Bucket, keys: list[str]) -> Ok | Err:
    async def change() -> None:
        _require_batch(keys)
        for key in keys:
            await _delete_key(instance, bucket, key)

    return await _answer(bucket, change())


def _require_batch(keys: list[Any]) -> None:
    if len(keys) > BATCH_MAX:
        raise errors.MalformedMessage(f"a batch of {len(keys)} keys; {BATCH_MAX} is the most")


STORE = Interface(
    "wasi:keyvalue/store",
    functions={
        "open": _open,
        "[method]bucket.get": _get,
        "[method]bucket.set": _set,
        "[method]bucket.delete": _delete,
        "[method]bucket.exists": _exists,
    },
    plain={"[method]bucket.list-keys": _list_keys},
    resources=frozenset({"bucket"}),
)

ATOMICS = Interface(
    "wasi:keyvalue/atomics",
    functions={"increment": _increment},
    plain={
        "[static]cas.new": _no_compare_and_set,
        "[method]cas.current": _no_compare_and_set,
        "[static]cas.new-with-read": _no_compare_and_set,
        "swap": _swap,
    },
    resources=frozenset({"cas"}),
)

BATCH = Interface(
    "wasi:keyvalue/batch", functions={"get-many": _get_many, "set-many": _set_many, "delete-many": _delete_many}
)
