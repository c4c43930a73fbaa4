"""wasi:keyvalue (0.2.0-draft and draft2) over wasmcloud:keyvalue. A bucket is a link: its name is the link name.

Text and keys go by the operations of the published contract, so that any provider answers and a link that names
operations says what it means. Bytes that are no text, and lists of keys, need the extension of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from lattice import errors
from lattice.contracts import keyvalue as api
from lattice.wasm.component.host import ByType, Err, Ok
from lattice.wasm.component.types import FunctionType, List, Primitive, Record, ValueType, Variant, option
from lattice.wasm.wasi.instance import Instance, Outgoing
from lattice.wasm.wasi.table import Interface

BATCH_MAX = 1000
"""Keys of one batch, which are asked for one after the other."""
NAME_BYTES_MAX = 256
"""A bucket. It ends up in error texts."""
CURSORS_MAX = 4
"""Places in lists of keys that one bucket remembers for a guest whose cursors are numbers. It goes on from the last."""

_GET = Outgoing(api.CONTRACT, "KeyValue.Get")
_GET_BYTES = Outgoing(api.CONTRACT, "KeyValue.GetBytes")
_SET = Outgoing(api.CONTRACT, "KeyValue.Set")
_SET_BYTES = Outgoing(api.CONTRACT, "KeyValue.SetBytes")
_DELETE = Outgoing(api.CONTRACT, "KeyValue.Del")
_CONTAINS = Outgoing(api.CONTRACT, "KeyValue.Contains")
_LIST_KEYS = Outgoing(api.CONTRACT, "KeyValue.ListKeys")

Pairs = list[tuple[str, bytes]]


class Bucket:
    """The resource `bucket`."""

    __slots__ = ("_cursors", "_given", "link_name")

    def __init__(self, link_name: str) -> None:
        self.link_name = link_name
        self._cursors: dict[int, str] = {}
        self._given = 0

    def numbered(self, cursor: str) -> int:
        """A number for a cursor of the store."""
        self._given += 1
        self._cursors[self._given] = cursor
        if len(self._cursors) > CURSORS_MAX:
            del self._cursors[min(self._cursors)]
        return self._given

    def cursor(self, number: int) -> str:
        """Raises `errors.MalformedMessage` for one that is not, or no longer, known."""
        found = self._cursors.get(number)
        if found is None:
            raise errors.MalformedMessage(f"{number} is none of the last {CURSORS_MAX} cursors of this bucket")
        return found

    def close(self) -> None:
        """Nothing to free: the connection is the provider's."""


def failure(error: errors.CallError, link_name: str) -> Any:
    """The WIT variant `error`."""
    if isinstance(error, errors.NotLinked):
        return "no-such-store", None
    if isinstance(error, errors.NotGranted | errors.Denied):
        return "access-denied", None
    text = f"bucket {link_name!r}: {error.code}: {error.message}"
    if isinstance(error, errors.OperationUnknown):
        text += "; this needs a provider that has the extension of wasmcloud:keyvalue"
    return "other", text


def other(text: str) -> Err:
    return Err(("other", text))


async def answer(bucket: Bucket, work: Awaitable[Any]) -> Ok | Err:
    try:
        return Ok(await work)
    except errors.CallError as error:
        return Err(failure(error, bucket.link_name))


def good_case(type_: FunctionType) -> ValueType | None:
    """What a function gives when all is well."""
    result = type_.result
    return result.cases[0] if isinstance(result, Variant) and result.form == "result" else result


def _open(instance: Instance, identifier: str) -> Ok | Err:
    if len(identifier.encode()) > NAME_BYTES_MAX:
        return Err(("no-such-store", None))
    return Ok(instance.own_beyond_calls(Bucket(identifier or "default")))


async def read_bytes(instance: Instance, link_name: str, key: str) -> bytes | None:
    """By the extension, for whoever needs that anyway."""
    found: api.GetBytesResponse = await instance.call(_GET_BYTES, key, link_name)
    return found.value if found.exists else None


