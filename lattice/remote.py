"""Calls to and from other hosts: an invocation becomes an envelope on a subject, and an envelope becomes a call here.

A host addresses another by name, on a subject that only that one has, and chooses the near one of those that have a
copy. Nothing is tried twice. A payload too large for a message lies in the lattice's object store while it travels.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import msgspec

from lattice import envelope, errors, subjects
from lattice.invocation import EntityId, Handler, Invocation
from lattice.links import DEFAULT_LINK
from lattice.router import Directory, Router
from lattice.transport.transport import Delivery, Objects, Subscription, Transport

_log = logging.getLogger("lattice.remote")

MESSAGE_BYTES_MAX = 900 * 1024
"""Larger payloads go through the object store: servers refuse messages over 1 MiB by default, envelope included."""
OBJECT_KEEP_S = 600.0
"""How long a payload is kept that nobody came for."""
PAYLOAD_BYTES_MAX = 256 * 1024 * 1024
"""A size that an envelope may claim; an actor's own limit is far below."""
CALLS_MAX = 20_000
"""Calls from other hosts at once; one more is refused. Each is a task."""


class Payloads:
    """Payloads too large for one message."""

    def __init__(self, transport: Transport, lattice: str) -> None:
        self._transport = transport
        self._name = subjects.payload_objects(lattice)
        self._objects: Objects | None = None

    async def put(self, name: str, payload: bytes, timeout_s: float) -> None:
        """Raises `errors.Unreachable`: the call has not begun."""
        try:
            await (await self._store()).put(name, memoryview(payload), timeout_s)
        except (errors.StoreUnavailable, TimeoutError) as error:
            raise errors.Unreachable(f"a payload of {len(payload)} bytes could not be sent: {error}") from error

    async def take(self, name: str, size: int, timeout_s: float) -> bytes:
        """Reads and deletes. Raises `errors.CallError`."""
        if size > PAYLOAD_BYTES_MAX:
            raise errors.PayloadTooLarge(
                f"a payload of {size} bytes is announced; at most {PAYLOAD_BYTES_MAX} are read"
            )
        try:
            store = await self._store()
            payload = await store.get(name, timeout_s)
            await store.delete(name)
        except (errors.StoreUnavailable, errors.TargetUnknown, TimeoutError) as error:
            raise errors.AnswerLost(f"a payload of {size} bytes did not arrive: {error}") from error
        if len(payload) != size:
            raise errors.MalformedMessage(f"a payload of {len(payload)} bytes came where {size} were announced")
        return payload

    async def _store(self) -> Objects:
        if self._objects is None:
            self._objects = await self._transport.objects(self._name, keep_s=OBJECT_KEEP_S)
        return self._objects


class Remote:
    """Calls to other hosts."""

    def __init__(self, transport: Transport, lattice: str, host: str, directory: Directory, payloads: Payloads) -> None:
        self._transport = transport
        self._lattice = lattice
        self._host = host
        self._directory = directory
        self._payloads = payloads
        self._waiting: dict[str, dict[asyncio.Future[bytes], None]] = {}
        """Answers that are awaited, by the host they are awaited from, in the order they were asked for."""
        directory.on_suspect(self._fail)

    def handler(self, target: EntityId) -> Handler:
        """A `Handler` for a target on whichever host has it at the time of the call."""

        def call(invocation: Invocation) -> Coroutine[Any, Any, bytes]:
            return self._call(target, invocation)

        return call

    async def _call(self, target: EntityId, invocation: Invocation) -> bytes:
        """Raises `errors.Unreachable` when the call did not happen, `errors.AnswerLost` when it may have."""
        timeout_s = invocation.deadline - asyncio.get_running_loop().time()
        if timeout_s <= 0:
            raise errors.DeadlineExceeded(f"the call's deadline had passed before {target.key} could be called")
        copies = self._directory.copies(target.key)
        if not copies:
            raise errors.Unreachable(
                f"no host that runs {target.key} can be reached", remedy="lattice app status says what it waits for"
            )
        host = copies[0]
        stored = len(invocation.payload) > MESSAGE_BYTES_MAX
        if stored:
            await self._payloads.put(invocation.id, invocation.payload, timeout_s)
        data = envelope.write_invocation(invocation, target, self._host, timeout_s, stored)
        try:
            async with asyncio.timeout_at(invocation.deadline):
                answer = await self._ask(host, subjects.rpc_on_host(self._lattice, target.key, host), data)
        except TimeoutError as error:
            raise errors.DeadlineExceeded(f"{target.key} on {host} did not answer before the deadline") from error
        except errors.Unreachable:
            self._directory.avoid(host)
            raise
        payload, size = envelope.read_response(answer)
        if size:
            timeout_s = max(0.1, invocation.deadline - asyncio.get_running_loop().time())
            return await self._payloads.take(f"{invocation.id}-r", size, timeout_s)
        return payload

    async def _ask(self, host: str, subject: str, data: bytes) -> bytes:
        answer = await self._transport.ask(subject, data)
        waiting = self._waiting.get(host)
        if waiting is None:
            waiting = self._waiting[host] = {}
        waiting[answer] = None
        try:
            return await answer
        finally:
            waiting.pop(answer, None)
            if not waiting and self._waiting.get(host) is waiting:
                del self._waiting[host]

    def _fail(self, host: str) -> None:
        """A host fell silent: nobody waits for it any longer."""
        for answer in self._waiting.pop(host, {}):
            if not answer.done():
                answer.set_exception(errors.AnswerLost(f"the host {host} fell silent before it answered"))


