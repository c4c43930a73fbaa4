"""Admission on a host: before anything is compiled, at every start and every update; keys that are somebody's."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.actors import Actor, ActorSpec
from lattice.artifacts.actor_image import read_image
from lattice.control.agent import Agent
from lattice.control.manifest import parse
from lattice.control.settings_check import check_application
from lattice.security import keys
from lattice.security.admission import CLOCK_LEEWAY_S
from lattice.security.settings import ActorTrust, SecuritySettings
from lattice.supervisor import Installed
from tests.support.hosts import GuestHost, guest_host, guest_wasm
from tests.support.signed import ACTOR, ISSUER, OTHER_ACTOR, STRANGER, section, signed

ECHO = guest_wasm("echo")
STRICT = SecuritySettings(actors=ActorTrust(issuers=frozenset({ISSUER.public})))


def version(number: int, **wish: Any) -> bytes:
    """One of several modules that differ in content, with the revision `number` unless `wish` says another."""
    return signed(ECHO + section(b"%d" % number, b"version"), **{"rev": number, **wish})


def file(folder: Path, data: bytes, name: str = "actor") -> Path:
    path = folder / f"{name}.wasm"
    path.write_bytes(data)
    return path


async def start(guests: GuestHost, path: Path, key: str = "actor", **more: Any) -> Actor:
    return await guests.host.actors.start(ActorSpec(key=key, name="actor", image=path, application="test", **more))


async def test_a_signed_actor_runs_with_verified_claims_where_its_account_is_trusted(tmp_path: Path) -> None:
    path = file(tmp_path, signed(ECHO, caps=("a:b",), alias="demo/echo", expires=2**33))
    async with guest_host(tmp_path, security=STRICT) as guests:
        actor = await start(guests, path)
        claims = actor.revision.claims
        assert claims is not None
        assert claims.verified
        assert (actor.key, actor.alias, claims.expires) == (ACTOR.public, "demo/echo", 2**33)
        assert actor.revision.token in path.read_bytes()
        assert await guests.call(ACTOR.public, b"x") == b"x"
        agent = guests.host.agent
        assert isinstance(agent, Agent)
        [document] = await agent.answer("claims", {})
        assert (document["verified"], document["issuer"], document["caps"]) == (True, ISSUER.public, ("a:b",))


WRONG = {
    "unsigned": (ECHO, "not signed"),
    "altered": (signed(ECHO) + section(b"", b"x"), "another module"),
    "by a stranger": (signed(ECHO, STRANGER), "does not trust"),
    "expired": (signed(ECHO, expires=int(time.time() - 2 * CLOCK_LEEWAY_S)), "expired"),
    "not yet valid": (signed(ECHO, nbf=int(time.time() + 3600)), "not valid yet"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("cached", [False, True], ids=["compiled", "cached"])
async def test_what_is_not_admitted_is_neither_compiled_nor_taken_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, cached: bool
) -> None:
    data, says = WRONG[case]
    path, cache = file(tmp_path, data), tmp_path / "cache"
    async with guest_host(tmp_path, cache=cache, security=STRICT) as guests:
        engine = guests.host.engine
        if cached:  # as if another host of this machine, which trusts more, had run it
            compiled = engine.compile(data)
            assert guests.host.actors._guests.cache is not None
            guests.host.actors._guests.cache.put(hashlib.sha256(data).hexdigest(), compiled.serialize())
            compiled.close()

        def never(*_: Any) -> Any:
            raise AssertionError("this must not be loaded")

        for name in ("compile", "load"):
            monkeypatch.setattr(engine, name, never)
        with pytest.raises(errors.NotAdmitted, match=says) as raised:
            await start(guests, path)
        assert str(path) in str(raised.value)
        assert raised.value.remedy
        assert list(guests.host.actors) == []


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
async def test_a_wrong_token_is_refused_on_one_s_own_machine_too(tmp_path: Path, large: bool) -> None:
    data = signed(ECHO + section(bytes(300_000 if large else 3), b"data"))
    async with guest_host(tmp_path) as guests:
        await start(guests, file(tmp_path, data))
        with pytest.raises(errors.NotAdmitted, match="another module"):
            await start(guests, file(tmp_path, data + section(b"", b"x"), "altered"))


async def test_an_unsigned_actor_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guest_host(tmp_path) as guests:
        with caplog.at_level(logging.WARNING, "lattice.actors"):
            await start(guests, file(tmp_path, ECHO))
            await start(guests, file(tmp_path, signed(ECHO), "signed"))
            await guests.host.actors.replace("actor", file(tmp_path, ECHO + section(b"", b"x"), "next"))
        [record] = caplog.records
        assert record.getMessage() == (
            "actor is not signed; anybody could have made it: lattice claims sign actor.wasm"
        )


async def test_of_what_was_fetched_the_warning_says_what_it_was_asked_for_as(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blob = tmp_path / hashlib.sha256(ECHO).hexdigest()
    blob.write_bytes(ECHO)
    async with guest_host(tmp_path) as guests:
        with caplog.at_level(logging.WARNING, "lattice.actors"):
            await start(guests, blob, reference="registry.example/echo:1.0")
    assert caplog.records[0].getMessage().endswith("lattice claims sign registry.example/echo:1.0")


async def test_trust_may_change_while_a_host_runs(tmp_path: Path) -> None:
    async with guest_host(tmp_path, security=STRICT) as guests:
        actors = guests.host.actors
        await start(guests, file(tmp_path, version(1)))
        guests.host.reload(SecuritySettings(actors=ActorTrust(issuers=frozenset({STRANGER.public}))))
        with pytest.raises(errors.NotAdmitted, match="does not trust"):
            await actors.replace(ACTOR.public, file(tmp_path, version(2), "second"))
        assert actors.get(ACTOR.public) is not None, "it is not stopped"
        with pytest.raises(errors.NotGranted, match="does not trust any more"):
            await guests.call(ACTOR.public, b"x")
        guests.host.reload(STRICT)
        assert await guests.call(ACTOR.public, b"x") == b"x"


# Updates.


async def test_an_update_needs_a_greater_revision(tmp_path: Path) -> None:
    async with guest_host(tmp_path, security=STRICT) as guests:
        actor, actors = await start(guests, file(tmp_path, version(2))), guests.host.actors
        for name, data, says in (
            ("older", version(1), "its revision is 1, and 2 runs"),
            ("equal", version(9, rev=2), "its revision is 2, and 2 runs"),
            ("unsigned", ECHO, "not signed"),
            ("altered", version(3) + section(b"", b"x"), "another module"),
            ("expired", version(3, expires=9), "expired"),
            ("by a stranger", version(3, issuer=STRANGER), "does not trust"),
        ):
            before = actor.revision
            with pytest.raises(errors.NotAdmitted, match=says):
                await actors.replace(ACTOR.public, file(tmp_path, data, name))
            assert actor.revision is before
            assert await guests.call(ACTOR.public, b"x") == b"x"
        with pytest.raises(errors.ConfigError, match="another actor"):
            await actors.replace(ACTOR.public, file(tmp_path, version(3, subject=OTHER_ACTOR.public), "other"))
        assert (await actors.replace(ACTOR.public, file(tmp_path, version(2), "same"))).digest == before.digest
        await actors.replace(ACTOR.public, file(tmp_path, version(3), "third"))
        assert actor.revision.claims is not None
        assert actor.revision.claims.rev == 3
        await actors.stop(ACTOR.public)
        await start(guests, file(tmp_path, version(1)))  # a stop and a start are no update


async def test_a_signed_actor_is_not_replaced_by_an_unsigned_image_or_a_stranger_s(tmp_path: Path) -> None:
    """Also where anybody's and unsigned modules run."""
    async with guest_host(tmp_path) as guests:
        actor, actors = await start(guests, file(tmp_path, version(1))), guests.host.actors
        before = actor.revision
        with pytest.raises(errors.NotAdmitted, match="it is not signed, and the revision that runs is"):
            await actors.replace(ACTOR.public, file(tmp_path, ECHO, "unsigned"))
        with pytest.raises(errors.NotAdmitted, match=f"signed by {STRANGER.public}"):
            await actors.replace(ACTOR.public, file(tmp_path, version(5, issuer=STRANGER), "stranger"))
        assert actor.revision is before


