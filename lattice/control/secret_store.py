"""Secrets that a lattice keeps: sealed for its curve key, in a bucket of their own. What is here is for tools that
write and for hosts that open; the bucket, and whoever keeps it, sees names, versions and who sealed.

What a secret is for stands inside the seal: the lattice, the name, the version and the applications that may have it.
So the store can withhold a secret, or give an old one where no version is asked for, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, TypeAlias

import msgspec

from lattice import errors
from lattice.security.sealing import CurvePair
from lattice.transport.transport import Bucket

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*")
NAME_CHARS_MAX = 200
VALUE_BYTES_MAX = 32 * 1024
"""The longest secrets are private keys with their certificates."""
VERSIONS_MAX = 10
"""Kept of one secret; the oldest go. All of them stay below the 1 MiB that a bucket takes."""
APPLICATIONS_MAX = 100
"""To which one secret is bound; a secret for more is one for all."""
RECORD_BYTES_MAX = 900 * 1024
TRIES_MAX = 5
"""Of a change, when somebody else changes the same secret."""


class SealedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """`sealed` is a `Content`, sealed by `sender` for `recipient`. `created` is RFC 3339."""

    version: Annotated[int, msgspec.Meta(ge=1)]
    sender: str
    recipient: str
    sealed: bytes
    created: str = ""


class SecretRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the bucket. `applications` is what the newest version says inside, for people to read; it permits
    nothing."""

    name: str
    applications: tuple[str, ...] = ()
    versions: tuple[SealedVersion, ...] = ()

    @property
    def latest(self) -> int:
        return max((one.version for one in self.versions), default=0)


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed. Without `applications` any application of the lattice may have it."""

    lattice: str
    name: str
    version: int
    applications: tuple[str, ...] = ()
    value: str

    def __repr__(self) -> str:
        return f"Content({self.name}, version {self.version})"


def check_name(name: str) -> str:
    """Raises `errors.ConfigError` for what cannot be the key of a bucket."""
    if len(name) > NAME_CHARS_MAX or not NAME.fullmatch(name):
        raise errors.ConfigError(
            f"{name[:NAME_CHARS_MAX]!r} cannot be the name of a secret",
            remedy=f"use letters, digits, - and _, with dots or slashes between, at most {NAME_CHARS_MAX}",
        )
    return name


def check_value(value: str) -> str:
    """Raises `errors.ConfigError`, without the value."""
    if not value:
        raise errors.ConfigError("the secret is empty", remedy="an empty password is a mistake that nobody sees")
    if len(value.encode("utf-8", "surrogatepass")) > VALUE_BYTES_MAX:
        raise errors.ConfigError(f"the secret is larger than {VALUE_BYTES_MAX // 1024} KiB")
    return value


def seal(content: Content, by: CurvePair, recipient: str, created: str) -> SealedVersion:
    return SealedVersion(
        version=content.version,
        sender=by.public,
        recipient=recipient,
        sealed=by.seal(msgspec.json.encode(content), recipient),
        created=created,
    )


def unseal(
    record: SecretRecord, version: int, lattice: str, name: str, pairs: Sequence[CurvePair], senders: Collection[str]
) -> Content:
    """The version of this number, 0 for the newest. Raises `errors.SecretUnavailable` that says why it does not count;
    `senders` are trusted besides the keys themselves."""
    number = version or record.latest
    found = next((one for one in record.versions if one.version == number), None)
    if found is None:
        kept = ", ".join(str(one.version) for one in record.versions) or "none"
        raise errors.SecretUnavailable(f"it has no version {number}; kept are {kept}")
    pair = next((pair for pair in pairs if pair.public == found.recipient), None)
    if pair is None:
        raise errors.SecretUnavailable(
            f"it is sealed for {found.recipient}, whose seed is not here",
            remedy="[secrets] keys of the host's security file names the file of seeds",
        )
    if found.sender not in senders and all(found.sender != own.public for own in pairs):
        raise errors.SecretUnavailable(
            f"it was sealed by {found.sender}, whom nobody here trusts",
            remedy="[secrets] senders of the host's security file says who may seal",
        )
    try:
        content = msgspec.json.decode(pair.open(found.sealed, found.sender), type=Content)
    except (errors.TokenInvalid, errors.ConfigError, msgspec.DecodeError, UnicodeDecodeError) as error:
        why = str(error) if isinstance(error, errors.LatticeError) else "what is sealed is no secret"
        raise errors.SecretUnavailable(f"it cannot be opened: {why}") from None
    if (content.lattice, content.name, content.version) != (lattice, name, number):
        raise errors.SecretUnavailable(
            f"the store gave the secret {content.name!r}, version {content.version}, of the lattice {content.lattice!r}"
            " in its place"
        )
    return content


Change: TypeAlias = Callable[[SecretRecord | None], SecretRecord]


class SecretStore:
    """The bucket. Methods raise `errors.StoreUnavailable` as a bucket's do."""

    def __init__(self, bucket: Bucket, lattice: str) -> None:
        self._bucket = bucket
        self._lattice = lattice

    async def read(self, name: str, timeout_s: float = 5.0) -> SecretRecord | None:
        """Raises `errors.MalformedMessage` for what is no record."""
        entry = await self._bucket.get(check_name(name), timeout_s)
        return None if entry is None or entry.value is None else _decoded(entry.value)

    async def all(self) -> list[SecretRecord]:
        """By name. Raises `errors.MalformedMessage`."""
        entries = await self._bucket.changes(0)
        return sorted((_decoded(one.value) for one in entries if one.value is not None), key=lambda one: one.name)

    async def put(
        self, name: str, value: str, by: CurvePair, recipient: str, created: str, applications: Sequence[str] | None
    ) -> int:
        """Adds a version and returns its number. `applications` None leaves a new secret to all; for one that is there
        the binding has to be said again, because the store could lie about it.

        Raises `errors.ConfigError`, `errors.Conflict` when others change it all the time."""
        check_value(value)
        bound = tuple(dict.fromkeys(applications or ()))
        if len(bound) > APPLICATIONS_MAX:
            raise errors.ConfigError(f"a secret is bound to at most {APPLICATIONS_MAX} applications")

        def add(record: SecretRecord | None) -> SecretRecord:
            record = record or SecretRecord(name=name)
            if applications is None and record.applications:
                raise errors.ConfigError(
                    f"{name} is bound to {', '.join(record.applications)}, and this would leave it to all",
                    remedy="say --application again, or --any-application",
                )
            number = record.latest + 1
            content = Content(lattice=self._lattice, name=name, version=number, applications=bound, value=value)
            versions = (*record.versions, seal(content, by, recipient, created))
            return SecretRecord(name=name, applications=bound, versions=versions[-VERSIONS_MAX:])

        return (await self._change(name, add)).latest

    async def delete(self, name: str) -> None:
        """Raises `errors.ConfigError` when there is none."""
        if await self.read(name) is None:
            raise errors.ConfigError(f"there is no secret {name!r}", remedy="lattice secret list")
        await self._bucket.delete(name)

    async def rotate(self, name: str, pairs: Sequence[CurvePair], recipient: str, senders: Collection[str]) -> bool:
        """Seals every version again, by the first of `pairs` for `recipient`; False when all were. Raises
        `errors.SecretUnavailable` for one that none of `pairs` opens."""
        changed = False

        def again(record: SecretRecord | None) -> SecretRecord:
            nonlocal changed
            if record is None:
                raise errors.SecretUnavailable("it was deleted meanwhile")
            new = tuple(self._again(record, one, pairs, recipient, senders) for one in record.versions)
            changed = new != record.versions
            return msgspec.structs.replace(record, versions=new)

        await self._change(name, again)
        return changed

    def _again(
        self,
        record: SecretRecord,
        one: SealedVersion,
        pairs: Sequence[CurvePair],
        recipient: str,
        senders: Collection[str],
    ) -> SealedVersion:
        if (one.sender, one.recipient) == (pairs[0].public, recipient):
            return one
        content = unseal(record, one.version, self._lattice, record.name, pairs, senders)
        return seal(content, pairs[0], recipient, one.created)

    async def _change(self, name: str, change: Change) -> SecretRecord:
        check_name(name)
        for _ in range(TRIES_MAX):
            entry = await self._bucket.get(name)
            value = entry.value if entry is not None else None
            old = None if value is None else _decoded(value)
            new = change(old)
            if new == old:
                return new
            data = msgspec.json.encode(new)
            if len(data) > RECORD_BYTES_MAX:
                raise errors.ConfigError(f"{name} has become larger than {RECORD_BYTES_MAX // 1024} KiB")
            try:
                await self._bucket.update(name, data, entry.revision if entry is not None else 0)
            except errors.Conflict:
                continue
            return new
        raise errors.Conflict(f"{name} was changed by others {TRIES_MAX} times", remedy="try again")


def _decoded(data: bytes) -> SecretRecord:
    try:
        return msgspec.json.decode(data, type=SecretRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.MalformedMessage(f"a stored secret cannot be read: {error}") from error
