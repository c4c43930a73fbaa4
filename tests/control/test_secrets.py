"""What references to secrets lead to: only what a host offers and somebody it trusts sealed; no value in any error."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors, subjects
from lattice.application import LocalValues
from lattice.control import secrets as sources
from lattice.control.secret_store import (
    VALUE_BYTES_MAX,
    VERSIONS_MAX,
    Content,
    SecretRecord,
    SecretStore,
    seal,
    unseal,
)
from lattice.control.secrets import Secrets, read_file
from lattice.links import Link
from lattice.provider import Settings, validated
from lattice.secretref import SecretRef
from lattice.security import sealing
from lattice.security.redaction import MARK, Redactor
from lattice.security.settings import SecretTrust
from lattice.transport.nats import connect
from lattice.transport.settings import NatsSettings
from lattice.transport.transport import Bucket, Entry
from tests.support.servers import nats_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

LATTICE = "default"
VALUE = "sword-fish-1"
OWN, OTHER = sealing.generate(), sealing.generate()


def ref(source: Any, key: str, **more: Any) -> SecretRef:
    return SecretRef(name="url", source=source, key=key, **more)


def host(trust: SecretTrust | None = None, **more: Any) -> Secrets:
    return Secrets(lambda: trust or SecretTrust(), LATTICE, more.pop("redactor", Redactor()), **more)


async def refused(secrets: Secrets, reference: SecretRef, application: str = "") -> str:
    """Why it cannot be had, as people read it."""
    with pytest.raises(errors.SecretUnavailable) as caught:
        await secrets.values([reference], application)
    assert VALUE not in str(caught.value) + caught.value.remedy
    assert caught.value.__suppress_context__
    assert str(reference) in str(caught.value)
    return f"{caught.value} | {caught.value.remedy}"


# Variables.


async def test_a_variable_that_is_offered_is_read_when_it_is_wanted() -> None:
    environment = {"LATTICE_SECRET_URL": VALUE}
    secrets = host(environment=environment)
    assert await secrets.values([ref("env", "LATTICE_SECRET_URL")], "") == {"url": VALUE}
    environment["LATTICE_SECRET_URL"] = "new"
    assert await secrets.values([ref("env", "LATTICE_SECRET_URL")], "") == {"url": "new"}


async def test_a_strangers_manifest_cannot_read_the_environment_of_a_host() -> None:
    secrets = host(SecretTrust(environment=("DB_*",)), environment={"AWS_SECRET_ACCESS_KEY": VALUE, "DB_URL": "db"})
    assert "does not offer" in await refused(secrets, ref("env", "AWS_SECRET_ACCESS_KEY"))
    assert await secrets.values([ref("env", "DB_URL")], "") == {"url": "db"}


@pytest.mark.parametrize("environment", [{}, {"LATTICE_SECRET_URL": ""}])
async def test_a_variable_that_is_not_set_or_empty_is_missing(environment: dict[str, str]) -> None:
    assert "not set" in await refused(host(environment=environment), ref("env", "LATTICE_SECRET_URL"))


async def test_the_environment_of_the_process_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTICE_SECRET_URL", VALUE)
    assert await host().values([ref("env", "LATTICE_SECRET_URL")], "") == {"url": VALUE}


async def test_the_redactor_knows_a_secret_before_anybody_gets_it() -> None:
    redactor = Redactor()
    await host(environment={"LATTICE_SECRET_URL": VALUE}, redactor=redactor).values(
        [ref("env", "LATTICE_SECRET_URL")], ""
    )
    assert redactor.clean(f"failed with {VALUE}") == f"failed with {MARK}"


# Files.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "offered"
    (folder / "db").mkdir(parents=True)
    (folder / "db" / "url").write_text(f"{VALUE}\n")
    (tmp_path / "outside").write_text(VALUE)
    return folder


async def from_file(folder: Path, key: str) -> str:
    found = await host(SecretTrust(files=(folder / "absent", folder))).values([ref("file", key)], "")
    return found["url"]


async def test_a_file_is_named_within_its_folder_or_by_its_whole_path(folder: Path) -> None:
    assert await from_file(folder, "db/url") == VALUE
    assert await from_file(folder, str(folder / "db" / "url")) == VALUE


async def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    """As orchestrators mount secrets: a link to a folder that is exchanged as a whole."""
    (folder / "..data").symlink_to("db")
    (folder / "url").symlink_to("..data/url")
    assert await from_file(folder, "url") == VALUE


@pytest.mark.parametrize("key", ["../outside", "db/../../outside", "link", "folder/outside", ".", "", "db/none", "/"])
async def test_nothing_outside_of_the_folder_is_read_nor_told_to_be_there(key: str, folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "outside")
    (folder / "folder").symlink_to(folder.parent)
    said = await refused(host(SecretTrust(files=(folder,))), ref("file", key))
    assert "there is no such file in a folder that this host offers" in said
    outside = await refused(host(SecretTrust(files=(folder,))), ref("file", str(folder.parent / "outside")))
    assert "there is no such file in a folder that this host offers" in outside


async def test_a_host_that_offers_no_folder_reads_no_file(folder: Path) -> None:
    assert "no such file" in await refused(host(), ref("file", str(folder / "db" / "url")))


async def test_a_link_that_appears_after_the_look_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write into the folder could point elsewhere between the check and the reading."""
    real = os.path.realpath

    def swap(path: Any, **more: Any) -> str:
        found = real(path, **more)
        if str(path).endswith("url"):
            (folder / "db" / "url").unlink()
            (folder / "db" / "url").symlink_to(folder.parent / "outside")
        return found

    monkeypatch.setattr(os.path, "realpath", swap)
    assert "cannot be read" in await refused(host(SecretTrust(files=(folder,))), ref("file", "db/url"))


