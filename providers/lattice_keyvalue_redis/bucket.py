"""The operations as Redis commands; where one command is not enough, as a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from lattice_keyvalue import Kind, Page, Swap, rules

from lattice.errors import ProviderError
from lattice_keyvalue_redis.client import RedisClient

# Redis counts with 64 bits, the contract with 32: what leaves the range is undone before anybody can see it.
INCREMENT = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if total < -2147483648 or total > 2147483647 then
    redis.call('DECRBY', KEYS[1], ARGV[1])
    return redis.error_reply('RANGE the sum does not fit into 32 bits')
end
return total
"""
# A wide counter is Redis's own and needs no script, which could not even tell it: Lua counts in floats.
COMPARE_AND_SWAP = """
local held = redis.call('GET', KEYS[1])
if held ~= (ARGV[1] == '1' and ARGV[2]) then return {0, held} end
redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
return {1, held}
"""
SCANS_MAX = 16
"""Steps of one page, each of which looks at `rules.KEYS_PAGE_MAX` keys of the database: others may have many in it."""
# DEL removes any kind; clearing a list must not remove a set.
CLEAR = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return 0 end
if kind ~= ARGV[1] then return redis.error_reply('WRONGTYPE the key holds a ' .. kind) end
return redis.call('DEL', KEYS[1])
"""


class RedisBucket:
    """A `Bucket`: the keys of one database that start with `prefix`, which other programs may read and write too.

    `url` is what the client was acquired with.
    """

    def __init__(self, client: RedisClient, url: str, prefix: str) -> None:
        self.url = url
        self._client = client
        self._prefix = prefix.encode()
        self._swap = client.register(COMPARE_AND_SWAP)
        self._pattern = re.sub(rb"([][\\*?])", rb"\\\1", self._prefix) + b"*"
        self._increment = client.register(INCREMENT)
        self._clear_script = client.register(CLEAR)

    def _key(self, key: str) -> bytes:
        return self._prefix + key.encode()

    async def _run(self, kind: Kind, name: str, key: str, *arguments: Any) -> Any:
        """One command on a key that must hold `kind`."""
        try:
            return await self._client.run(name, self._key(key), *arguments)
        except ProviderError as error:
            raise _explained(error, key, kind) from error

    async def get(self, key: str) -> bytes | None:
        value: bytes | None = await self._run(Kind.VALUE, "GET", key)
        return value

    async def set(self, key: str, value: bytes, expires_s: int = 0) -> None:
        await self._run(Kind.VALUE, "SET", key, value, *(("EX", expires_s) if expires_s else ()))

    async def delete(self, key: str) -> bool:
        return int(await self._run(Kind.VALUE, "DEL", key)) == 1

    async def contains(self, key: str) -> bool:
        return int(await self._run(Kind.VALUE, "EXISTS", key)) == 1

    async def increment(self, key: str, delta: int, wide: bool = False) -> int:
        if not wide:
            return int(await self._run_script(Kind.VALUE, self._increment, key, delta))
        try:
            return int(await self._client.run("INCRBY", self._key(key), delta))
        except ProviderError as error:
            raise _explained(error, key, Kind.VALUE, wide) from error

    async def compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> Swap:
        there, wanted = (0, b"") if expected is None else (1, expected)
        swapped, held = await self._run_script(Kind.VALUE, self._swap, key, there, wanted, value)
        return Swap(swapped == 1, held)

    async def list_keys(self, cursor: str | None) -> Page:
        """A cursor is the server's own."""
        if cursor is not None and re.fullmatch("[0-9]{1,20}", cursor) is None:
            raise rules.bad_cursor(cursor)
        at = int(cursor or 0)
        found: set[bytes] = set()
        for _ in range(SCANS_MAX):
            at, some = await self._client.run("SCAN", at, "MATCH", self._pattern, "COUNT", rules.KEYS_PAGE_MAX)
            found.update(some)
            if at == 0 or len(found) >= rules.KEYS_PAGE_MAX:
                break
        keys = (_text(key[len(self._prefix) :]) for key in found if key.startswith(self._prefix))
        return Page(sorted(key for key in keys if key is not None), str(at) if at else None)

    async def list_add(self, key: str, value: bytes) -> int:
        return int(await self._run(Kind.LIST, "RPUSH", key, value))

    async def list_del(self, key: str, value: bytes) -> bool:
        return int(await self._run(Kind.LIST, "LREM", key, 0, value)) > 0

    async def list_clear(self, key: str) -> bool:
        return await self._clear(Kind.LIST, key)

    async def list_range(self, key: str, start: int, stop: int) -> list[bytes]:
        return rules.bounded(f"the list {key!r}", await self._run(Kind.LIST, "LRANGE", key, start, stop))

    async def set_add(self, key: str, value: bytes) -> int:
        return int(await self._run(Kind.SET, "SADD", key, value))

    async def set_del(self, key: str, value: bytes) -> int:
        return int(await self._run(Kind.SET, "SREM", key, value))

    async def set_query(self, key: str) -> list[bytes]:
        return rules.bounded(f"the set {key!r}", sorted(await self._run(Kind.SET, "SMEMBERS", key)))

    async def set_union(self, keys: Sequence[str]) -> list[bytes]:
        return await self._combine("SUNION", keys)

    async def set_intersection(self, keys: Sequence[str]) -> list[bytes]:
        return await self._combine("SINTER", keys)

    async def set_clear(self, key: str) -> bool:
        return await self._clear(Kind.SET, key)

    async def _combine(self, name: str, keys: Sequence[str]) -> list[bytes]:
        if not keys:
            return []
        found = await self._run(Kind.SET, name, keys[0], *map(self._key, keys[1:]))
        return rules.bounded("the result", sorted(found))

    async def _clear(self, kind: Kind, key: str) -> bool:
        # The names of the kinds are Redis's own too.
        return int(await self._run_script(kind, self._clear_script, key, kind.name.lower())) == 1

    async def _run_script(self, kind: Kind, script: Callable[..., Any], key: str, *arguments: Any) -> Any:
        try:
            return await self._client.run_script(script, [self._key(key)], *arguments)
        except ProviderError as error:
            raise _explained(error, key, kind) from error


def _text(key: bytes) -> str | None:
    """A key as actors name it; None for one that they cannot, of another program."""
    try:
        name = key.decode()
    except UnicodeDecodeError:
        return None
    return name if rules.nameable(name) else None


def _explained(error: ProviderError, key: str, kind: Kind, wide: bool = False) -> ProviderError:
    """Redis's own words for a broken rule as the error that every backend has for it."""
    said = str(error.__cause__)
    if "WRONGTYPE" in said:
        return rules.wrong_kind(key, kind)
    if "not an integer" in said:
        return rules.not_an_integer(key)
    if "RANGE" in said or "overflow" in said:
        return rules.out_of_range(key, wide)
    return error
