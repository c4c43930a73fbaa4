"""Talks to a lattice over NATS, as any tool may: the control interface and the applications' subjects."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from lattice import envelope, errors, subjects
from lattice.control import messages
from lattice.control.messages import Inventory, Reply
from lattice.control.state import APPLICATION
from lattice.invocation import EntityId, Invocation, new_id
from lattice.security import control_tokens, invocation_tokens
from lattice.security.keys import KeyPair
from lattice.transport.transport import Delivery, Headers, Transport, request

GATHER_S = 0.7
"""How long answers of hosts are waited for; they are asked all at once."""
ASK_S_MAX = 5.0
EFFECT_EVERY_S = 0.2
EFFECT_S_MAX = 60.0
EVENTS_WAITING_MAX = 10_000


class LatticeClient:
    """`ask` knows the commands of the local socket as well, so that the same tools work over both."""

    def __init__(self, transport: Transport, lattice: str, signer: KeyPair | None = None) -> None:
        """`signer` signs what is sent: orders by whichever key it is, calls by a cluster key only."""
        self._transport = transport
        self._lattice = lattice
        self._signer = signer

    def sign_by(self, signer: KeyPair | None) -> None:
        """By another key from now on."""
        self._signer = signer

    # Looking.

    async def hosts(self) -> list[dict[str, Any]]:
        """One document for each host, by name. Raises `errors.Unreachable` when none answers."""
        found = []
        async for answer in self._transport.gather(subjects.ctl(self._lattice, "host", "ping"), b"", GATHER_S):
            reply = messages.decode(answer, Reply, "the answer to host.ping")
            if reply.success and isinstance(reply.response, dict):
                found.append(reply.response)
        if not found:
            raise errors.Unreachable(
                f"no host of the lattice {self._lattice!r} answers", remedy="start one: lattice host --nats URL"
            )
        return sorted(found, key=lambda host: (str(host.get("friendly_name")), str(host.get("id"))))

    async def inventories(self) -> list[Inventory]:
        """What every host runs."""
        keys = [str(host["id"]) for host in await self.hosts()]
        return list(await asyncio.gather(*(self.inventory(key) for key in keys)))

    async def inventory(self, host: str) -> Inventory:
        found = await self.command("host", "get", host)
        return messages.decode(messages.encode(found), Inventory, "the inventory")

    async def host_named(self, name: str) -> str:
        """The key of the host with this key, name or beginning of a key. Raises `errors.TargetUnknown`."""
        hosts = await self.hosts()
        for matches in (
            [host for host in hosts if name in (host["id"], host["friendly_name"])],
            [host for host in hosts if len(name) > 3 and str(host["id"]).startswith(name)],
        ):
            if len(matches) == 1:
                return str(matches[0]["id"])
            if matches:
                raise errors.TargetUnknown(f"several hosts are called {name!r}", remedy="use a key: lattice get hosts")
        names = ", ".join(str(host["friendly_name"]) for host in hosts)
        raise errors.TargetUnknown(f"no host is called {name!r}", remedy=f"there are {names}")

    async def ask(self, command: str, arguments: dict[str, Any] | None = None, timeout_s: float = 10.0) -> Any:
        """A command of the local socket: hosts, inventory (here: of every host), links, claims, call, update."""
        given = arguments or {}
        if command == "hosts":
            return await self.hosts()
        if command == "inventory":
            return [msgspec.to_builtins(inventory) for inventory in await self.inventories()]
        if command == "links":
            return await self.command("link", "get")
        if command == "claims":
            return [_claims_document(found) for found in await self.command("claims", "get")]
        if command == "call":
            payload = base64.b64decode(given["payload"])
            reply = await self.call(given["target"], given["operation"], payload, given.get("timeout_s", timeout_s))
            return {"payload": base64.b64encode(reply).decode()}
        raise errors.OperationUnknown(f"no command {command!r}")

    # Telling.

    async def command(self, noun: str, verb: str, *words: str, message: Any = None) -> Any:
        """One request of the control interface. Raises the error it is answered with."""
        subject = subjects.ctl(self._lattice, noun, verb, *words)
        payload = b"" if message is None else messages.encode(message)
        reply = messages.decode(await self._request(subject, payload, ASK_S_MAX), Reply, f"the answer to {noun}.{verb}")
        if not reply.success:
            raise messages.error_of(reply)
        return reply.response

    async def _request(self, subject: str, payload: bytes, timeout_s: float) -> bytes:
        try:
            return await request(self._transport, subject, payload, timeout_s, self._headers(subject, payload))
        except errors.Unreachable as error:
            raise errors.Unreachable(
                f"no host of the lattice {self._lattice!r} answers ({error.message})",
                remedy="look with lattice get hosts; start one with lattice host --nats URL",
            ) from error

    def _headers(self, subject: str, payload: bytes) -> Headers | None:
        if self._signer is None:
            return None
        token = control_tokens.sign(self._signer, subject, payload, time.time(), secrets.token_hex(12))
        return {control_tokens.HEADER: token}

    async def app(self, verb: str, name: str = "", body: bytes = b"", timeout_s: float = 25.0) -> dict[str, Any]:
        """One request about an application. Raises the error it is answered with."""
        words = ("model", verb, name) if name else ("model", verb)
        answer = await self._request(subjects.app(self._lattice, *words), body, timeout_s)
        reply = messages.decode(answer, dict[str, Any], f"the answer to model.{verb}")
        if reply.get("result") in ("error", "notfound"):
            type_ = errors.error_classes().get(reply.get("code", ""), errors.LatticeError)
            if issubclass(type_, errors.ManifestError):
                type_ = errors.ConfigError
            raise type_(reply.get("message", ""), remedy=reply.get("remedy", ""))
        return reply

    async def auction(self, kind: str, key: str, constraints: dict[str, str]) -> str:
        """A host that could take an actor ("component") or "provider", the one with the fewest. Raises
        `errors.TargetUnknown`."""
        message = messages.Auction(component_id=key, provider_id=key, constraints=constraints)
        subject = subjects.ctl(self._lattice, kind, "auction")
        bids = set()
        async for answer in self._transport.gather(subject, messages.encode(message), GATHER_S):
            reply = messages.decode(answer, Reply, "a bid")
            if isinstance(reply.response, dict):
                bids.add(str(reply.response.get("host_id")))
        load = {inventory.host_id: len(inventory.components) for inventory in await self.inventories()}
        if not bids:
            labels = ", ".join(f"{name}={value}" for name, value in constraints.items())
            raise errors.TargetUnknown(
                f"no host can take {key}{f' with {labels}' if labels else ''}",
                remedy="it may run on all of them already",
            )
        return min(bids, key=lambda host: (load.get(host, 0), host))

    async def find(self, name: str) -> list[tuple[Inventory, messages.Component]]:
        """Every copy of the actor with this key, alias or name. Raises `errors.TargetUnknown`."""
        inventories = await self.inventories()
        for field in ("id", "alias", "name"):
            found = [(host, item) for host in inventories for item in host.components if getattr(item, field) == name]
            if len({item.id for _, item in found}) > 1:
                keys = ", ".join(sorted({item.id for _, item in found}))
                raise errors.TargetUnknown(f"several actors are called {name!r}", remedy=f"use a key: {keys}")
            if found:
                return found
        names = ", ".join(sorted({item.name or item.id for host in inventories for item in host.components})) or "none"
        raise errors.TargetUnknown(f"no actor of the lattice is called {name!r}", remedy=f"there are {names}")

    async def call(self, target: str, operation: str, payload: bytes, timeout_s: float) -> bytes:
        """Calls a copy of an actor, as the owner of its host."""
        copies = [(host, item) for host, item in await self.find(target) if not host.draining]
        if not copies:
            raise errors.Unreachable(f"every host that runs {target} is stopping")
        host, item = copies[0]
        invocation = Invocation(
            origin=EntityId(host.host_id),
            contract="",
            operation=operation,
            payload=payload,
            id=new_id(),
            deadline=asyncio.get_running_loop().time() + timeout_s,
        )
        data = self._signed_call(invocation, item.id, host, timeout_s)
        answer = await request(
            self._transport, subjects.rpc_on_host(self._lattice, item.id, host.host_id), data, timeout_s
        )
        reply, stored = envelope.read_response(answer)
        if stored:
            objects = await self._transport.objects(subjects.payload_objects(self._lattice))
            return await objects.get(f"{invocation.id}-r", timeout_s)
        return reply

    def _signed_call(self, invocation: Invocation, key: str, host: Inventory, timeout_s: float) -> bytes:
        """The message of a call, for this run of this host and no other if it is signed."""
        target = EntityId(key)
        if self._signer is None or self._signer.role != "cluster":
            return envelope.write_invocation(invocation, target, "", timeout_s, False)
        context = envelope.context_of(invocation, timeout_s)
        call = invocation_tokens.Call(
            id=invocation.id,
            origin=invocation_tokens.url(invocation.origin.key, "", ""),
            target=invocation_tokens.url(key, "", ""),
            operation=invocation.operation,
            context=context,
        )
        token = invocation_tokens.sign(
            self._signer, call, invocation.payload, time.time(), host=host.host_id, host_run=host.boot
        )
        return envelope.write_invocation(invocation, target, "", timeout_s, False, token, context)

    async def update(self, target: str, reference: str) -> list[dict[str, Any]]:
        """Puts an image in the place of an actor's on every host that runs it, one after the other. Stops at the first
        that cannot start it, which raises its error."""
        done = []
        copies = await self.find(target)
        application = (copies[0][1].annotations or {}).get(APPLICATION)
        if application:
            raise errors.ConfigError(
                f"{target} is part of the application {application}",
                remedy="deploy another version of that, which updates one host after the other",
            )
        for host, item in copies:
            message = messages.UpdateComponent(component_id=item.id, new_component_ref=reference, host_id=host.host_id)
            told = ("component_scaled", "component_scale_failed")
            await self.tell("component", "update", host.host_id, message, item.id, *told)
            done.append({"host_id": host.host_id, "id": item.id, "name": item.name, "image_ref": reference})
        return done

    async def tell(self, noun: str, verb: str, host: str, message: Any, key: str, done: str, failed: str) -> None:
        """Sends a command to a host and waits for the event that tells how it ended. Raises what went wrong there, and
        `errors.DeadlineExceeded`."""
        ended: asyncio.Future[messages.Event] = asyncio.get_running_loop().create_future()

        def received(delivery: Delivery) -> None:
            try:
                event = messages.decode(delivery.payload, messages.Event, "the event")
            except errors.MalformedMessage:
                return
            data = event.data if isinstance(event.data, dict) else {}
            about = data.get("component_id") or data.get("provider_id")
            if event.source == host and about == key and event.name in (done, failed) and not ended.done():
                ended.set_result(event)

        subscription = await self._transport.subscribe(subjects.event(self._lattice, "*"), received)
        try:
            await self._transport.flush()
            await self.command(noun, verb, host, message=message)
            async with asyncio.timeout(EFFECT_S_MAX):
                event = await ended
        except TimeoutError as error:
            raise errors.DeadlineExceeded(
                f"{host} did not tell within {EFFECT_S_MAX:g} s how {verb} of {key} ended",
                remedy="lattice get inventory",
            ) from error
        finally:
            await subscription.unsubscribe()
        if event.name == failed:
            type_ = errors.error_classes().get(str(event.data.get("code")), errors.LatticeError)
            raise type_(str(event.data.get("error")), remedy=str(event.data.get("remedy") or ""))

    async def events(self, *names: str) -> AsyncIterator[messages.Event]:
        """Events as they happen, of these names or all. What is not understood is left out."""
        waiting: asyncio.Queue[Delivery] = asyncio.Queue(EVENTS_WAITING_MAX)

        def received(delivery: Delivery) -> None:
            if not waiting.full():
                waiting.put_nowait(delivery)

        subscription = await self._transport.subscribe(subjects.event(self._lattice, "*"), received)
        try:
            while True:
                delivery = await waiting.get()
                try:
                    event = messages.decode(delivery.payload, messages.Event, "the event")
                except errors.MalformedMessage:
                    continue
                if not names or event.name in names:
                    yield event
        finally:
            await subscription.unsubscribe()


def _claims_document(found: dict[str, str]) -> dict[str, Any]:
    """Flat claims of the control interface in the form that a host gives on its socket."""
    lists = {name: [item for item in found.get(name, "").split(",") if item] for name in ("caps", "tags")}
    rev = found.get("rev") or found.get("revision") or ""
    verified = found.get("verified") == "true"
    return {**found, **lists, "rev": int(rev) if rev.isascii() and rev.isdigit() else None, "verified": verified}