async def test_what_is_no_file_is_refused_and_waited_for_by_nobody(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "no regular file" in await refused(host(SecretTrust(files=(folder,))), ref("file", "pipe"))
    assert "no regular file" in await refused(host(SecretTrust(files=(folder,))), ref("file", "db"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        assert "cannot be read" in await refused(host(SecretTrust(files=(folder,))), ref("file", "s"))
    assert "cannot be read" in await refused(host(SecretTrust(files=(folder,))), ref("file", "db/url/x"))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"x" * (VALUE_BYTES_MAX + 1), "larger than"), (b"\xff\xfe", "not UTF-8"), (b"\n", "empty"), (b"", "empty")],
)
async def test_a_file_that_cannot_be_a_secret_says_why(content: bytes, said: str, folder: Path) -> None:
    (folder / "odd").write_bytes(content)
    assert said in await refused(host(SecretTrust(files=(folder,))), ref("file", "odd"))


async def test_one_line_end_is_taken_away(folder: Path) -> None:
    for content, value in ((b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a "), (b"x" * VALUE_BYTES_MAX, None)):
        (folder / "odd").write_bytes(content)
        assert await from_file(folder, "odd") == (value or content.decode())


@given(st.text(max_size=60))
async def test_any_path_is_read_or_refused(key: str) -> None:
    try:
        read_file([Path(__file__).parent], key)
    except errors.SecretUnavailable:
        return
    assert (Path(__file__).parent / key).exists()


# Fields.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VALUE, "it is no JSON object"),
        (json.dumps([VALUE]), "no field 'password'"),
        (json.dumps({"user": VALUE}), "no field 'password'"),
        (json.dumps({"password": 5, "user": VALUE}), "no field 'password'"),
        (json.dumps({"password": ""}), "no field 'password'"),
        ("[" * 100_000, "no JSON object"),
    ],
)
async def test_a_field_that_is_not_there_says_so(text: str, said: str) -> None:
    secrets = host(environment={"LATTICE_SECRET_URL": text})
    assert said in await refused(secrets, ref("env", "LATTICE_SECRET_URL", field="password"))


async def test_a_field_is_picked_out() -> None:
    text = json.dumps({"user": "me", "password": VALUE})
    secrets = host(environment={"LATTICE_SECRET_URL": text})
    assert await secrets.values([ref("env", "LATTICE_SECRET_URL", field="password")], "") == {"url": VALUE}


# The bucket.


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bucket(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bucket]:
    with nats_server(tmp_path_factory.mktemp("secrets")) as server:
        transport = await connect(NatsSettings(urls=(server.url,)))
        yield await transport.bucket(subjects.secret_bucket(LATTICE))
        await transport.close()