async def test_a_greater_revision_that_does_not_start_leaves_the_old_one_serving(tmp_path: Path) -> None:
    async with guest_host(tmp_path, security=STRICT) as guests:
        actor = await start(guests, file(tmp_path, version(1)))
        before = actor.revision
        broken = file(tmp_path, signed(guest_wasm("init_traps"), rev=2), "broken")
        with pytest.raises(errors.LatticeError):
            await guests.host.actors.replace(ACTOR.public, broken)
        assert actor.revision is before
        assert await guests.call(ACTOR.public, b"x") == b"x"


async def test_how_an_image_may_follow_is_told_without_a_change(tmp_path: Path) -> None:
    async with guest_host(tmp_path, security=STRICT) as guests:
        actor, actors = await start(guests, file(tmp_path, version(2))), guests.host.actors
        before = actor.revision
        older, newer = file(tmp_path, version(1), "older"), file(tmp_path, version(3), "newer")
        assert await actors.succession(ACTOR.public, older, back=True) == "restart"
        assert await actors.succession(ACTOR.public, newer, back=True) == "replace"
        with pytest.raises(errors.NotAdmitted):
            await actors.succession(ACTOR.public, older, back=False)
        with pytest.raises(errors.TargetUnknown):
            await actors.succession("nobody", older, back=False)
        assert actor.revision is before


