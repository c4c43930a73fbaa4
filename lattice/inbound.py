"""Calls from other hosts: an envelope on a subject becomes a call here, and what comes of it an answer.

Nothing is done before it is known who calls. Of what is not authentic the sender is told why, without a proof, which a
host that signs its calls does not believe.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from lattice import envelope, errors, subjects
from lattice.authentic import Authentic, Source
from lattice.envelope import SignedInvocation
from lattice.invocation import Handler, Invocation
from lattice.links import DEFAULT_LINK
from lattice.payloads import MESSAGE_BYTES_MAX, Payloads, digest_of
from lattice.router import Router
from lattice.security.answering import CameBefore
from lattice.tasks import end_all
from lattice.telemetry.audit import Refused
from lattice.transport.transport import Delivery, Subscription, Transport

_log = logging.getLogger("lattice.remote")

CALLS_MAX = 20_000
"""Calls from other hosts at once; one more is refused. Each is a task."""
REFUSING_MAX = 1_000
"""Calls over that limit which are being refused; past it they get no answer."""
_NOBODY = Source("")


class Inbound:
    """Calls from other hosts, answered by what runs here."""

    def __init__(
        self,
        transport: Transport,
        lattice: str,
        host: str,
        router: Router,
        handler: Handler,
        payloads: Payloads,
        authentic: Authentic,
        refused: Refused,
    ) -> None:
        """`handler` is the way in: a pipeline that resolves here and nowhere else."""
        self._transport = transport
        self._lattice = lattice
        self._host = host
        self._router = router
        self._handler = handler
        self._payloads = payloads
        self._authentic = authentic
        self._refused = refused
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
            await end_all((self._follower,))
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
        await end_all(left)
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
        refused = None
        if len(self._serving) >= CALLS_MAX:
            if len(self._serving) >= CALLS_MAX + REFUSING_MAX:
                return
            refused = errors.Overloaded(f"{CALLS_MAX} calls from other hosts run already")
        if delivery.subject == subjects.rpc_calls(self._lattice, self._host):
            task = asyncio.create_task(self._tell_unknown(delivery))
        else:
            task = asyncio.create_task(self._serve(delivery, refused))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, delivery: Delivery, refused: errors.CallError | None) -> None:
        """Answers one call, exactly once. What was here before gets no answer: its caller has one, or will."""
        payload, digest, failure = b"", b"", refused
        call, source, invocation, admitted = None, _NOBODY, None, False
        try:
            call = envelope.read_envelope(delivery.payload)
            source = self._source(call, delivery, question=False)
            if failure is None:
                self._authentic.admit(source, call)
                admitted = True
                self._answering.add(call.id)
                invocation, payload = await self._answer(call, source)
        except CameBefore:
            return
        except errors.CallError as error:
            failure = error
        except TimeoutError:
            failure = errors.DeadlineExceeded("the call did not finish before its caller's deadline")
        except Exception as error:
            _log.exception("a call from another host failed")
            failure = errors.CallError(f"{type(error).__name__}: {error}")
        invocation_id = call.id if call is not None else ""
        if invocation is not None and len(payload) > MESSAGE_BYTES_MAX:
            try:
                digest = await digest_of(payload)
                await self._payloads.put(f"{invocation_id}-r", payload, invocation.deadline - _now())
            except errors.CallError as error:
                failure, payload, digest = errors.AnswerLost(error.message), b"", b""
        more = self._authentic.said(source, call, admitted) if call is not None and source.session is not None else {}
        await self._reply(delivery.reply, source.answer(invocation_id, payload, failure, digest, more), source)
        if admitted:
            self._answering.discard(invocation_id)

    def _source(self, call: SignedInvocation, delivery: Delivery, *, question: bool) -> Source:
        """Who calls. A question which calls are being answered is no call, wherever it is sent, and a call no such
        question; neither is used up by that. Raises `errors.NotAuthentic`, `errors.MalformedMessage`."""
        try:
            if (call.target.public_key == subjects.CALLS) is not question:
                raise errors.NotAuthentic(f"a message about {call.target.public_key[:60]!r} came elsewhere")
            return self._authentic.source(call, delivery.payload)
        except errors.NotAuthentic as error:
            who = f"{call.origin.public_key} of {call.host_id}"
            self._refused(who, f"{call.target.public_key} {call.operation}", error)
            raise

    async def _answer(self, call: SignedInvocation, source: Source) -> tuple[Invocation, bytes]:
        """Makes a call of which it is known who makes it. Raises `errors.CallError`, `TimeoutError`."""
        invocation, size = envelope.invocation_of(call, _now(), source.host)
        if not self._taking:
            raise errors.Draining(f"the host {self._host} is stopping")
        async with asyncio.timeout_at(invocation.deadline):
            if size:
                limit_s = max(0.1, invocation.deadline - _now())
                payload = await self._payloads.take(invocation.id, size, limit_s, call.digest)
                invocation = msgspec.structs.replace(invocation, payload=payload)
            if source.checked is not None:
                source.checked.require_payload(invocation.payload)
            return invocation, await self._handler(invocation)

    async def _tell_unknown(self, delivery: Delivery) -> None:
        """Which of the calls that a caller waits for nobody is at here."""
        try:
            if not self._authentic.signed:
                unknown = self._unknown(delivery.payload)
                await self._reply(delivery.reply, envelope.write_ids(unknown))
                return
            call = envelope.read_envelope(delivery.payload)
            source = self._source(call, delivery, question=True)
            more = self._authentic.said(source, call, False)
            try:
                self._authentic.admit(source, call)
                answer, failure = envelope.write_ids(self._unknown(call.msg or b"")), None
            except errors.CallError as error:
                answer, failure = b"", error
            await self._reply(delivery.reply, source.answer(call.id, answer, failure, b"", more))
        except CameBefore as error:
            _log.debug("%s", error)
        except errors.CallError as error:
            await self._reply(delivery.reply, envelope.write_response("", b"", error, False))

    def _unknown(self, asked: bytes) -> list[str]:
        """Raises `errors.MalformedMessage`."""
        return [one for one in envelope.read_ids(asked) if one not in self._answering]

    async def _reply(self, subject: str, data: bytes, source: Source = _NOBODY) -> None:
        if not subjects.takes_answers(subject):
            return
        try:
            await self._transport.publish(subject, data)
        except errors.PayloadTooLarge as error:
            _log.error("an answer could not be sent: %s", error)
            await self._reply(subject, source.answer("", b"", error, b"", {}))
        except errors.CallError as error:
            _log.debug("an answer could not be sent: %s", error)


def _now() -> float:
    return asyncio.get_running_loop().time()