def opening(bucket: Bucket, *pairs: sealing.CurvePair, senders: tuple[str, ...] = (), **more: Any) -> Secrets:
    async def opened() -> Bucket:
        return bucket

    return host(SecretTrust(keys=pairs or (OWN,), senders=frozenset(senders)), bucket=opened, **more)


async def put(bucket: Bucket, name: str, value: str = VALUE, *, applications: list[str] | None = None) -> int:
    return await SecretStore(bucket, LATTICE).put(name, value, OWN, OWN.public, "2026-01-01", applications)


async def test_the_newest_version_is_given_unless_one_is_named(bucket: Bucket) -> None:
    for number in (1, 2, 3):
        assert await put(bucket, "many", f"value-{number}") == number
    secrets = opening(bucket)
    assert await secrets.values([ref("bucket", "many")], "") == {"url": "value-3"}
    assert await secrets.values([ref("bucket", "many", version=2)], "") == {"url": "value-2"}
    assert "no version 7; kept are 1, 2, 3" in await refused(secrets, ref("bucket", "many", version=7))


async def test_the_oldest_versions_go(bucket: Bucket) -> None:
    for _ in range(VERSIONS_MAX + 2):
        await put(bucket, "old", "x" * VALUE_BYTES_MAX)
    record = await SecretStore(bucket, LATTICE).read("old")
    assert record is not None
    assert [one.version for one in record.versions] == list(range(3, VERSIONS_MAX + 3))


async def test_a_secret_is_for_the_applications_it_is_bound_to(bucket: Bucket) -> None:
    await put(bucket, "bound", applications=["shop", "bank"])
    secrets = opening(bucket)
    assert await secrets.values([ref("bucket", "bound")], "shop") == {"url": VALUE}
    assert "bound to other applications than the application evil" in await refused(
        secrets, ref("bucket", "bound"), "evil"
    )
    assert "what belongs to no application" in await refused(secrets, ref("bucket", "bound"))


async def test_a_binding_is_not_lost_by_saying_nothing(bucket: Bucket) -> None:
    await put(bucket, "kept", applications=["shop"])
    with pytest.raises(errors.ConfigError, match="would leave it to all") as caught:
        await put(bucket, "kept")
    assert "--any-application" in caught.value.remedy
    assert await put(bucket, "kept", applications=[]) == 2
    assert await opening(bucket).values([ref("bucket", "kept")], "any") == {"url": VALUE}
    with pytest.raises(errors.ConfigError, match="at most 100"):
        await put(bucket, "kept", applications=[f"app-{number}" for number in range(101)])


async def test_what_is_missing_says_what_to_do(bucket: Bucket) -> None:
    assert "lattice secret put none" in await refused(opening(bucket), ref("bucket", "none"))
    assert "cannot be the name" in await refused(opening(bucket), ref("bucket", "a b"))
    assert "joined no lattice" in await refused(host(), ref("bucket", "x"))
    no_key = host(bucket=lambda: asyncio.sleep(0, bucket))
    assert "no key that opens" in await refused(no_key, ref("bucket", "x"))


async def test_a_store_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> Bucket:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(sources, "READ_S_MAX", 0.02)
    secrets = host(SecretTrust(keys=(OWN,)), bucket=never)
    assert "could not be read within" in await refused(secrets, ref("bucket", "x"))


async def test_what_somebody_else_sealed_does_not_count(bucket: Bucket) -> None:
    """Anybody who knows the lattice's public key can seal for it, and whoever writes to the bucket can put it there."""
    await SecretStore(bucket, LATTICE).put("forged", "evil", OTHER, OWN.public, "", None)
    assert f"sealed by {OTHER.public}, whom nobody here trusts" in await refused(
        opening(bucket), ref("bucket", "forged")
    )
    trusting = opening(bucket, senders=(OTHER.public,))
    assert await trusting.values([ref("bucket", "forged")], "") == {"url": "evil"}


async def test_what_is_sealed_for_another_key_is_not_opened(bucket: Bucket) -> None:
    await put(bucket, "theirs")
    assert f"sealed for {OWN.public}, whose seed is not here" in await refused(
        opening(bucket, OTHER), ref("bucket", "theirs")
    )