class Inbound:
    """Calls from other hosts, answered by what runs here."""

    def __init__(
        self, transport: Transport, lattice: str, host: str, router: Router, handler: Handler, payloads: Payloads
    ) -> None:
        """`handler` is the way in: a pipeline that resolves here and nowhere else."""
        self._transport = transport
        self._lattice = lattice
        self._host = host
        self._router = router
        self._handler = handler
        self._payloads = payloads
        self._direct: Subscription | None = None
        self._shared: dict[tuple[str, str], Subscription] = {}
        self._taking = False
        self._serving: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes calls from now on. Raises `errors.Unreachable`."""
        self._taking = True
        self._direct = await self._transport.subscribe(subjects.rpc_to_host(self._lattice, self._host), self._received)
        self._router.on_change(self._changed.set)
        self._changed.set()
        self._follower = asyncio.create_task(self._follow(), name="rpc-subjects")

    async def stop_taking(self) -> None:
        """Answers new calls with `errors.Draining` and leaves the groups in which any copy would do."""
        self._taking = False
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            self._follower = None
        for subscription in self._shared.values():
            await subscription.unsubscribe()
        self._shared.clear()

    async def stop(self, deadline: float) -> bool:
        """Waits for the calls that run until `deadline`, a time of the loop; False when some were cut off."""
        await self.stop_taking()
        loop = asyncio.get_running_loop()
        left: set[asyncio.Task[None]] = set()
        if self._serving:
            _, left = await asyncio.wait(self._serving, timeout=max(0.0, deadline - loop.time()))
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._direct is not None:
            await self._direct.unsubscribe()
            self._direct = None
        return not left

    async def _follow(self) -> None:
        """Keeps the subscriptions for which any copy would do equal to what is registered here. Tools and hosts that
        know nothing of this host's own subject call there."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = {(key, contract) for key, contract in self._router.local() if subjects.is_word(key)}
            for gone in self._shared.keys() - wanted:
                await self._shared.pop(gone).unsubscribe()
            for key, contract in wanted - self._shared.keys():
                if contract:
                    subject, queue = subjects.rpc_provider(self._lattice, key, DEFAULT_LINK), "rpc"
                else:
                    subject = queue = subjects.rpc_actor(self._lattice, key)
                try:
                    self._shared[key, contract] = await self._transport.subscribe(subject, self._received, queue=queue)
                except errors.Unreachable as error:
                    _log.warning("%s is not offered to other hosts yet: %s", key, error)
                    self._changed.set()
                    await asyncio.sleep(1)

    def _received(self, delivery: Delivery) -> None:
        if len(self._serving) >= CALLS_MAX:
            refused = errors.Overloaded(f"{CALLS_MAX} calls from other hosts run already")
            task = asyncio.create_task(self._reply(delivery.reply, envelope.write_response("", b"", refused, False)))
        else:
            task = asyncio.create_task(self._serve(delivery))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, delivery: Delivery) -> None:
        """Answers one call, exactly once."""
        invocation_id, payload, failure = "", b"", None
        try:
            invocation, size = envelope.read_invocation(delivery.payload, asyncio.get_running_loop().time())
            invocation_id = invocation.id
            if not self._taking:
                raise errors.Draining(f"the host {self._host} is stopping")
            async with asyncio.timeout_at(invocation.deadline):
                if size:
                    invocation = await self._with_payload(invocation, size)
                payload = await self._handler(invocation)
        except errors.CallError as error:
            failure = error
        except TimeoutError:
            failure = errors.DeadlineExceeded("the call did not finish before its caller's deadline")
        except Exception as error:
            _log.exception("a call from another host failed")
            failure = errors.CallError(f"{type(error).__name__}: {error}")
        stored = len(payload) > MESSAGE_BYTES_MAX
        if stored:
            try:
                await self._payloads.put(f"{invocation_id}-r", payload, invocation.deadline - _now())
            except errors.CallError as error:
                failure, payload, stored = errors.AnswerLost(error.message), b"", False
        await self._reply(delivery.reply, envelope.write_response(invocation_id, payload, failure, stored))

    async def _with_payload(self, invocation: Invocation, size: int) -> Invocation:
        payload = await self._payloads.take(invocation.id, size, max(0.1, invocation.deadline - _now()))
        return msgspec.structs.replace(invocation, payload=payload)

    async def _reply(self, subject: str, data: bytes) -> None:
        if not subject:
            return
        try:
            await self._transport.publish(subject, data)
        except errors.CallError as error:
            _log.debug("an answer could not be sent: %s", error)


def _now() -> float:
    return asyncio.get_running_loop().time()
