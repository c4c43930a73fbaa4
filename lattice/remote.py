"""Calls to and from other hosts: an invocation becomes an envelope on a subject, and an envelope becomes a call here.

A host addresses another by name, on a subject that only that one has, and chooses the near one of those that have a
copy. Nothing is tried twice. A payload too large for a message lies in the lattice's object store while it travels.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeAlias

import msgspec

from lattice import envelope, errors, subjects
from lattice.invocation import EntityId, Handler, Invocation
from lattice.links import DEFAULT_LINK
from lattice.router import Directory, Router
from lattice.transport.transport import Delivery, Objects, Subscription, Transport, request

_log = logging.getLogger("lattice.remote")

MESSAGE_BYTES_MAX = 900 * 1024
"""Larger payloads go through the object store: servers refuse messages over 1 MiB by default, envelope included."""
OBJECT_KEEP_S = 600.0
"""How long a payload is kept that nobody came for."""
PAYLOAD_BYTES_MAX = 256 * 1024 * 1024
"""A size that an envelope may claim; an actor's own limit is far below."""
CHECK_S = 1.0
"""How long an answer is waited for before its host is asked whether it is at the call at all: a message may be lost
where no connection of either side is, in a server that dies."""
CHECK_S_MAX = 2.0
CHECKED_MAX = 1_000
"""Calls that are asked after at once."""
CALLS_MAX = 20_000
"""Calls from other hosts at once; one more is refused. Each is a task."""


_Asked: TypeAlias = tuple[str, float]
"""The id of a call and when it was made."""


class Payloads:
    """Payloads too large for one message."""

    def __init__(self, transport: Transport, lattice: str) -> None:
        self._transport = transport
        self._name = subjects.payload_objects(lattice)
        self._objects: Objects | None = None

    async def put(self, name: str, payload: bytes, timeout_s: float) -> None:
        """Raises `errors.Unreachable`: the call has not begun."""
        try:
            async with asyncio.timeout(timeout_s):
                await (await self._store()).put(name, memoryview(payload), timeout_s)
        except (errors.StoreUnavailable, TimeoutError) as error:
            raise errors.Unreachable(f"a payload of {len(payload)} bytes could not be sent: {error}") from error

    async def take(self, name: str, size: int, timeout_s: float) -> bytes:
        """Reads and deletes. Raises `errors.Unreachable` when it did not arrive, `errors.PayloadTooLarge`,
        `errors.MalformedMessage` when it is of another size than was announced."""
        if size > PAYLOAD_BYTES_MAX:
            raise errors.PayloadTooLarge(
                f"a payload of {size} bytes is announced; at most {PAYLOAD_BYTES_MAX} are read"
            )
        try:
            async with asyncio.timeout(timeout_s):
                store = await self._store()
                payload = await store.get(name, timeout_s, size_max=size)
        except (errors.StoreUnavailable, errors.TargetUnknown, TimeoutError) as error:
            raise errors.Unreachable(f"a payload of {size} bytes did not arrive: {error}") from error
        try:
            await store.delete(name)
        except errors.StoreUnavailable as error:
            _log.debug("the payload %s stays until its time is over: %s", name, error)
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
        self._waiting: dict[str, dict[asyncio.Future[bytes], _Asked]] = {}
        """Answers that are awaited, by the host they are awaited from, in the order they were asked for."""
        self._timer: asyncio.TimerHandle | None = None
        self._checking: dict[str, asyncio.Task[None]] = {}
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
            timeout_s = max(0.001, invocation.deadline - _now())
        data = envelope.write_invocation(invocation, target, self._host, timeout_s, stored)
        try:
            async with asyncio.timeout_at(invocation.deadline):
                subject = subjects.rpc_on_host(self._lattice, target.key, host)
                answer = await self._ask(host, invocation.id, subject, data)
        except TimeoutError as error:
            raise errors.DeadlineExceeded(f"{target.key} on {host} did not answer before the deadline") from error
        except errors.Unreachable:
            self._directory.avoid(host)
            raise
        try:
            payload, size = envelope.read_response(answer)
        except (errors.Unreachable, errors.Draining):
            self._directory.avoid(host)
            raise
        if not size:
            return payload
        try:
            return await self._payloads.take(f"{invocation.id}-r", size, max(0.1, invocation.deadline - _now()))
        except errors.Unreachable as error:
            raise errors.AnswerLost(error.message) from error

    async def _ask(self, host: str, invocation_id: str, subject: str, data: bytes) -> bytes:
        answer = await self._transport.ask(subject, data)
        waiting = self._waiting.get(host)
        if waiting is None:
            waiting = self._waiting[host] = {}
        waiting[answer] = (invocation_id, _now())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check)
        try:
            return await answer
        finally:
            waiting.pop(answer, None)
            if not waiting and self._waiting.get(host) is waiting:
                del self._waiting[host]

    # Answers that take long: is somebody at them?

    def _check(self) -> None:
        """Asks the hosts of calls that have waited for long. Runs while anything waits."""
        self._timer = None
        if not self._waiting:
            return
        before = _now() - CHECK_S
        for host, waiting in self._waiting.items():
            late = [asked[0] for asked in waiting.values() if asked[1] <= before][:CHECKED_MAX]
            if late and host not in self._checking:
                self._checking[host] = asyncio.create_task(self._ask_after(host, late), name=f"calls:{host}")
        self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check)

    async def _ask_after(self, host: str, ids: list[str]) -> None:
        """Gives up the answers to calls that the host does not know (any more): had it answered them, that would have
        been heard before this."""
        try:
            subject = subjects.rpc_calls(self._lattice, host)
            unknown = envelope.read_ids(await request(self._transport, subject, envelope.write_ids(ids), CHECK_S_MAX))
        except errors.CallError as error:
            _log.debug("%s does not say which calls it is answering: %s", host, error)
            return
        finally:
            del self._checking[host]
        gone = set(unknown) & set(ids)
        for answer, (invocation_id, _) in list(self._waiting.get(host, {}).items()):
            if invocation_id in gone and not answer.done():
                answer.set_exception(errors.AnswerLost(f"{host} is not at the call: it, or its answer, was lost"))

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
        self._answering: set[str] = set()
        """Ids of the calls that are being answered."""
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
        if delivery.subject == subjects.rpc_calls(self._lattice, self._host):
            task = asyncio.create_task(self._tell_unknown(delivery))
        elif len(self._serving) >= CALLS_MAX:
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
            self._answering.add(invocation_id)
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
        self._answering.discard(invocation_id)

    async def _tell_unknown(self, delivery: Delivery) -> None:
        """Which of the calls that a caller waits for nobody is at here."""
        try:
            asked = envelope.read_ids(delivery.payload)
        except errors.MalformedMessage as error:
            _log.debug("%s", error)
            return
        unknown = [one for one in asked if one not in self._answering]
        await self._reply(delivery.reply, envelope.write_ids(unknown))

    async def _with_payload(self, invocation: Invocation, size: int) -> Invocation:
        payload = await self._payloads.take(invocation.id, size, max(0.1, invocation.deadline - _now()))
        return msgspec.structs.replace(invocation, payload=payload)

    async def _reply(self, subject: str, data: bytes) -> None:
        if not subject:
            return
        try:
            await self._transport.publish(subject, data)
        except errors.PayloadTooLarge as error:
            _log.error("an answer could not be sent: %s", error)
            await self._reply(subject, envelope.write_response("", b"", error, False))
        except errors.CallError as error:
            _log.debug("an answer could not be sent: %s", error)


def _now() -> float:
    return asyncio.get_running_loop().time()
