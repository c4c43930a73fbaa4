"""A guest of the WASI interfaces without WebAssembly: calls them as the canonical ABI would."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

from lattice import errors
from lattice.config import Limits
from lattice.invocation import EntityId, Handler, Invocation, new_id
from lattice.pipeline import made_whole
from lattice.wasm.component.host import ByType, Err, Ok
from lattice.wasm.component.types import FunctionType
from lattice.wasm.guest import ActorContext
from lattice.wasm.wasi.instance import Grants
from lattice.wasm.wasi.interfaces import InstanceInterfaces

CALL_S = 10.0

CLOSED = ("closed", None)


class _Noting(InstanceInterfaces):
    """Notes what is refused, besides."""

    def __init__(self, actor: ActorContext, grants: Grants, refusals: list[tuple[str, str]]) -> None:
        super().__init__(actor, grants)
        self._refusals = refusals

    def refused(self, what: str, why: str) -> None:
        super().refused(what, why)
        self._refusals.append((what, why))


class WasiGuest:
    """`providers` answer by contract id; every call to one is noted in `made`, and every refusal in `refusals`."""

    def __init__(
        self, providers: dict[str, Handler] | None = None, *, grants: Grants | None = None, **limits: Any
    ) -> None:
        self.providers = providers or {}
        self.in_pieces: set[str] = set()
        """Contracts whose providers take bodies in pieces."""
        self.types: dict[str, FunctionType] = {}
        """How the guest imports functions that are not the same in all versions."""
        self.made: list[Invocation] = []
        self.refusals: list[tuple[str, str]] = []
        actor = ActorContext("actor", self._outbound, Limits(**limits))
        self.host = _Noting(actor, grants or Grants(), self.refusals)
        self.host.begin(invocation(), time.monotonic() + CALL_S)

    async def _outbound(self, call: Invocation) -> bytes:
        if call.bodies is not None and call.contract not in self.in_pieces:
            call = await made_whole(call)
        self.made.append(call)
        handler = self.providers.get(call.contract)
        if handler is None:
            raise errors.NotLinked(f"no link for {call.contract}")
        return await handler(call)

    def now(self, interface: str, name: str, *arguments: Any) -> Any:
        """A function that must not wait."""
        function = self.host.function(interface, name)
        assert function is not None, f"{interface} has no {name}"
        result = self._made(function, interface, name)(*arguments)
        assert not inspect.isawaitable(result), f"{name} waits"
        return result

    async def call(self, interface: str, name: str, *arguments: Any) -> Any:
        function = self.host.function(interface, name)
        assert function is not None, f"{interface} has no {name}"
        result = self._made(function, interface, name)(*arguments)
        return await result if inspect.isawaitable(result) else result

    def _made(self, function: Any, interface: str, name: str) -> Any:
        return function.made(self.types[f"{interface}#{name}"]) if isinstance(function, ByType) else function

    def ok(self, interface: str, name: str, *arguments: Any) -> Any:
        result = self.now(interface, name, *arguments)
        assert isinstance(result, Ok), result
        return result.value

    async def good(self, interface: str, name: str, *arguments: Any) -> Any:
        result = await self.call(interface, name, *arguments)
        assert isinstance(result, Ok), result
        return result.value

    async def bad(self, interface: str, name: str, *arguments: Any) -> Any:
        result = await self.call(interface, name, *arguments)
        assert isinstance(result, Err), result
        return result.value

    def drop(self, *resources: Any) -> None:
        for resource in resources:
            self.host.drop("", "", resource)

    async def read_all(self, stream: Any) -> bytes:
        parts = []
        while isinstance(
            result := await self.call("wasi:io/streams", "[method]input-stream.blocking-read", stream, 4096), Ok
        ):
            parts.append(result.value)
        assert result == Err(CLOSED), result
        return b"".join(parts)

    async def write_all(self, stream: Any, data: bytes) -> None:
        """As the guests' libraries do: as much as is permitted, then wait."""
        streams = "wasi:io/streams"
        pollable = self.now(streams, "[method]output-stream.subscribe", stream)
        while data:
            await self.call("wasi:io/poll", "[method]pollable.block", pollable)
            permitted = self.ok(streams, "[method]output-stream.check-write", stream)
            assert permitted
            self.ok(streams, "[method]output-stream.write", stream, data[:permitted])
            data = data[permitted:]
        await self.good(streams, "[method]output-stream.blocking-flush", stream)
        self.drop(pollable)


def invocation(operation: str = "Test.Op", payload: bytes = b"", timeout_s: float = CALL_S) -> Invocation:
    return Invocation(
        origin=EntityId("provider"),
        contract="test:contract",
        operation=operation,
        payload=payload,
        id=new_id(),
        deadline=time.monotonic() + timeout_s,
    )


async def settle() -> None:
    """Lets tasks that are ready run."""
    for _ in range(5):
        await asyncio.sleep(0)
