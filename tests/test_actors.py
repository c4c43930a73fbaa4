"""Actors on a host: who may call whom, what is refused at load, replacement under load, the cache of compiled code."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec
import pytest
import wasmtime

from lattice import errors
from lattice.invocation import EntityId, Invocation, new_id
from lattice.links import Link
from tests.support.hosts import GuestHost, answer_with_payload, guest_host, guest_wasm, u32


def relayed(namespace: str, operation: str, payload: bytes, binding: str = "") -> bytes:
    """The payload that makes the guest `relay` call on."""
    return b"\0".join([binding.encode(), namespace.encode(), operation.encode(), payload])


async def test_actors_of_one_application_call_each_other_by_key_and_by_alias(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("relay")
        await guests.start("echo", key="MECHO", alias="the-echo")
        assert await guests.call("relay", relayed("MECHO", "Op", b"by key")) == b"1by key"
        assert await guests.call("relay", relayed("the-echo", "Op", b"by alias")) == b"1by alias"


async def test_across_applications_actors_need_a_link(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("relay", app="one")
        await guests.start("echo", app="two")
        reply = await guests.call("relay", relayed("echo", "Op", b"x"))
        assert reply.startswith(b"0not_linked: relay may not call echo")
        guests.host.router.put_link(Link("relay", "echo", ""))
        assert await guests.call("relay", relayed("echo", "Op", b"x")) == b"1x"
        guests.host.router.delete_link(Link("relay", "echo", ""))
        assert (await guests.call("relay", relayed("echo", "Op", b"x"))).startswith(b"0not_linked: ")


async def test_a_cycle_of_calls_works(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("relay", key="A")
        await guests.start("relay", key="B")
        await guests.start("echo")
        inner = relayed("echo", "Op", b"round")
        there_and_back = relayed("B", "Op", relayed("A", "Op", inner))
        assert await guests.call("A", there_and_back) == b"111round"


@pytest.mark.parametrize("named", ["caller", "target"])
async def test_a_link_for_one_contract_is_no_way_to_speak_as_the_provider_of_another(
    tmp_path: Path, named: str
) -> None:
    async with guest_host(tmp_path) as guests:
        actor = await guests.start("echo", key="B")
        kv = "wasmcloud:keyvalue"
        call = Invocation(
            origin=EntityId("A"),
            contract=kv if named == "caller" else "",
            operation="HttpServer.HandleRequest",
            payload=b"forged",
            id=new_id(),
            deadline=time.monotonic() + 10,
            target=EntityId("B", kv) if named == "target" else None,
        )
        with pytest.raises(errors.NotGranted, match=f"is of wasmcloud:httpserver, and A has a link for {kv}"):
            await actor.handle(call)
        by_provider = msgspec.structs.replace(call, origin=EntityId("http", "wasmcloud:httpserver"))
        assert await actor.handle(by_provider) == b"forged"
        of_its_own = msgspec.structs.replace(call, operation="Shop.Buy")
        assert await actor.handle(of_its_own) == b"forged"


async def test_a_cycle_without_end_is_ended_by_the_depth_limit(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("relay", key="A", depth_max=4)
        message = b"x"
        for _ in range(10):
            message = relayed("A", "Op", message)
        reply = await guests.call("A", message)
        assert reply == b"1111" + b"0call_depth_exceeded: A is called 5 calls deep, over limits.depth"


async def test_a_provider_may_call_only_actors_it_is_linked_to(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("echo")
        guests.offer(answer_with_payload)

        async def call() -> bytes:
            return await guests.host.pipeline(
                Invocation(
                    origin=EntityId("provider-test:host", "test:host", "default"),
                    contract="test:host",
                    operation="Op",
                    payload=b"x",
                    id=new_id(),
                    deadline=time.monotonic() + 5,
                    target=EntityId("echo"),
                )
            )

        with pytest.raises(errors.NotLinked):
            await call()
        guests.host.router.put_link(Link("provider-test:host", "echo", "test:host"))
        assert await call() == b"x"


async def test_calls_and_failures_are_counted(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("echo")
        await guests.start("no_reply")
        await guests.call("echo")
        for _ in range(2):
            with pytest.raises(errors.GuestProtocolError):
                await guests.call("no_reply")
        with pytest.raises(errors.TargetUnknown):
            await guests.call("nobody")
        assert guests.host.metrics.snapshot() == {
            "calls": {"echo": 1, "no_reply": 2},
            "failures": {"no_reply": {"guest_protocol": 2}, "(unresolved)": {"target_unknown": 1}},
            "refused": {},
        }


async def test_an_alias_belongs_to_one_actor(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("echo", alias="one")
        with pytest.raises(errors.ConfigError, match="alias 'one' is taken by echo"):
            await guests.start("relay", alias="one")
        assert [actor.key for actor in guests.host.actors] == ["echo"]


COMPONENT = b"\0asm\x0d\0\x01\0"


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (b"", errors.NotWasm, "magic number"),
        (b"\x7fELF" + bytes(100), errors.NotWasm, "magic number"),
        (guest_wasm("echo")[:-7], errors.NotWasm, "byte"),
        (COMPONENT, errors.UnsupportedGuest, "component"),
        (guest_wasm("no_guest_call"), errors.UnsupportedGuest, "exports neither"),
        (guest_wasm("no_memory"), errors.UnsupportedGuest, "exports no memory"),
        (guest_wasm("unknown_import"), errors.UnsupportedGuest, "imports what this host does not have"),
        (guest_wasm("wrong_signature"), errors.UnsupportedGuest, "__guest_request"),
        (guest_wasm("wrong_guest_call"), errors.UnsupportedGuest, "__guest_call"),
    ],
    ids=[
        "empty",
        "elf",
        "truncated",
        "component",
        "no-guest-call",
        "no-memory",
        "unknown-import",
        "wrong-signature",
        "wrong-guest-call",
    ],
)
async def test_what_cannot_run_is_refused_with_the_reason(
    tmp_path: Path, data: bytes, error: type[errors.LatticeError], reason: str
) -> None:
    path = tmp_path / "actor.wasm"
    path.write_bytes(data)
    async with guest_host(tmp_path) as guests:
        await guests.start("echo")
        with pytest.raises(error, match=reason) as caught:
            await start_file(guests, path)
        assert str(path) in str(caught.value)
        assert await guests.call("echo", b"ok") == b"ok"
        assert guests.host.engine.live_instances == 1


async def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.wasm"
    with path.open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.ArtifactUnreadable, match="larger than"):
            await start_file(guests, path)


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.ArtifactUnreadable, match=r"missing\.wasm"):
            await start_file(guests, tmp_path / "missing.wasm")


async def test_a_new_version_takes_over_under_load_without_one_failed_or_mixed_up_request(tmp_path: Path) -> None:
    versions = []
    for version in ("first!", "second"):
        path = tmp_path / f"{version}.wasm"
        path.write_bytes(versioned(version))
        versions.append(path)
    async with guest_host(tmp_path) as guests:
        guests.offer(answer_later, "actor")
        await start_file(guests, versions[0], key="actor")
        replies: list[bytes] = []
        stop = False

        async def load() -> None:
            while not stop:
                replies.append(await guests.call("actor", b"x"))

        clients = [asyncio.create_task(load()) for _ in range(20)]
        for n in range(20):
            await asyncio.sleep(0.02)
            await guests.host.actors.replace("actor", versions[(n + 1) % 2])
        stop = True
        await asyncio.gather(*clients)
        assert set(replies) == {b"first!", b"second"}
        assert len(replies) > 200
        await asyncio.sleep(0.05)
        actor = guests.host.actors.get("actor")
        assert actor is not None
        assert guests.host.engine.live_instances == actor.revision.pool.live, "the old revisions are gone"


@pytest.mark.parametrize("broken", ["init_traps", "unknown_import", "truncated", "missing"])
async def test_a_broken_new_version_leaves_the_old_one_serving(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "new.wasm"
    if broken == "truncated":
        path.write_bytes(guest_wasm("echo")[:-3])
    elif broken != "missing":
        path.write_bytes(guest_wasm(broken))
    async with guest_host(tmp_path) as guests:
        actor = await guests.start("echo")
        before = actor.revision
        with pytest.raises(errors.LatticeError):
            await guests.host.actors.replace("echo", path)
        assert actor.revision is before
        assert await guests.call("echo", b"x") == b"x"
        assert guests.host.engine.live_instances == 1


async def test_compiled_code_is_cached_and_a_corrupt_entry_compiled_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    assert await starts_from_cache(tmp_path, cache) is False
    assert await starts_from_cache(tmp_path, cache) is True
    (entry,) = cache.glob("*.compiled")
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(data)
    assert await starts_from_cache(tmp_path, cache) is False
    assert "is corrupt, compiling again" in caplog.text
    assert await starts_from_cache(tmp_path, cache) is True
    entry.write_bytes(b"")
    assert await starts_from_cache(tmp_path, cache) is False


async def test_a_foreign_entry_with_a_good_digest_is_compiled_again(tmp_path: Path) -> None:
    import hashlib

    cache = tmp_path / "cache"
    await starts_from_cache(tmp_path, cache)
    (entry,) = cache.glob("*.compiled")
    foreign = b"compiled by something else"
    entry.write_bytes(foreign + hashlib.sha256(foreign).digest())
    assert await starts_from_cache(tmp_path, cache) is False
    assert await starts_from_cache(tmp_path, cache) is True


async def test_a_cache_that_others_may_write_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = tmp_path / "cache"
    assert await starts_from_cache(tmp_path, cache) is False
    os.chmod(cache, 0o777)
    assert await starts_from_cache(tmp_path, cache) is False
    assert "others may write" in caplog.text


async def test_stopping_waits_for_running_calls_and_refuses_new_ones(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        guests.offer(answer_later, "host_calls")
        await guests.start("host_calls")
        running = asyncio.create_task(guests.call("host_calls", u32(1) + b"x"))
        await asyncio.sleep(0)
        draining = asyncio.create_task(guests.host.actors.drain("host_calls", time.monotonic() + 5))
        await asyncio.sleep(0)
        with pytest.raises(errors.Draining):
            await guests.call("host_calls", u32(1) + b"x")
        assert await running == b"x"
        assert await draining is True
        await guests.host.actors.stop("host_calls")
        with pytest.raises(errors.TargetUnknown):
            await guests.call("host_calls", u32(1) + b"x")


def versioned(version: str) -> bytes:
    """An actor that calls the host and then answers with its version."""
    return bytes(
        wasmtime.wat2wasm(f"""(module
          (import "wapc" "__guest_response" (func $response (param i32 i32)))
          (import "wapc" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "defaulttest:hostEcho{version}")
          (func (export "__guest_call") (param i32 i32) (result i32)
            (if (i32.ne (i32.const 1) (call $call (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 9)
                                         (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4)))
              (then (unreachable)))
            (call $response (i32.const 20) (i32.const {len(version)}))
            (i32.const 1)))""")
    )


async def answer_later(invocation: Invocation) -> bytes:
    await asyncio.sleep(0.005)
    return invocation.payload


async def start_file(guests: GuestHost, path: Path, key: str = "actor") -> None:
    from lattice.actors import ActorSpec

    await guests.host.actors.start(ActorSpec(key=key, name=key, image=path))


async def starts_from_cache(folder: Path, cache: Path) -> bool:
    async with guest_host(folder, cache=cache) as guests:
        actor = await guests.start("echo")
        assert await guests.call("echo", b"x") == b"x"
        return actor.revision.from_cache