def content(**more: Any) -> Content:
    return Content(**{"lattice": LATTICE, "name": "real", "version": 1, "value": VALUE, **more})


def record(inside: Content, **more: Any) -> SecretRecord:
    version = msgspec.structs.replace(seal(inside, OWN, OWN.public, ""), **more)
    return SecretRecord(name="real", versions=(version,))


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (record(content(name="cheap")), "gave the secret 'cheap', version 1"),
        (record(content(version=9), version=1), "version 9"),
        (record(content(lattice="staging")), "of the lattice 'staging'"),
        (record(content(), sealed=b"xkv1" + bytes(60)), "was changed"),
        (record(content(), sealed=b""), "too short"),
        (record(content(), sealed=OWN.seal(b"[]", OWN.public)), "no secret"),
        (SecretRecord(name="real"), "no version 0; kept are none"),
        (record(content(), sender="X"), "whom nobody here trusts"),
    ],
)
async def test_a_store_that_lies_is_not_believed(lie: SecretRecord, said: str, bucket: Bucket) -> None:
    await bucket.put("real", msgspec.json.encode(lie))
    assert said in await refused(opening(bucket), ref("bucket", "real"))


async def test_a_store_cannot_unbind_a_secret(bucket: Bucket) -> None:
    """What stands outside of the seal is for people to read, and permits nothing."""
    await bucket.put("real", msgspec.json.encode(record(content(applications=("shop",)))))
    assert "bound to other applications" in await refused(opening(bucket), ref("bucket", "real"), "evil")


@given(st.one_of(st.binary(max_size=200), st.just(b"[" * 5000), st.just(b'{"name":"x","versions":[{"version":0}]}')))
async def test_any_bytes_in_the_store_are_a_record_or_refused(data: bytes) -> None:
    class One:
        async def get(self, key: str, timeout_s: float = 5.0) -> Entry | None:
            return Entry(key, data, 1)

    with pytest.raises(errors.MalformedMessage):
        await SecretStore(One(), LATTICE).read("x")  # type: ignore[arg-type]


async def test_a_rotated_secret_is_opened_by_the_new_key_and_not_by_the_old(bucket: Bucket) -> None:
    store, new = SecretStore(bucket, LATTICE), sealing.generate()
    await put(bucket, "turn", "first", applications=["shop"])
    await put(bucket, "turn", "second", applications=["shop"])
    assert await store.rotate("turn", (new, OWN), new.public, ())
    assert not await store.rotate("turn", (new, OWN), new.public, ())
    secrets = opening(bucket, new)
    assert await secrets.values([ref("bucket", "turn", version=1)], "shop") == {"url": "first"}
    assert await secrets.values([ref("bucket", "turn")], "shop") == {"url": "second"}
    assert "bound to other" in await refused(secrets, ref("bucket", "turn"), "evil")
    assert "seed is not here" in await refused(opening(bucket), ref("bucket", "turn"), "shop")


async def test_rotation_does_not_make_a_forged_secret_genuine(bucket: Bucket) -> None:
    store, new = SecretStore(bucket, LATTICE), sealing.generate()
    await store.put("fake", "evil", OTHER, OWN.public, "", None)
    with pytest.raises(errors.SecretUnavailable, match="nobody here trusts"):
        await store.rotate("fake", (new, OWN), new.public, ())
    assert await store.rotate("fake", (new, OWN), new.public, {OTHER.public})
    with pytest.raises(errors.SecretUnavailable, match="deleted meanwhile"):
        await store.rotate("none", (new, OWN), new.public, ())


class Interfering:
    """A bucket in which somebody else is quicker `times` times."""

    def __init__(self, bucket: Bucket, times: int) -> None:
        self._bucket = bucket
        self._times = times

    async def get(self, key: str, timeout_s: float = 5.0) -> Entry | None:
        return await self._bucket.get(key, timeout_s)

    async def update(self, key: str, value: bytes | None, revision: int, timeout_s: float = 5.0) -> int:
        if self._times:
            self._times -= 1
            await put(self._bucket, key, "theirs")
        return await self._bucket.update(key, value, revision, timeout_s)


