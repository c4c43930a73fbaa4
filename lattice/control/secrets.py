"""What references to secrets lead to on this host: variables of its environment, files, the lattice's encrypted bucket.

A manifest may be a stranger's, so it gets what the host offers by its security file and nothing else: not any variable,
not any file. Values go to the provider that is started or linked, and to the redactor; they are kept nowhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from lattice import errors
from lattice.control.secret_store import VALUE_BYTES_MAX, SecretStore, unseal
from lattice.secretref import SecretRef
from lattice.security.redaction import Redactor
from lattice.security.settings import SecretTrust
from lattice.transport.transport import Bucket

READ_S_MAX = 5.0
"""For one secret: a start or a link waits for it, and is tried again."""
_STEP = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Secrets:
    """One host's. `values` is all that others need."""

    def __init__(
        self,
        trust: Callable[[], SecretTrust],
        lattice: str,
        redactor: Redactor,
        bucket: Callable[[], Awaitable[Bucket]] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """`trust` is asked each time: what a host trusts may be read again. `bucket` opens the lattice's; None on a
        host that has joined none."""
        self._trust = trust
        self._lattice = lattice
        self._redactor = redactor
        self._bucket = bucket
        self._store: SecretStore | None = None
        self._environment = environment

    async def values(self, references: Sequence[SecretRef], application: str) -> dict[str, str]:
        """What they lead to now, by their names, for a part of `application`. Raises `errors.SecretUnavailable` that
        names the first that cannot be had."""
        return {reference.name: await self._value(reference, application) for reference in references}

    async def _value(self, reference: SecretRef, application: str) -> str:
        try:
            async with asyncio.timeout(READ_S_MAX):
                text = await self._read(reference, application)
            value = _picked(text, reference.field)
            self._redactor.learn(value)
        except TimeoutError:
            raise _unavailable(reference, f"it could not be read within {READ_S_MAX:g} s") from None
        except errors.LatticeError as error:
            raise _unavailable(reference, error.message, error.remedy) from None
        return value

    async def _read(self, reference: SecretRef, application: str) -> str:
        if reference.source == "env":
            return self._variable(reference.key)
        if reference.source == "file":
            return _text(await asyncio.to_thread(read_file, self._trust().files, reference.key))
        return await self._stored(reference, application)

    def _variable(self, name: str) -> str:
        if not self._trust().offers_variable(name):
            raise errors.SecretUnavailable(
                "this host does not offer the variable",
                remedy="call it LATTICE_SECRET_..., or name it in [secrets] environment of the security file",
            )
        value = self._environment.get(name, "")
        if not value:
            raise errors.SecretUnavailable("the variable is not set on this host")
        return value

    async def _stored(self, reference: SecretRef, application: str) -> str:
        if self._bucket is None:
            raise errors.SecretUnavailable(
                "this host has joined no lattice that could have stored it", remedy="start it with --nats"
            )
        trust = self._trust()
        if not trust.keys:
            raise errors.SecretUnavailable(
                "this host has no key that opens stored secrets",
                remedy="name one in [secrets] keys of the security file",
            )
        if self._store is None:
            self._store = SecretStore(await self._bucket(), self._lattice)
        record = await self._store.read(reference.key)
        if record is None:
            raise errors.SecretUnavailable("nobody has stored it", remedy=f"lattice secret put {reference.key}")
        found = unseal(record, reference.version, self._lattice, reference.key, trust.keys, trust.senders)
        if found.applications and application not in found.applications:
            who = f"the application {application}" if application else "what belongs to no application"
            raise errors.SecretUnavailable(f"it is bound to other applications than {who}")
        return found.value


def read_file(folders: Sequence[Path], key: str) -> bytes:
    """The content of the file `key`, a path within one of `folders` or relative to it. Links are followed, but not out
    of the folder, nor when they appear while it is read. Raises `errors.SecretUnavailable`."""
    for folder in folders:
        try:
            top = os.path.realpath(folder)
            place = os.path.realpath(os.path.join(top, key))
            if place != top and os.path.commonpath((top, place)) == top:
                return _content(top, os.path.relpath(place, top).split(os.sep))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            why = error.strerror if isinstance(error, OSError) else "it is no path"
            raise errors.SecretUnavailable(f"the file cannot be read: {why}") from None
    raise errors.SecretUnavailable(
        "there is no such file in a folder that this host offers",
        remedy="[secrets] files of the security file names folders",
    )


def _content(top: str, parts: list[str]) -> bytes:
    """Opens step by step without following any link: `parts` has none, unless somebody put one there since."""
    at = os.open(top, _STEP | os.O_DIRECTORY)
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        try:
            # Opening a pipe would wait for its other end.
            below = os.open(part, _STEP | (os.O_NONBLOCK if last else os.O_DIRECTORY), dir_fd=at)
        finally:
            os.close(at)
        at = below
    try:
        if not stat.S_ISREG(os.fstat(at).st_mode):
            raise errors.SecretUnavailable("it is no regular file")
        with open(at, "rb", closefd=False) as file:
            data = file.read(VALUE_BYTES_MAX + 1)
    finally:
        os.close(at)
    if len(data) > VALUE_BYTES_MAX:
        raise errors.SecretUnavailable(f"the file is larger than {VALUE_BYTES_MAX // 1024} KiB")
    return data


def _text(data: bytes) -> str:
    """Without the line end that editors and `echo` put behind a password."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise errors.SecretUnavailable("the file is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise errors.SecretUnavailable("the file is empty")
    return text


def _picked(text: str, name: str) -> str:
    """The text itself, or the one under `name` of a JSON object."""
    if not name:
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise errors.SecretUnavailable("it has no fields: it is no JSON object") from None
    value = found.get(name) if isinstance(found, dict) else None
    if not isinstance(value, str) or not value:
        raise errors.SecretUnavailable(f"it has no field {name!r} that is a text")
    return value


def _unavailable(reference: SecretRef, why: str, remedy: str = "") -> errors.SecretUnavailable:
    return errors.SecretUnavailable(f"the secret {reference} cannot be had: {why}", remedy=remedy)
