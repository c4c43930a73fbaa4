"""Key-value buckets in JetStream, in the form that every NATS tool reads: a stream `KV_NAME` over `$KV.NAME.>`.

Changes are read by batched direct gets, which any replica answers, also while the stream has no leader. Writes carry
the sequence they expect. With a JetStream domain both go through the domain's API.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
from typing import TYPE_CHECKING, Any

import nats.errors

from lattice import errors
from lattice.transport.transport import Entry

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from lattice.transport.nats import NatsTransport

REPLICAS_MAX = 3
BATCH = 500
"""Entries of one direct get."""
CREATE_S_MAX = 10.0
"""A cluster that has just started takes some seconds to elect who creates streams."""
RETRY_S = 0.25
_KEY = re.compile(r"[-/_=.a-zA-Z0-9]+")
_WRONG_SEQUENCE = 10071
_NOT_FOUND = 10059
_NO_MESSAGE = 10037
_NOT_ENABLED = (10039, 10076)
_TOO_FEW_SERVERS = (10005, 10074)
_FULL = (10002, 10023, 10028, 10047, 10077)
"""JetStream's own error codes."""


class JetStream:
    """Requests to JetStream's API, as one lattice needs them."""

    def __init__(self, transport: NatsTransport, domain: str) -> None:
        self._transport = transport
        self._domain = domain
        self._prefix = f"$JS.{domain}.API" if domain else "$JS.API"
        self.key_prefix = f"{self._prefix}." if domain else ""
        """Before subjects of keys: servers lead them into the domain. They have no such mapping for objects, whose
        chunks find the domain's stream by its interest."""

    async def api(self, verb: str, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """One request. Raises `errors.StoreUnavailable` without an answer, `JetStreamRefusal` for an error."""
        message = await self.request(f"{self._prefix}.{verb}", json.dumps(body).encode(), None, timeout_s)
        return _checked(message)

    async def write(
        self, subject: str, payload: bytes, headers: dict[str, str] | None, timeout_s: float
    ) -> dict[str, Any]:
        return _checked(await self.request(subject, payload, headers, timeout_s))

    async def request(self, subject: str, payload: bytes, headers: dict[str, str] | None, timeout_s: float) -> Msg:
        if self._transport.state != "connected":
            raise errors.StoreUnavailable("not connected to NATS")
        task = asyncio.current_task()
        asked_to_end = task.cancelling() if task is not None else 0
        try:
            return await self._transport.client.request(subject, payload, timeout=timeout_s, headers=headers)
        except nats.errors.NoRespondersError as error:
            raise errors.StoreUnavailable("JetStream does not answer: it has no leader, or is not enabled") from error
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise errors.StoreUnavailable(f"JetStream did not answer: {error or type(error).__name__}") from error
        finally:
            if task is not None and task.cancelling() > asked_to_end:
                # The client waits by `wait_for`, which up to Python 3.11 forgets a cancellation that comes together
                # with the answer: a loop of requests would never end.
                raise asyncio.CancelledError

    async def batch(self, stream: str, body: dict[str, Any], timeout_s: float) -> list[Msg]:
        """The messages of a direct get of several, without the one that ends them."""
        answers: asyncio.Queue[Msg] = asyncio.Queue()

        async def answered(message: Msg) -> None:
            answers.put_nowait(message)

        if self._transport.state != "connected":
            raise errors.StoreUnavailable("not connected to NATS")
        found: list[Msg] = []
        inbox = f"_INBOX.{secrets.token_hex(8)}"
        client = self._transport.client
        try:
            async with asyncio.timeout(timeout_s):
                subscription = await client.subscribe(inbox, cb=answered, pending_bytes_limit=0)
                try:
                    await client.publish(f"{self._prefix}.DIRECT.GET.{stream}", json.dumps(body).encode(), inbox)
                    while True:
                        message = await answers.get()
                        status = (message.headers or {}).get("Status", "")
                        if status in ("204", "404"):
                            return found
                        if status:
                            raise errors.StoreUnavailable(f"JetStream does not answer reads of {stream} ({status})")
                        found.append(message)
                finally:
                    await subscription.unsubscribe()
        except TimeoutError as error:
            raise errors.StoreUnavailable(f"JetStream did not answer within {timeout_s:g} s") from error
        except (nats.errors.Error, OSError) as error:
            raise errors.StoreUnavailable(f"JetStream did not answer: {error or type(error).__name__}") from error

    async def ensure(self, config: dict[str, Any], replicas: int | None, grows: bool = True) -> None:
        """Creates a stream that is not there; one that is there is given the replicas it could have, if it `grows`.

        Raises `errors.ConfigError` without JetStream, `errors.StoreUnavailable` when nobody could create it in time.
        """
        name = config["name"]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CREATE_S_MAX
        while True:
            try:
                try:
                    found = await self.api(f"STREAM.INFO.{name}", {}, 2.0)
                except JetStreamRefusal as refusal:
                    if refusal.number != _NOT_FOUND:
                        raise
                    await self._create(config, replicas)
                else:
                    if grows:
                        await self._replicate(found, replicas)
                return
            except JetStreamRefusal as refusal:
                if refusal.number in _NOT_ENABLED:
                    raise _no_jetstream(refusal.sentence) from refusal
                trouble: errors.LatticeError = refusal
            except errors.StoreUnavailable as error:
                if self._transport.keeps_nothing and not self._domain:
                    raise _no_jetstream("its JetStream is off") from error
                trouble = error
            if loop.time() > deadline:
                raise errors.StoreUnavailable(
                    f"{name} is not ready: {trouble.message}",
                    remedy="enable JetStream, and start a majority of its servers",
                )
            await asyncio.sleep(RETRY_S)

    async def _create(self, config: dict[str, Any], replicas: int | None) -> None:
        """With as many replicas as the cluster can give: asks for three, and takes fewer only when told it has to."""
        name = config["name"]
        for count in (replicas,) if replicas else range(REPLICAS_MAX, 0, -1):
            try:
                await self.api(f"STREAM.CREATE.{name}", {**config, "num_replicas": count}, 5.0)
                return
            except JetStreamRefusal as refusal:
                if refusal.number not in _TOO_FEW_SERVERS or count == 1 or replicas:
                    raise

    async def _replicate(self, found: dict[str, Any], replicas: int | None) -> None:
        config = found["config"]
        wanted = replicas or REPLICAS_MAX
        if config["num_replicas"] >= wanted or "cluster" not in found or not found["cluster"].get("name"):
            return
        for count in range(wanted, config["num_replicas"], -1):
            try:
                await self.api(f"STREAM.UPDATE.{config['name']}", {**config, "num_replicas": count}, 5.0)
                return
            except JetStreamRefusal as refusal:
                if refusal.number not in _TOO_FEW_SERVERS:
                    raise


def _no_jetstream(why: str) -> errors.ConfigError:
    return errors.ConfigError(
        f"the NATS server keeps no data: {why}",
        remedy="start nats-server with JetStream (-js), or lattice host --nats embedded",
    )


FULL_REMEDY = "make room: raise max_file_store of JetStream, or give its disk more; a full one takes no deletions"


class JetStreamRefusal(errors.StoreUnavailable):
    """JetStream answered with an error; `number` is its own for it."""

    def __init__(self, code: int, message: str) -> None:
        remedy = FULL_REMEDY if code in _FULL else ""
        super().__init__(f"JetStream: {message} ({code})", remedy=remedy)
        self.number = code
        self.sentence = message


def _checked(message: Msg) -> dict[str, Any]:
    """The answer as data. Raises `JetStreamRefusal`, `errors.StoreUnavailable` for what is no answer."""
    status = (message.headers or {}).get("Status", "")
    if status and not message.data:
        raise errors.StoreUnavailable(f"JetStream does not answer ({status})")
    try:
        data = json.loads(message.data)
        refusal = data.get("error")
    except (ValueError, AttributeError) as error:
        raise errors.StoreUnavailable(f"JetStream answered with something unknown: {message.data[:80]!r}") from error
    if refusal:
        raise JetStreamRefusal(int(refusal.get("err_code", 0)), str(refusal.get("description", "")))
    return dict(data)


class NatsBucket:
    """A `Bucket`."""

    def __init__(self, transport: NatsTransport, name: str, domain: str) -> None:
        self._jetstream = JetStream(transport, domain)
        self._name = name
        self._stream = f"KV_{name}"
        self._subjects = f"$KV.{name}."

    async def create(self, replicas: int | None, grows: bool = True) -> None:
        """Raises `errors.ConfigError` without JetStream, `errors.StoreUnavailable`."""
        config = {
            "name": self._stream,
            "subjects": [f"{self._subjects}>"],
            "max_msgs_per_subject": 1,
            "max_msg_size": -1,
            "storage": "file",
            "discard": "new",
            "duplicate_window": 120_000_000_000,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_direct": True,
        }
        await self._jetstream.ensure(config, replicas, grows)

    async def changes(self, after: int, timeout_s: float = 5.0) -> list[Entry]:
        newest: dict[str, Entry] = {}
        while True:
            body = {"seq": after + 1, "next_by_subj": f"{self._subjects}>", "batch": BATCH}
            messages = await self._jetstream.batch(self._stream, body, timeout_s)
            for message in messages:
                entry = self._entry(message)
                newest.pop(entry.key, None)
                newest[entry.key] = entry
                after = max(after, entry.revision)
            if not messages:  # a batch may be shorter than asked: servers end one by its bytes too
                return list(newest.values())

    async def get(self, key: str, timeout_s: float = 5.0) -> Entry | None:
        subject = self._subject(key)
        try:
            body = {"last_by_subj": subject}
            found = await self._jetstream.api(f"STREAM.MSG.GET.{self._stream}", body, timeout_s)
        except JetStreamRefusal as refusal:
            if refusal.number == _NO_MESSAGE:
                return None
            raise
        message = found["message"]
        if _is_deletion(_decoded(message.get("hdrs", "")).decode("latin-1")):
            return None
        return Entry(key, _decoded(message.get("data", "")), int(message["seq"]))

    async def put(self, key: str, value: bytes, timeout_s: float = 5.0) -> int:
        return await self._write(key, value, {}, timeout_s)

    async def update(self, key: str, value: bytes | None, revision: int, timeout_s: float = 5.0) -> int:
        if revision == 0:
            # A deleted key has a marker, whose sequence is the one to expect.
            revision = await self._marker(key, timeout_s)
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        return await self._write(key, value, headers, timeout_s)

    async def delete(self, key: str, timeout_s: float = 5.0) -> None:
        await self._write(key, None, {}, timeout_s)

    async def _marker(self, key: str, timeout_s: float) -> int:
        """The sequence of the key's deletion, 0 when it never was. Raises `errors.Conflict` when it has a value."""
        try:
            body = {"last_by_subj": self._subject(key)}
            found = await self._jetstream.api(f"STREAM.MSG.GET.{self._stream}", body, timeout_s)
        except JetStreamRefusal as refusal:
            if refusal.number == _NO_MESSAGE:
                return 0
            raise
        message = found["message"]
        if not _is_deletion(_decoded(message.get("hdrs", "")).decode("latin-1")):
            raise errors.Conflict(f"{self._name}: {key} is there already")
        return int(message["seq"])

    async def _write(self, key: str, value: bytes | None, headers: dict[str, str], timeout_s: float) -> int:
        if value is None:
            headers = {**headers, "KV-Operation": "DEL"}
        try:
            done = await self._jetstream.write(
                self._jetstream.key_prefix + self._subject(key), value or b"", headers or None, timeout_s
            )
        except JetStreamRefusal as refusal:
            if refusal.number == _WRONG_SEQUENCE:
                raise errors.Conflict(f"{self._name}: somebody else changed {key}") from refusal
            raise
        return int(done["seq"])

    def _subject(self, key: str) -> str:
        if not _KEY.fullmatch(key) or key.startswith(".") or key.endswith(".") or ".." in key:
            raise errors.MalformedMessage(f"{key!r} cannot be a key of a bucket")
        return self._subjects + key

    def _entry(self, message: Msg) -> Entry:
        headers = message.headers or {}
        key = headers["Nats-Subject"].removeprefix(self._subjects)
        deleted = headers.get("KV-Operation") in ("DEL", "PURGE")
        return Entry(key, None if deleted else message.data, int(headers["Nats-Sequence"]))


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)


def _is_deletion(headers: str) -> bool:
    return "KV-Operation: DEL" in headers or "KV-Operation: PURGE" in headers