async def test_two_who_write_at_once_both_get_their_version(bucket: Bucket) -> None:
    store = SecretStore(Interfering(bucket, 2), LATTICE)  # type: ignore[arg-type]
    assert await store.put("race", VALUE, OWN, OWN.public, "", None) == 3
    busy = SecretStore(Interfering(bucket, 99), LATTICE)  # type: ignore[arg-type]
    with pytest.raises(errors.Conflict, match="5 times"):
        await busy.put("race", VALUE, OWN, OWN.public, "", None)


@pytest.mark.parametrize("value", ["", "x" * (VALUE_BYTES_MAX + 1)])
async def test_what_can_be_no_secret_is_not_stored(value: str, bucket: Bucket) -> None:
    with pytest.raises(errors.ConfigError):
        await put(bucket, "never", value)
    assert await SecretStore(bucket, LATTICE).read("never") is None


@pytest.mark.parametrize("name", ["", "a b", "a/", "/a", "a..b", "a>", "*", "x" * 201, "ä"])
async def test_a_name_is_a_key_of_a_bucket(name: str, bucket: Bucket) -> None:
    with pytest.raises(errors.ConfigError, match="cannot be the name"):
        await put(bucket, name)


async def test_a_deleted_secret_is_gone(bucket: Bucket) -> None:
    store = SecretStore(bucket, LATTICE)
    await put(bucket, "gone")
    assert "gone" in [one.name for one in await store.all()]
    await store.delete("gone")
    assert "gone" not in [one.name for one in await store.all()]
    with pytest.raises(errors.ConfigError, match="no secret 'gone'"):
        await store.delete("gone")


async def test_a_record_grows_no_larger_than_a_bucket_takes(bucket: Bucket) -> None:
    awkward = "\x01" * VALUE_BYTES_MAX  # six characters each, as JSON
    for _ in range(3):
        await put(bucket, "awkward", awkward)
    with pytest.raises(errors.ConfigError, match="larger than 900 KiB"):
        await put(bucket, "awkward", awkward)


async def test_an_opened_secret_does_not_show_its_value() -> None:
    found = unseal(record(content()), 1, LATTICE, "real", (OWN,), ())
    assert found.value == VALUE
    assert VALUE not in repr(found)


# Where they go.


async def test_each_end_of_a_link_gets_its_own_secrets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Asked:
        async def values(self, references: Any, application: str) -> dict[str, str]:
            asked.extend(f"{application}:{one.key}" for one in references)
            return {one.name: "${label:not-one}" for one in references}

    link = Link(
        "http",
        "one",
        "wasmcloud:httpserver",
        source_config={"path": "${label:where}"},
        source_secrets=(ref("env", "SOURCE"),),
        target_secrets=(ref("env", "TARGET"),),
    )
    local = LocalValues({"where": "/here"}, Asked())
    at_source = await local.link(link, "http", "shop")
    assert at_source.source_config == {"path": "/here", "url": "${label:not-one}"}
    assert (at_source.target_config, asked) == ({}, ["shop:SOURCE"])
    at_target = await local.link(link, "one", "shop")
    assert (at_target.source_config, at_target.target_config) == ({"path": "/here"}, {"url": "${label:not-one}"})


async def test_without_a_source_a_reference_is_refused() -> None:
    with pytest.raises(errors.SecretUnavailable, match="has no secrets"):
        await LocalValues({}).config({}, [ref("env", "X")], "")
    assert await LocalValues({}).config({"a": "b"}, [], "") == {"a": "b"}


class Odd(Settings):
    number: int
    url: str

    @pydantic.field_validator("url")
    @classmethod
    def _no_address(cls, value: str) -> str:
        raise ValueError("it is no address")


async def test_settings_and_what_is_wrong_with_them_do_not_show_values() -> None:
    class Fine(Settings):
        url: str

    assert VALUE not in repr(Fine(url=VALUE)) + str(Fine(url=VALUE))
    with pytest.raises(errors.ConfigError) as caught:
        validated(Odd, {"number": VALUE, "url": VALUE, "other": VALUE}, "provider odd: config")
    assert "number" in str(caught.value)
    assert VALUE not in "".join(traceback.format_exception(caught.value))
