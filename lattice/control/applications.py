"""Applications over NATS, on the subjects and in the replies of wadm: put, list, get, versions, deploy, undeploy, del,
status; and history and rollback, which are additions. Any host answers; what changes is one record, by compare-and-set.
docs/guides/control-interface.md lists requests and replies.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from lattice import errors, subjects
from lattice.control import messages
from lattice.control.gate import Gate
from lattice.control.manifest import parse, plain
from lattice.control.records import HISTORY_MAX, VERSIONS_MAX, ApplicationRecord, Step, Version, meaning
from lattice.control.store import Store
from lattice.tasks import end_all
from lattice.transport.transport import Delivery, Subscription, Transport
from lattice.transport.transport import answer as answer_to

_log = logging.getLogger("lattice.applications")

QUEUE = "nanolattice-applications"
REQUESTS_MAX = 200
REQUEST_S_MAX = 20.0
_LOOKS = {"list", "get", "versions", "history", "status"}
_ALWAYS = {"versions": "versions", "history": "history"}
"""Fields that tools expect in failures too."""


class VersionRequest(msgspec.Struct, frozen=True, kw_only=True):
    version: str | None = None


class Applications:
    """One host's end. `document` makes an application's status from what this host sees; `claimed_key` reads the key
    that the claims of an image name, "" for none."""

    def __init__(
        self,
        transport: Transport,
        lattice: str,
        store: Store,
        providers: Mapping[str, str],
        document: Callable[[ApplicationRecord], dict[str, Any]],
        claimed_key: Callable[[str], Awaitable[str]],
        gate: Gate,
    ) -> None:
        self._transport = transport
        self._lattice = lattice
        self._store = store
        self._providers = providers
        self._document = document
        self._claimed_key = claimed_key
        self._gate = gate
        self._subscription: Subscription | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[str, Callable[[str, bytes], Awaitable[Any]]] = {
            "put": self._put,
            "list": self._list_bare,
            "get": self._get,
            "versions": self._versions,
            "history": self._history,
            "del": self._delete,
            "deploy": self._deploy,
            "undeploy": self._undeploy,
            "rollback": self._rollback,
            "status": self._status,
        }

    async def start(self) -> None:
        subject = subjects.app(self._lattice, "model", ">")
        self._subscription = await self._transport.subscribe(subject, self._received, queue=QUEUE)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        await end_all(self._tasks)

    def _received(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._serve(delivery), name="applications")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, delivery: Delivery) -> None:
        words = subjects.app_words(self._lattice, delivery.subject)
        verb, name = (words[1] if len(words) > 1 else ""), ".".join(words[2:])
        try:
            if len(self._tasks) > REQUESTS_MAX:
                raise errors.Overloaded(f"{REQUESTS_MAX} requests are being answered", remedy="try again")
            answer = self._answers.get(verb)
            if answer is None:
                raise errors.OperationUnknown(f"applications have no {verb!r}")
            if verb == "get" and not name:
                answer = self._list
            if verb not in ("put", "list", "get") and not name:
                raise errors.MalformedMessage(f"the subject names an application: model.{verb}.NAME")
            if verb in _LOOKS:
                await self._store.refresh()
            async with asyncio.timeout(REQUEST_S_MAX):
                if verb not in _LOOKS:
                    await self._gate.require(delivery, shared=True)
                reply = await answer(name, delivery.payload)
        except errors.LatticeError as error:
            reply = _failed(error)
        except TimeoutError:
            reply = _failed(errors.StoreUnavailable(f"not done within {REQUEST_S_MAX:g} s"))
        except Exception as error:
            _log.exception("%s failed", delivery.subject)
            reply = _failed(errors.LatticeError(f"{type(error).__name__}: {error}"))
        if isinstance(reply, dict) and (missing := _ALWAYS.get(verb)):
            reply.setdefault(missing, [])
        await answer_to(self._transport, delivery, messages.encode(reply), _refusal)

    # Putting.

    async def _put(self, _name: str, payload: bytes) -> dict[str, Any]:
        try:
            text = payload.decode()
        except UnicodeDecodeError as error:
            raise errors.MalformedMessage("a manifest is UTF-8 text") from error
        name, version = await self._version(text)
        created = True

        def edit(record: ApplicationRecord | None) -> ApplicationRecord:
            nonlocal created
            created = record is None
            record = record or ApplicationRecord(name=name)
            known = record.version(version.version)
            if known is not None:
                if known.manifest != version.manifest:
                    raise errors.ConfigError(
                        f"version {version.version} of {name} is there already and is another",
                        remedy="give the manifest another metadata.annotations.version",
                    )
                return record
            versions = _kept((*record.versions, version), record.deployed)
            return _with_step(msgspec.structs.replace(record, versions=versions), "put", version.version)

        record = await self._store.change(name, edit)
        assert record is not None, "putting deletes nothing"
        return {
            "result": "created" if created else "newversion",
            "message": f"{name} {version.version} is put",
            "name": name,
            "current_version": version.version,
            "total_versions": len(record.versions),
        }

    async def _version(self, text: str) -> tuple[str, Version]:
        """Reads a manifest. Raises `errors.ManifestError` for the first mistake; the message has all of them."""
        try:
            application = await asyncio.to_thread(parse, text, file="", folder=Path("/"), providers=self._providers)
        except errors.ManifestError as error:
            said = [str(one) for one in (error, *error.others)]
            raise errors.ConfigError("; ".join(said)[:10_000], remedy=error.remedy) from error
        name = application.version or f"v-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        claimed = {
            component.name: await self._claimed_key(component.image.text)
            for component in application.components
            if component.image.kind == "stored" or (component.image.kind == "oci" and component.kind == "actor")
        }
        wanted, links = meaning(application, name, claimed)
        return application.name, Version(
            version=name,
            created=_now(),
            manifest=text,
            description=application.description,
            wanted=wanted,
            links=links,
        )

    # Looking.

    async def _list_bare(self, _name: str, _payload: bytes) -> list[dict[str, Any]]:
        """The older question, which is answered with nothing around the list."""
        return [self._summary(one) for one in self._store.applications()]

    async def _list(self, _name: str, _payload: bytes) -> dict[str, Any]:
        return {
            "result": "success",
            "message": "",
            "models": [self._summary(one) for one in self._store.applications()],
        }

    def _summary(self, record: ApplicationRecord) -> dict[str, Any]:
        found = self._document(record)
        latest = record.latest
        return {
            "name": record.name,
            "version": latest.version if latest is not None else "",
            "description": latest.description if latest is not None else "",
            "deployed_version": record.deployed or None,
            "status": found["status"],
            "status_message": found["message"],
            "detailed_status": _wadm_status(found),
        }

    async def _get(self, name: str, payload: bytes) -> dict[str, Any]:
        record = self._store.application(name)
        version = _chosen(record, messages.decode(payload, VersionRequest, "model.get").version)
        if record is None or version is None:
            return _not_found(name)
        return {
            "result": "success",
            "message": "",
            "name": name,
            "version": version.version,
            "manifest": await asyncio.to_thread(plain, version.manifest),
            "text": version.manifest,
        }

    async def _versions(self, name: str, _payload: bytes) -> dict[str, Any]:
        record = self._store.application(name)
        if record is None:
            return _not_found(name)
        versions = [
            {"version": one.version, "created": one.created, "deployed": one.version == record.deployed}
            for one in record.versions
        ]
        return {"result": "success", "message": "", "versions": versions}

    async def _history(self, name: str, _payload: bytes) -> dict[str, Any]:
        record = self._store.application(name)
        if record is None:
            return _not_found(name)
        return {"result": "success", "message": "", "history": msgspec.to_builtins(record.history)}

    async def _status(self, name: str, _payload: bytes) -> dict[str, Any]:
        record = self._store.application(name)
        if record is None:
            return _not_found(name)
        found = self._document(record)
        return {"result": "ok", "message": "", "status": _wadm_status(found), "application": found}

    # Changing.

    async def _deploy(self, name: str, payload: bytes) -> dict[str, Any]:
        asked = messages.decode(payload, VersionRequest, "model.deploy").version
        return await self._deployed(name, lambda record: _chosen(record, asked), "deploy")

    async def _rollback(self, name: str, _payload: bytes) -> dict[str, Any]:
        def previous(record: ApplicationRecord | None) -> Version | None:
            """The version that was deployed before the one that is."""
            if record is None:
                return None
            for step in reversed(record.history):
                deployed = step.action in ("deploy", "rollback") and step.version != record.deployed
                if deployed and (version := record.version(step.version)) is not None:
                    return version
            raise errors.ConfigError(f"no other version of {name} was deployed before", remedy="lattice app history")

        return await self._deployed(name, previous, "rollback")

    async def _deployed(
        self, name: str, choose: Callable[[ApplicationRecord | None], Version | None], action: str
    ) -> dict[str, Any]:
        chosen = ""

        def edit(record: ApplicationRecord | None) -> ApplicationRecord | None:
            nonlocal chosen
            version = choose(record)
            if record is None or version is None:
                return record
            chosen = version.version
            if record.deployed == chosen:
                return record
            since = record.since if record.deployed else _now()
            return _with_step(msgspec.structs.replace(record, deployed=chosen, since=since), action, chosen)

        if await self._store.change(name, edit) is None or not chosen:
            return _not_found(name)
        return {"result": "acknowledged", "message": f"{name} {chosen} is deployed", "name": name, "version": chosen}

    async def _undeploy(self, name: str, _payload: bytes) -> dict[str, Any]:
        def edit(record: ApplicationRecord | None) -> ApplicationRecord | None:
            if record is None or not record.deployed:
                return record
            return _with_step(msgspec.structs.replace(record, deployed="", since=""), "undeploy", record.deployed)

        if await self._store.change(name, edit) is None:
            return _not_found(name)
        return {"result": "acknowledged", "message": f"{name} is undeployed", "name": name, "version": ""}

    async def _delete(self, name: str, payload: bytes) -> dict[str, Any]:
        asked = messages.decode(payload, VersionRequest, "model.del").version
        found = stops = False

        def edit(record: ApplicationRecord | None) -> ApplicationRecord | None:
            nonlocal found, stops
            found = record is not None and (asked is None or record.version(asked) is not None)
            if record is None:
                return None
            stops = found and record.deployed in ((record.deployed or None,) if asked is None else (asked,))
            if asked is None or not found:
                return None if asked is None else record
            versions = tuple(one for one in record.versions if one.version != asked)
            deployed = "" if record.deployed == asked else record.deployed
            if not versions:
                return None
            return _with_step(msgspec.structs.replace(record, versions=versions, deployed=deployed), "delete", asked)

        await self._store.change(name, edit)
        what = f"{name} {asked}" if asked else name
        if not found:
            return {"result": "noop", "message": f"there is no {what}", "undeploy": False}
        return {"result": "deleted", "message": f"{what} is deleted", "undeploy": stops}


def _wadm_status(found: dict[str, Any]) -> dict[str, Any]:
    """A status in the form of wadm; `found` is what `control.status` says."""

    def info(of: dict[str, Any]) -> dict[str, str]:
        said = of["message"] + (f"; {of['remedy']}" if of["remedy"] else "")
        return {"type": of["status"], "message": said}

    kinds = {"actor": "component", "provider": "capability"}
    return {
        "status": info(found),
        "scalers": [
            {"id": one["key"], "kind": "SpreadScaler", "name": one["name"], "status": info(one)}
            for one in found["components"]
        ],
        "version": found["version"],
        "components": [
            {"name": one["name"], "type": kinds[one["kind"]], "status": info(one), "traits": []}
            for one in found["components"]
        ],
    }


def _chosen(record: ApplicationRecord | None, asked: str | None) -> Version | None:
    """Raises `errors.ConfigError` for a version that is not there."""
    if record is None:
        return None
    if not asked or asked == "latest":
        return record.latest
    version = record.version(asked)
    if version is None:
        there = ", ".join(one.version for one in record.versions)
        raise errors.ConfigError(f"{record.name} has no version {asked}", remedy=f"there are {there}")
    return version


def _kept(versions: tuple[Version, ...], deployed: str) -> tuple[Version, ...]:
    """The newest, and the deployed one."""
    newest = versions[-VERSIONS_MAX:]
    return tuple(one for one in versions if one in newest or one.version == deployed)


def _with_step(record: ApplicationRecord, action: str, version: str) -> ApplicationRecord:
    step = Step(at=_now(), action=action, version=version)
    return msgspec.structs.replace(record, history=(*record.history, step)[-HISTORY_MAX:])


def _not_found(name: str) -> dict[str, Any]:
    return {
        "result": "notfound",
        "message": f"the lattice has no application {name}",
        "code": errors.TargetUnknown.code,
        "remedy": "lattice app list shows those that there are",
    }


def _refusal(error: errors.CallError) -> bytes:
    return messages.encode(_failed(error))


def _failed(error: errors.LatticeError) -> dict[str, Any]:
    return {"result": "error", "message": str(error), "code": error.code, "remedy": error.remedy}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
