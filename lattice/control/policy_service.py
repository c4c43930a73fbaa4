"""Asks a policy service over NATS, with the messages of wasmCloud's, and remembers its answers for a while.

Whoever gets no answer in time, or one that is malformed or to another question, gets a no. Equal questions share one
request. Guests choose operations, and so questions: both what is asked at once and what is remembered is bounded for
each caller, so that one cannot keep the others from being answered.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import OrderedDict
from typing import Any

import msgspec

from lattice import errors
from lattice.security.policy import Answer, Decision, Party, Question
from lattice.security.rules import ServiceSettings
from lattice.tasks import end_all
from lattice.transport.transport import Transport, request

VERSION = "v1"
KINDS = {"call": "performInvocation", "start_actor": "startComponent", "start_provider": "startProvider"}
ASKED_MAX, ASKED_OF_ONE_MAX = 512, 64
"""Questions at once, and those because of one caller. A service that answers within 10 ms takes 50,000 a second."""
CALLERS_MAX, ANSWERS_MAX = 1_000, 256
"""Callers whose answers are remembered, and answers of one; for one more the oldest goes."""
REPLY_BYTES_MAX = 64 * 1024
"""An answer is a yes or a no and a sentence."""
MESSAGE_CHARS_MAX = 500
OPERATION_CHARS_MAX = 1_000
"""A longer name of an operation is not sent to a service; the answer is no."""
RULE = "the policy service"


class _Reply(msgspec.Struct):
    requestId: str
    permitted: bool
    message: str | None = None


class PolicyService:
    """A `Policy`. `close` ends what is being asked."""

    def __init__(self, transport: Transport, settings: ServiceSettings) -> None:
        self._transport = transport
        self._settings = settings
        self._answers: OrderedDict[str, OrderedDict[bytes, Decision]] = OrderedDict()
        """By caller, in the order of their last question, and by what was asked."""
        self._asking: dict[bytes, asyncio.Task[Decision]] = {}
        self._of_one: dict[str, int] = {}
        self._asked = 0

    async def close(self) -> None:
        tasks = list(self._asking.values())
        await end_all(tasks)

    def decide(self, question: Question) -> Answer:
        """At once when the answer is remembered. Raises `errors.Overloaded`, `errors.Denied`."""
        if len(question.operation) > OPERATION_CHARS_MAX:
            return _refusal(f"an operation's name of {len(question.operation)} letters is not asked about")
        body = body_of(question)
        # Claims may have sixty thousand letters; what is remembered of a question is short.
        asked = hashlib.sha256(msgspec.json.encode(body)).digest()
        caller = question.target.key if question.origin is None else question.origin.key
        answers = self._answers.get(caller)
        known = answers.get(asked) if answers is not None else None
        if known is not None and time.monotonic() < known.until:
            return known
        task = self._asking.get(asked)
        if task is None:
            task = self._ask(caller, asked, body)
        return _shared(task)

    def _ask(self, caller: str, asked: bytes, body: dict[str, Any]) -> asyncio.Task[Decision]:
        if len(self._asking) >= ASKED_MAX or self._of_one.get(caller, 0) >= ASKED_OF_ONE_MAX:
            raise errors.Overloaded(f"the policy service is being asked too much at once, for {caller}")
        self._of_one[caller] = self._of_one.get(caller, 0) + 1
        self._asked += 1
        task = asyncio.create_task(self._answer(caller, asked, body, f"{self._asked:x}"), name="policy")
        self._asking[asked] = task

        def ended(_task: asyncio.Task[Decision]) -> None:
            self._asking.pop(asked, None)
            left = self._of_one.pop(caller) - 1
            if left:
                self._of_one[caller] = left

        task.add_done_callback(ended)
        return task

    async def _answer(self, caller: str, asked: bytes, body: dict[str, Any], request_id: str) -> Decision:
        settings = self._settings
        data = msgspec.json.encode({"requestId": request_id, **body})
        try:
            async with asyncio.timeout(settings.timeout_s):
                answer = await request(self._transport, settings.subject, data, settings.timeout_s)
        except errors.Unreachable as error:
            return _refusal(f"nobody answers on {settings.subject}: {error}")
        except (errors.CallError, TimeoutError):
            return _refusal(f"no answer on {settings.subject} within {settings.timeout_s:g} s")
        try:
            decision = read_reply(answer, request_id, time.monotonic() + settings.cache_s)
        except errors.MalformedMessage as error:
            return _refusal(error.message)
        if settings.cache_s:
            self._remember(caller, asked, decision)
        return decision

    def _remember(self, caller: str, asked: bytes, decision: Decision) -> None:
        answers = self._answers.get(caller)
        if answers is None:
            if len(self._answers) >= CALLERS_MAX:
                self._answers.popitem(last=False)
            answers = self._answers[caller] = OrderedDict()
        else:
            self._answers.move_to_end(caller)
        if len(answers) >= ANSWERS_MAX and asked not in answers:
            answers.popitem(last=False)
        answers[asked] = decision


async def _shared(task: asyncio.Task[Decision]) -> Decision:
    """Whoever gives up waiting leaves the question to the others."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            return _refusal("this host is stopping")
        raise


def _refusal(why: str) -> Decision:
    """It stands for this call only."""
    return Decision(permitted=False, rule=RULE, message=why, until=-math.inf)


def read_reply(data: bytes, request_id: str, until: float) -> Decision:
    """Raises `errors.MalformedMessage`, also for an answer to another question."""
    if len(data) > REPLY_BYTES_MAX:
        raise errors.MalformedMessage(f"the policy service answered {len(data)} bytes; at most {REPLY_BYTES_MAX}")
    try:
        reply = msgspec.json.decode(data, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.MalformedMessage(f"the policy service's answer cannot be read: {error}") from error
    if reply.requestId != request_id:
        raise errors.MalformedMessage("the policy service answered another question")
    message = " ".join((reply.message or "")[:MESSAGE_CHARS_MAX].split())
    return Decision(permitted=reply.permitted, rule=RULE, message=message, until=until)


def body_of(question: Question) -> dict[str, Any]:
    """What is asked, without the id: the fields of wasmCloud's policy service, and `contract`, `linkName` and `origin`
    besides, for who knows them."""
    target = question.target
    if question.kind == "call":
        asked: dict[str, Any] = {
            "interface": question.contract,
            "function": question.operation,
            "target": _component(target),
            "linkName": question.link_name,
            "origin": _component(question.origin) if question.origin is not None else None,
        }
    elif question.kind == "start_actor":
        asked = _component(target)
    else:
        asked = {**_about(target), "providerId": target.key, "contract": question.contract}
    host = {"publicKey": question.host.key, "lattice": question.lattice, "labels": dict(question.host.labels)}
    return {"kind": KINDS[question.kind], "version": VERSION, "request": asked, "host": host}


def _component(party: Party) -> dict[str, Any]:
    return {**_about(party), "componentId": party.key, "maxInstances": party.copies}


def _about(party: Party) -> dict[str, Any]:
    claims = None
    if party.issuer:
        claims = {
            "publicKey": party.key,
            "issuer": party.issuer,
            "issuedAt": "" if party.issued is None else str(party.issued),
            "expiresAt": party.expires,
            # Whoever's claims have expired does not get as far as to be asked about.
            "expired": False,
            "capabilities": list(party.caps),
            "tags": list(party.tags),
        }
    return {
        "kind": party.kind,
        "name": party.name,
        "application": party.application,
        "imageRef": party.image,
        "annotations": {},
        "labels": dict(party.labels),
        "claims": claims,
    }
