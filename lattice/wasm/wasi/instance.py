"""What the interfaces of one guest instance share: whose it is, what it may use, the call it is in, what it holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import msgspec

from lattice import errors, wire
from lattice.bodies import Bodies
from lattice.contracts.message import Contract
from lattice.endpoints import Endpoint
from lattice.invocation import Invocation
from lattice.wasm import audit, output
from lattice.wasm.guest import ActorContext

RESOURCES_MAX = 4096
"""Resources one instance may hold at a time. Programs hold some tens; each costs the host up to a few hundred bytes."""

NOTHING: Mapping[str, str] = MappingProxyType({})


class Resource(Protocol):
    """What a guest holds a handle of."""

    def close(self) -> None:
        """The guest let go of it, or is gone. Called once, must not fail."""
        ...


R = TypeVar("R", bound=Resource)


class FileGrant(msgspec.Struct, frozen=True):
    """A folder of the host that a guest sees under another name; read-only unless it says otherwise."""

    host: Path
    guest: str
    writable: bool = False


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor is given besides its links. Nothing, unless its manifest says so."""

    files: tuple[FileGrant, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    config: Mapping[str, str] = NOTHING
    """What wasi:config answers from."""
    sockets: tuple[Endpoint, ...] = ()


class Outgoing:
    """One operation of a contract, ready to be called. Made once, with the codecs of its messages."""

    __slots__ = ("contract", "decode", "encode", "name")

    def __init__(self, contract: Contract, name: str) -> None:
        operation = next(operation for operation in contract.operations if operation.name == name)
        self.contract = contract.id
        self.name = name
        self.encode = wire.encoder(operation.request)
        self.decode = wire.reply_decoder(operation)


class Instance:
    """One guest instance as its interfaces see it. `close` lets go of all that it holds."""

    __slots__ = (
        *("_owned", "_standing", "_tasks", "actor", "deadline", "exit_code", "grants", "host_error", "invocation"),
        *("kept_bytes", "output", "reach", "spent"),
    )

    def __init__(self, actor: ActorContext, grants: Grants) -> None:
        self.actor = actor
        self.grants = grants
        self.invocation: Invocation | None = None
        self.deadline = 0.0
        self.exit_code: int | None = None
        """Set when the guest left through wasi:cli/exit, which ends the call with a trap even when all is well."""
        self.host_error = b""
        """Why the last call by `nanolattice:actor/host` failed."""
        self.output: Any = None
        self.reach: Any = None
        """What it may reach by sockets, once it asked."""
        self.kept_bytes = 0
        """Of values that handles stand for."""
        self.spent = ""
        """Why there is no other call after this one."""
        self._owned: set[Resource] = set()
        self._standing: set[Resource] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def held(self) -> int:
        """How many resources the guest holds."""
        return len(self._owned) + len(self._standing)

    @property
    def working(self) -> int:
        """How much is being done beside the guest."""
        return len(self._tasks)

    def refused(self, what: str, why: str) -> None:
        """The guest asked for what it was not granted."""
        audit.refused(self, f"asks for {what!r}: {why}")

    def begin(self, invocation: Invocation, deadline: float) -> None:
        """A call begins; what the guest calls meanwhile is caused by it."""
        self.invocation = invocation
        self.deadline = deadline
        self.exit_code = None
        self.host_error = b""

    def end(self) -> None:
        """The call is over, and with it what was being done beside the guest."""
        for task in list(self._tasks):
            if task.cancel():
                self.spent = "something was still going on for it"
        self.invocation = None

    def rest(self, held: list[object]) -> str:
        """As `component.guest.InstanceImports`. What was granted to the actor may stay with the guest; all else is of
        the call."""
        output.finish(self)
        self.reach = None
        if self.spent:
            return self.spent
        kept = self._owned.union(held) - self._standing
        if kept:
            names = Counter(type(resource).__name__ for resource in kept)
            return f"it keeps {', '.join(f'{count} {name}' for name, count in sorted(names.items()))}"
        return ""

    def own(self, resource: R) -> R:
        """Counts a resource that the guest is about to get. Raises `errors.GuestError` over the limit."""
        if len(self._owned) + len(self._standing) >= RESOURCES_MAX:
            resource.close()
            raise errors.GuestError(
                f"the guest holds {RESOURCES_MAX} resources, the most one instance may",
                remedy="drop handles that are not used any more",
            )
        self._owned.add(resource)
        return resource

    def own_beyond_calls(self, resource: R) -> R:
        """As `own`, for what is of the actor and says nothing of the call: output, granted folders, names of links."""
        self._owned.remove(self.own(resource))
        self._standing.add(resource)
        return resource

    def moved(self, resource: R) -> R:
        """The guest gave a resource to the host for good."""
        self._owned.discard(resource)
        return resource

    def let_go(self, resource: Resource) -> None:
        """The guest dropped it. After `close` there is nothing left to do."""
        if resource in self._owned:
            self._owned.remove(resource)
            resource.close()
        elif resource in self._standing:
            self._standing.remove(resource)
            resource.close()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs work beside the guest; it ends with the instance."""
        task = asyncio.get_running_loop().create_task(work, name=f"wasi:{self.actor.key}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.actor.log.error("work for the guest failed", exc_info=error)

    async def call(
        self, operation: Outgoing, message: Any, link_name: str = "default", bodies: Bodies | None = None
    ) -> Any:
        """One operation of a contract that this host knows. Raises `errors.CallError`.

        Returns None when the reply began in `bodies`."""
        reply = await self.pass_on(link_name, operation.contract, operation.name, operation.encode(message), bodies)
        return None if bodies is not None and bodies.begun else operation.decode(reply)

    async def pass_on(
        self, link_name: str, target: str, operation: str, payload: bytes, bodies: Bodies | None = None
    ) -> bytes:
        """Makes a call in the name of the actor, as part of the call it is in. Raises `errors.CallError`."""
        parent = self.invocation
        if parent is None:
            raise errors.GuestProtocolError("a host call outside of a call, during start-up")
        limit = self.actor.limits.payload_bytes_max
        if len(payload) > limit:
            raise self.too_large("a host call", len(payload))
        reply = await self.actor.outbound(
            Invocation(
                origin=self.actor.entity,
                contract=target,
                operation=operation,
                payload=payload,
                id=parent.id,
                deadline=self.deadline,
                link_name=link_name,
                depth=parent.depth + 1,
                trace=parent.trace,
                bodies=bodies,
            )
        )
        if len(reply) > limit:
            raise self.too_large("the reply to a host call", len(reply))
        return reply

    def too_large(self, what: str, size: int) -> errors.PayloadTooLarge:
        return errors.PayloadTooLarge(
            f"{what} of {size} bytes is over limits.payload of {self.actor.key}"
            f" ({self.actor.limits.payload_bytes_max} bytes)",
            remedy="raise limits.payload of the actor",
        )

    def close(self) -> None:
        """Ends the work beside the guest and lets go of every resource it still holds."""
        self.end()
        for resources in (self._owned, self._standing):
            while resources:
                resources.pop().close()
