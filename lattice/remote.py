"""Calls to other hosts: an invocation becomes an envelope on a subject that only the host it is for has.

The caller chooses the near one of those that have a copy. Nothing is tried twice. In a lattice with cluster keys an
answer counts when it is proven; what comes without a proof makes the caller ask the host whether it is at the call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from lattice import envelope, errors, subjects
from lattice.invocation import EntityId, Handler, Invocation, new_id
from lattice.payloads import MESSAGE_BYTES_MAX, Payloads, digest_of
from lattice.router import Directory
from lattice.security.sessions import Callers, Calling
from lattice.security.settings import ClusterTrust
from lattice.transport.transport import Transport, request

_log = logging.getLogger("lattice.remote")

CHECK_S = 1.0
"""How long an answer is waited for before its host is asked whether it is at the call at all: a message may be lost
where no connection of either side is, in a server that dies."""
CHECK_S_MAX = 2.0
PROOF_S_MAX = 0.25
"""How long a host has to prove that it is there, when something came in its name without a proof."""
CHECKED_MAX = 1_000
"""Calls that are asked after at once."""
DOUBT_CHARS_MAX = 300
NOBODY = "nobody listens there"


class _Asked:
    """A call whose answer is waited for. `doubt` is what came without a proof."""

    __slots__ = ("at", "doubt", "id")

    def __init__(self, id: str) -> None:
        self.id = id
        self.at = _now()
        self.doubt = ""


class Remote:
    """Calls to other hosts."""

    def __init__(
        self,
        transport: Transport,
        lattice: str,
        host: str,
        directory: Directory,
        payloads: Payloads,
        callers: Callers,
        boot_of: Callable[[str], str],
        token_of: Callable[[str], str],
    ) -> None:
        """`callers` has the sessions that calls are proven in. `boot_of` tells which run of a host is there, `token_of`
        gives the token of an actor of this host, "" for one that is not signed."""
        self._transport = transport
        self._lattice = lattice
        self._host = host
        self._directory = directory
        self._payloads = payloads
        self._callers = callers
        self._boot_of = boot_of
        self._token_of = token_of
        self._waiting: dict[str, dict[asyncio.Future[bytes], _Asked]] = {}
        """Answers that are awaited, by the host they are awaited from, in the order they were asked for."""
        self._timer: asyncio.TimerHandle | None = None
        self._checking: dict[str, asyncio.Task[None]] = {}
        directory.on_suspect(self._fail)

    def apply(self, trust: ClusterTrust) -> None:
        """From now on other cluster keys count."""
        self._callers.apply(trust)

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
        host, sign, digest = copies[0], self._callers.sign, b""
        stored = len(invocation.payload) > MESSAGE_BYTES_MAX
        if stored:
            await self._payloads.put(invocation.id, invocation.payload, timeout_s)
            digest = await digest_of(invocation.payload) if sign else b""
            timeout_s = max(0.001, invocation.deadline - _now())
        try:
            async with asyncio.timeout_at(invocation.deadline):
                if sign:
                    found = await self._ask_proven(host, target, invocation, timeout_s, digest)
                else:
                    data = envelope.write_invocation(invocation, target, self._host, timeout_s, stored)
                    subject = subjects.rpc_on_host(self._lattice, target.key, host)
                    found = envelope.read_answer(await self._ask(host, _Asked(invocation.id), subject, data))
        except TimeoutError as error:
            raise errors.DeadlineExceeded(f"{target.key} on {host} did not answer before the deadline") from error
        except (errors.Unreachable, errors.NotAuthentic):
            self._directory.avoid(host)
            raise
        try:
            payload, size = envelope.reply_of(found)
        except (errors.Unreachable, errors.Draining):
            self._directory.avoid(host)
            raise
        if not size:
            return payload
        try:
            limit_s = max(0.1, invocation.deadline - _now())
            return await self._payloads.take(f"{invocation.id}-r", size, limit_s, found.digest)
        except errors.Unreachable as error:
            raise errors.AnswerLost(error.message) from error

    async def _ask(
        self, host: str, asked: _Asked, subject: str, data: bytes, accept: Callable[[bytes | None], bool] | None = None
    ) -> bytes:
        answer = await self._transport.ask(subject, data, None, accept)
        waiting = self._waiting.get(host)
        if waiting is None:
            waiting = self._waiting[host] = {}
        waiting[answer] = asked
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check)
        try:
            return await answer
        finally:
            waiting.pop(answer, None)
            if not waiting and self._waiting.get(host) is waiting:
                del self._waiting[host]

    # Calls and answers that are proven.

    async def _ask_proven(
        self, host: str, target: EntityId, invocation: Invocation, timeout_s: float, digest: bytes
    ) -> envelope.SignedResponse:
        session = self._session(host)
        origin, more = invocation.origin, dict[str, str]()
        token = "" if origin.contract else self._token_of(origin.key)
        if token and session.told.get(origin.key) != token:
            more[envelope.CLAIMS] = token
        number, data = self._proven_call(session, session.next(), invocation, target, timeout_s, more, digest)
        asked = _Asked(invocation.id)
        accept = partial(self._accept, session, number, asked, True)
        subject = subjects.rpc_on_host(self._lattice, target.key, host)
        found: envelope.SignedResponse = envelope.read_answer(await self._ask(host, asked, subject, data, accept))
        context = found.traceContext
        if context:
            if more and context.get(envelope.KEPT) == origin.key:
                session.told[origin.key] = token
            self._note_end(session, context)
        return found

    def _session(self, host: str) -> Calling:
        boot = self._boot_of(host)
        if not boot:
            raise errors.Unreachable(f"{host} has not said yet which run of it is there")
        return self._callers.session(host, boot, _now())

    def _proven_call(
        self,
        session: Calling,
        said: tuple[int, str],
        invocation: Invocation,
        target: EntityId,
        timeout_s: float,
        more: dict[str, str],
        digest: bytes = b"",
    ) -> tuple[int, bytes]:
        """The number of a call in its session, and its message. `said` is what it says of itself."""
        if not session.accepted:
            more[envelope.NEW] = "1"
        number, claim = said
        data = envelope.write_unproven(invocation, target, self._host, timeout_s, claim, more, digest)
        return number, session.prove(data)

    def _accept(self, session: Calling, number: int, asked: _Asked, check: bool, answer: bytes | None) -> bool:
        """Whether an answer is by the host that was called, which has a cluster key. Any other leaves the call waiting,
        and (`check`) the host is asked whether it is at it: others can send what they like to where answers go."""
        doubt = NOBODY
        if answer is not None:
            if session.proves(number, answer):
                if session.accepted or (doubt := self._not_accepted(session, answer)) == "":
                    return True
            else:
                doubt = _said(answer)
        if not asked.doubt:
            asked.doubt = doubt[:DOUBT_CHARS_MAX]
            if check and session.host not in self._checking:
                self._begin_check(session.host)
        return False

    def _not_accepted(self, session: Calling, answer: bytes) -> str:
        """Why the session is not accepted by this answer, "" when it is."""
        try:
            context = envelope.read_answer(answer).traceContext or {}
            session.accept(context.get(envelope.ACCEPTED, ""), self._callers.trusted)
        except errors.CallError as error:
            return f"it has no cluster key that is trusted here: {error.message}"
        return ""

    def _note_end(self, session: Calling, context: dict[str, str]) -> None:
        floor = context.get(envelope.FLOOR, "")
        if floor.isascii() and floor.isdigit() and len(floor) < 20:
            self._callers.end(session, int(floor))

    # Answers that take long, or are doubted: is somebody at them?

    def _check(self) -> None:
        """Asks the hosts of calls that have waited for long. Runs while anything waits."""
        self._timer = None
        if not self._waiting:
            return
        before = _now() - CHECK_S
        for host, waiting in self._waiting.items():
            if host not in self._checking and any(asked.doubt or asked.at <= before for asked in waiting.values()):
                self._begin_check(host)
        self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check)

    def _begin_check(self, host: str) -> None:
        self._checking[host] = asyncio.create_task(self._ask_after(host), name=f"calls:{host}")

    async def _ask_after(self, host: str) -> None:
        """Gives up the answers to calls that the host does not know (any more): had it answered them, that would have
        been heard before this."""
        try:
            before = _now() - CHECK_S
            waiting = self._waiting.get(host, {})
            late = [asked for asked in waiting.values() if asked.doubt or asked.at <= before][:CHECKED_MAX]
            if not late:
                return
            doubted = {asked.id: asked.doubt for asked in late if asked.doubt}
            ids = [asked.id for asked in late]
            question = _Asked(new_id())
            try:
                limit_s = PROOF_S_MAX if NOBODY in doubted.values() else CHECK_S if doubted else CHECK_S_MAX
                unknown = await self._unknown(host, question, ids, limit_s)
            except errors.CallError as error:
                _log.debug("%s does not say which calls it is answering: %s", host, error)
                # Where nobody listens nobody is at it; who only says what anybody could say is no host of this lattice.
                sure = {id: doubt for id, doubt in doubted.items() if doubt == NOBODY or question.doubt}
                self._give_up(host, {id: _unproven(host, doubt) for id, doubt in sure.items()})
                return
            lost = f"{host} is not at the call: it, or its answer, was lost"
            self._give_up(host, {id: errors.AnswerLost(lost) for id in unknown & set(ids)})
        finally:
            del self._checking[host]

    async def _unknown(self, host: str, asking: _Asked, ids: list[str], timeout_s: float) -> set[str]:
        """The calls that a host is not at. Raises `errors.CallError` when it does not say."""
        subject, asked = subjects.rpc_calls(self._lattice, host), envelope.write_ids(ids)
        if not self._callers.sign:
            return set(envelope.read_ids(await request(self._transport, subject, asked, timeout_s)))
        session = self._session(host)
        question = Invocation(EntityId(self._host), "", subjects.CALLS, asked, asking.id, _now() + timeout_s)
        target = EntityId(subjects.CALLS)
        number, data = self._proven_call(session, session.next_whole(), question, target, timeout_s, {})
        accept = partial(self._accept, session, number, asking, False)
        found = envelope.read_answer(await request(self._transport, subject, data, timeout_s, accept=accept))
        self._note_end(session, found.traceContext or {})
        if found.error:
            return set(ids)  # its session is over: it may have been at them
        return set(envelope.read_ids(envelope.reply_of(found)[0]))

    def _give_up(self, host: str, why: dict[str, errors.CallError]) -> None:
        for answer, asked in list(self._waiting.get(host, {}).items()):
            error = why.get(asked.id)
            if error is not None and not answer.done():
                answer.set_exception(error)

    def _fail(self, host: str) -> None:
        """A host fell silent: nobody waits for it any longer."""
        for answer in self._waiting.pop(host, {}):
            if not answer.done():
                answer.set_exception(errors.AnswerLost(f"the host {host} fell silent before it answered"))


def _said(answer: bytes) -> str:
    """What an answer without a proof says."""
    try:
        found = envelope.read_answer(answer)
    except errors.MalformedMessage as error:
        return error.message
    return f"it says {found.error!r}" if found.error else "its answer has no proof, or one of another call"


def _unproven(host: str, doubt: str) -> errors.CallError:
    """What is told of a call, when its host did not say that it is at it."""
    if doubt == NOBODY:
        return errors.Unreachable(f"{host}: {NOBODY}")
    return errors.NotAuthentic(
        f"{host} does not prove that it is of this lattice: {doubt}",
        remedy="hosts of one lattice need cluster keys that the others trust: [cluster] of their security files",
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