# Keys that are somebody's.


async def test_nobody_takes_an_actor_s_key_without_its_signature(tmp_path: Path) -> None:
    unsigned, other = (
        file(tmp_path, ECHO, "unsigned"),
        file(tmp_path, signed(ECHO, subject=OTHER_ACTOR.public), "other"),
    )
    async with guest_host(tmp_path) as guests:
        for path, says in ((unsigned, "is not signed"), (other, f"is signed for {OTHER_ACTOR.public}")):
            with pytest.raises(errors.NotAdmitted, match=says):
                await start(guests, path, ACTOR.public)
        for public in (ACTOR.public, guests.host.key):
            with pytest.raises(errors.NotAdmitted, match="looks like a public key"):
                await start(guests, unsigned, alias=public)
        await start(guests, file(tmp_path, signed(ECHO)), ACTOR.public)


async def test_nothing_has_the_key_of_a_host(tmp_path: Path) -> None:
    """Its owner may call everything, so whoever had its key could."""
    async with guest_host(tmp_path) as guests:
        own, another = guests.host.key, keys.KeyPair("host", b"h" * 32).public
        for key in (own, another):
            with pytest.raises(errors.NotAdmitted, match="is a public key"):
                await start(guests, file(tmp_path, ECHO), key)
        type_ = guests.host.installed.type("http-server")
        for key in (own, another, ACTOR.public):
            with pytest.raises(errors.ConfigError, match="one of a host or an actor"):
                await guests.host.supervisor.start(key, "http", type_, {"address": "127.0.0.1:0"})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (ECHO, f"it is to run as {ACTOR.public}, and is not signed"),
        (signed(ECHO, subject=OTHER_ACTOR.public), "is signed for"),
        (signed(ECHO) + section(b"", b"x"), "another module"),
        (signed(ECHO), ""),
    ],
    ids=["unsigned", "another's", "altered", "genuine"],
)
def test_a_manifest_that_takes_a_key_is_a_mistake(tmp_path: Path, data: bytes, says: str) -> None:
    file(tmp_path, data)
    text = f"""\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: demo}}
spec:
  components:
    - name: echo
      type: actor
      properties: {{image: file://actor.wasm, id: {ACTOR.public}}}
"""
    application = parse(text, file="lattice.yaml", folder=tmp_path, providers=Installed())
    if not says:
        check_application(application, Installed().type)
        return
    with pytest.raises(errors.ManifestError, match=says) as raised:
        check_application(application, Installed().type)
    assert raised.value.line == 6


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
async def test_what_is_no_file_is_neither_waited_for_nor_read(tmp_path: Path, kind: str) -> None:
    path = {"pipe": tmp_path / "pipe", "device": Path("/dev/zero"), "folder": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(errors.ArtifactUnreadable, match=r"regular file|directory"):
        read_image(path, ActorTrust(), 0.0)
