"""The contract's messages, whose values are text, for any `Bucket`, whose values are bytes."""

from __future__ import annotations

from lattice.contracts import keyvalue as messages
from lattice.errors import ProviderError
from lattice.provider import Provider
from lattice_keyvalue.bucket import Bucket
from lattice_keyvalue.rules import check_delta, check_key, check_sets


class KeyValueProvider(Provider[Bucket, None]):
    """`wasmcloud:keyvalue`: a backend subclasses this with an `attach` that returns a `Bucket`.

    Text is stored as UTF-8. Who speaks bytes calls the bucket itself, as `provider.attached(actor, link name)`.
    """

    contract = messages.CONTRACT

    async def get(self, bucket: Bucket, key: str) -> messages.GetResponse:
        check_key(key)
        value = await bucket.get(key)
        if value is None:
            return messages.GetResponse(value="", exists=False)
        return messages.GetResponse(value=_text(key, value), exists=True)

    async def set(self, bucket: Bucket, message: messages.SetRequest) -> None:
        check_key(message.key)
        await bucket.set(message.key, message.value.encode(), message.expires or 0)

    async def delete(self, bucket: Bucket, key: str) -> bool:
        check_key(key)
        return await bucket.delete(key)

    async def contains(self, bucket: Bucket, key: str) -> bool:
        check_key(key)
        return await bucket.contains(key)

    async def increment(self, bucket: Bucket, message: messages.IncrementRequest) -> int:
        check_key(message.key)
        check_delta(message.value, message.wide)
        return await bucket.increment(message.key, message.value, message.wide)

    async def get_bytes(self, bucket: Bucket, key: str) -> messages.GetBytesResponse:
        check_key(key)
        value = await bucket.get(key)
        return messages.GetBytesResponse(value=value or b"", exists=value is not None)

    async def set_bytes(self, bucket: Bucket, message: messages.SetBytesRequest) -> None:
        check_key(message.key)
        await bucket.set(message.key, message.value, message.expires or 0)

    async def list_keys(self, bucket: Bucket, message: messages.ListKeysRequest) -> messages.ListKeysResponse:
        page = await bucket.list_keys(message.cursor)
        return messages.ListKeysResponse(keys=page.keys, cursor=page.cursor)

    async def compare_and_swap(
        self, bucket: Bucket, message: messages.CompareAndSwapRequest
    ) -> messages.CompareAndSwapResponse:
        check_key(message.key)
        swapped, held = await bucket.compare_and_swap(message.key, message.expected, message.value)
        return messages.CompareAndSwapResponse(swapped=swapped, value=held or b"", exists=held is not None)

    async def list_add(self, bucket: Bucket, message: messages.ListAddRequest) -> int:
        check_key(message.list_name)
        return await bucket.list_add(message.list_name, message.value.encode())

    async def list_del(self, bucket: Bucket, message: messages.ListDelRequest) -> bool:
        check_key(message.list_name)
        return await bucket.list_del(message.list_name, message.value.encode())

    async def list_clear(self, bucket: Bucket, key: str) -> bool:
        check_key(key)
        return await bucket.list_clear(key)

    async def list_range(self, bucket: Bucket, message: messages.ListRangeRequest) -> list[str]:
        check_key(message.list_name)
        return _texts(message.list_name, await bucket.list_range(message.list_name, message.start, message.stop))

    async def set_add(self, bucket: Bucket, message: messages.SetAddRequest) -> int:
        check_key(message.set_name)
        return await bucket.set_add(message.set_name, message.value.encode())

    async def set_del(self, bucket: Bucket, message: messages.SetDelRequest) -> int:
        check_key(message.set_name)
        return await bucket.set_del(message.set_name, message.value.encode())

    async def set_union(self, bucket: Bucket, keys: list[str]) -> list[str]:
        keys = check_sets(keys)
        return _texts(", ".join(keys), await bucket.set_union(keys))

    async def set_intersection(self, bucket: Bucket, keys: list[str]) -> list[str]:
        keys = check_sets(keys)
        return _texts(", ".join(keys), await bucket.set_intersection(keys))

    async def set_query(self, bucket: Bucket, key: str) -> list[str]:
        check_key(key)
        return _texts(key, await bucket.set_query(key))

    async def set_clear(self, bucket: Bucket, key: str) -> bool:
        check_key(key)
        return await bucket.set_clear(key)


def _text(key: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ProviderError(
            f"the value of {key!r} is not UTF-8 text, and this contract has no other; it has {len(value)} bytes",
            remedy="read it through wasi:keyvalue, whose values are bytes",
        ) from error


def _texts(key: str, values: list[bytes]) -> list[str]:
    return [_text(key, value) for value in values]
