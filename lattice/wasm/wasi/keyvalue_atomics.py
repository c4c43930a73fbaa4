"""wasi:keyvalue/atomics: counters, and values that are replaced only if nobody else did so meanwhile.

A `cas` is the value that the key held when it was made, and a swap is done if it holds that value still. Stores compare
values, because not all of them number their changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lattice import errors
from lattice.contracts import keyvalue as api
from lattice.wasm.component.host import ByType, Err, Ok
from lattice.wasm.component.types import FunctionType, Primitive
from lattice.wasm.wasi.instance import Instance, Outgoing
from lattice.wasm.wasi.keyvalue import Bucket, answer, failure, good_case, other, read_bytes
from lattice.wasm.wasi.table import Interface

CAS_BYTES_MAX = 16 * 1024 * 1024
"""Values that the handles of one instance keep in the host. Programs hold one handle at a time, of a small value."""
I64_MAX = 0x7FFF_FFFF_FFFF_FFFF

_INCREMENT = Outgoing(api.CONTRACT, "KeyValue.Increment")
_COMPARE_AND_SWAP = Outgoing(api.CONTRACT, "KeyValue.CompareAndSwap")


class Cas:
    """The resource `cas`: what a key of a bucket held (None: nothing)."""

    __slots__ = ("_instance", "held", "key", "link_name")

    def __init__(self, instance: Instance, link_name: str, key: str, held: bytes | None) -> None:
        """Raises `errors.PayloadTooLarge` when the instance keeps too much."""
        size = len(held or b"")
        if instance.kept_bytes and instance.kept_bytes + size > CAS_BYTES_MAX:
            raise errors.PayloadTooLarge(
                f"the handles for compare-and-swap of one instance keep more than {CAS_BYTES_MAX} bytes",
                remedy="drop those that are not used any more",
            )
        instance.kept_bytes += size
        self._instance = instance
        self.link_name = link_name
        self.key = key
        self.held = held

    def close(self) -> None:
        self._instance.kept_bytes -= len(self.held or b"")
        self.held = None


def _incrementing(type_: FunctionType) -> Callable[..., Any]:
    """Numbers have a sign since draft2; before, a counter below zero could not be told."""
    unsigned = good_case(type_) == Primitive("u64")

    async def increment(instance: Instance, bucket: Bucket, key: str, delta: int) -> Ok | Err:
        if delta > I64_MAX:
            return other(f"an increment by {delta}; counters have 64 bits, and a sign among them")
        request = api.IncrementRequest(key=key, value=delta, wide=True)
        outcome = await answer(bucket, instance.call(_INCREMENT, request, bucket.link_name))
        if unsigned and isinstance(outcome, Ok) and outcome.value < 0:
            return other(f"{key[:100]!r} counts {outcome.value} now, which this version of the interface cannot tell")
        return outcome

    return increment


async def _new(instance: Instance, bucket: Bucket, key: str) -> Ok | Err:
    async def make() -> Cas:
        return Cas(instance, bucket.link_name, key, await read_bytes(instance, bucket.link_name, key))

    outcome = await answer(bucket, make())
    return Ok(instance.own(outcome.value)) if isinstance(outcome, Ok) else outcome


def _current(cas: Cas) -> Ok:
    return Ok(cas.held)


async def _swap(instance: Instance, cas: Cas, value: bytes) -> Ok | Err:
    """The handle is used up. When somebody was faster there is a new one, of what they left."""
    request = api.CompareAndSwapRequest(key=cas.key, value=value, expected=cas.held)
    instance.moved(cas).close()
    try:
        found: api.CompareAndSwapResponse = await instance.call(_COMPARE_AND_SWAP, request, cas.link_name)
        if found.swapped:
            return Ok()
        now = Cas(instance, cas.link_name, cas.key, found.value if found.exists else None)
    except errors.CallError as error:
        return Err(("store-error", failure(error, cas.link_name)))
    return Err(("cas-failed", instance.own(now)))


ATOMICS = Interface(
    "wasi:keyvalue/atomics",
    functions={"increment": ByType(_incrementing), "[static]cas.new": _new, "swap": _swap},
    plain={"[method]cas.current": _current},
    resources=frozenset({"cas"}),
)