async def _get_value(instance: Instance, bucket: Bucket, key: str) -> bytes | None:
    try:
        found: api.GetResponse = await instance.call(_GET, key, bucket.link_name)
    except errors.ProviderUnavailable:
        raise
    except errors.ProviderError as error:
        # Perhaps what is there is no text, which only the extension gives.
        try:
            return await read_bytes(instance, bucket.link_name, key)
        except (errors.OperationUnknown, errors.Denied, errors.NotLinked):
            raise error from None
    return found.value.encode() if found.exists else None


async def _set_value(instance: Instance, bucket: Bucket, key: str, value: bytes) -> None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        await instance.call(_SET_BYTES, api.SetBytesRequest(key=key, value=value), bucket.link_name)
    else:
        await instance.call(_SET, api.SetRequest(key=key, value=text), bucket.link_name)


async def _delete_key(instance: Instance, bucket: Bucket, key: str) -> None:
    await instance.call(_DELETE, key, bucket.link_name)


async def _get(instance: Instance, bucket: Bucket, key: str) -> Ok | Err:
    return await answer(bucket, _get_value(instance, bucket, key))


async def _set(instance: Instance, bucket: Bucket, key: str, value: bytes) -> Ok | Err:
    return await answer(bucket, _set_value(instance, bucket, key, value))


async def _delete(instance: Instance, bucket: Bucket, key: str) -> Ok | Err:
    return await answer(bucket, _delete_key(instance, bucket, key))


async def _exists(instance: Instance, bucket: Bucket, key: str) -> Ok | Err:
    return await answer(bucket, instance.call(_CONTAINS, key, bucket.link_name))


def _listing(type_: FunctionType) -> Callable[..., Any]:
    """Cursors are texts since draft2, as the store's are, and numbers before."""
    numbered = option(Primitive("u64")) in type_.params

    async def page(instance: Instance, bucket: Bucket, cursor: Any) -> tuple[list[str], Any]:
        if numbered and cursor is not None:
            cursor = bucket.cursor(cursor)
        found: api.ListKeysResponse = await instance.call(
            _LIST_KEYS, api.ListKeysRequest(cursor=cursor), bucket.link_name
        )
        after = bucket.numbered(found.cursor) if numbered and found.cursor is not None else found.cursor
        return found.keys, after

    async def list_keys(instance: Instance, bucket: Bucket, cursor: Any) -> Ok | Err:
        return await answer(bucket, page(instance, bucket, cursor))

    return list_keys


def _getting_many(type_: FunctionType) -> Callable[..., Any]:
    """In the order of the keys: at first an option of a pair for each, later a pair of the key and an option."""
    many = good_case(type_)
    always_pairs = isinstance(many, List) and isinstance(many.element, Record)

    async def get_many(instance: Instance, bucket: Bucket, keys: list[str]) -> Ok | Err:
        async def ask() -> list[tuple[str, bytes | None] | None]:
            _require_batch(keys)
            found: list[tuple[str, bytes | None] | None] = []
            for key in keys:
                value = await _get_value(instance, bucket, key)
                found.append(None if value is None and not always_pairs else (key, value))
            return found

        return await answer(bucket, ask())

    return get_many


async def _set_many(instance: Instance, bucket: Bucket, pairs: Pairs) -> Ok | Err:
    async def change() -> None:
        _require_batch(pairs)
        for key, value in pairs:
            await _set_value(instance, bucket, key, value)

    return await answer(bucket, change())


async def _delete_many(instance: Instance, bucket: Bucket, keys: list[str]) -> Ok | Err:
    async def change() -> None:
        _require_batch(keys)
        for key in keys:
            await _delete_key(instance, bucket, key)

    return await answer(bucket, change())


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
        "[method]bucket.list-keys": ByType(_listing),
    },
    resources=frozenset({"bucket"}),
)

BATCH = Interface(
    "wasi:keyvalue/batch",
    functions={"get-many": ByType(_getting_many), "set-many": _set_many, "delete-many": _delete_many},
)
