"""Interfaces of components' own: any plain value crosses from one to the other, and what cannot is told by its name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors, wire
from lattice.actors import ActorSpec
from lattice.config import EngineSettings, Limits
from lattice.contracts.interfaces import names_interface, split
from lattice.invocation import EntityId, Invocation
from lattice.wasm import components, own_interfaces
from lattice.wasm.component import types
from lattice.wasm.component.messages import Signature
from lattice.wasm.component.types import FunctionType, List, Primitive, ValueType
from lattice.wasm.engine import Engine
from lattice.wasm.guest import ActorContext
from tests.support.components import echo_component, same, value_types, values, wasm
from tests.support.hosts import guest_host

COMPONENTS = Path(__file__).parent.parent / "guests" / "components"
ECHO, RELAY = "test:types/echo", "test:types/relay"
U32, STRING = Primitive("u32"), Primitive("string")
SOME = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

RESOURCES = """(component
  (core module $m (func (export "f") (result i32) i32.const 1) (func (export "g") (result i32) i32.const 7))
  (core instance $m (instantiate $m))
  (type $r (resource (rep i32)))
  (func $make (result (own $r)) (canon lift (core func $m "f")))
  (func $get (result u32) (canon lift (core func $m "g")))
  (instance $own (export "r" (type $r)) (export "make" (func $make)) {more})
  (export "test:res/things@1.0.0" (instance $own)))"""
USES_RESOURCES = """(component
  (import "test:res/things" (instance $h (export "r" (type $r (sub resource)))
    (export "make" (func (result (own $r))))))
  (core func $make (canon lower (func $h "make")))
  (core module $m (import "h" "make" (func $make (result i32))) (func (export "run") (result i32) (call $make)))
  (core instance $m (instantiate $m (with "h" (instance (export "make" (func $make))))))
  (func $run (result u32) (canon lift (core func $m "run")))
  (instance $own (export "run" (func $run)))
  (export "test:res/user" (instance $own)))"""
TWO_VERSIONS = """(component
  (import "{interface}@0.1.0" (instance $a (export "f" (func (param "x" u32) (result u32)))))
  (import "{interface}@0.2.0" (instance $b (export "f" (func (param "x" {second}) (result u32)))))
  (core func $a (canon lower (func $a "f")))
  (core func $b (canon lower (func $b "f")))
  (core module $m
    (import "h" "a" (func $a (param i32) (result i32)))
    (import "h" "b" (func $b (param i32) (result i32)))
    (func (export "run") (result i32) (call $b (call $a (i32.const 1)))))
  (core instance $m (instantiate $m (with "h" (instance (export "a" (func $a)) (export "b" (func $b))))))
  (func $run (result u32) (canon lift (core func $m "run")))
  (instance $own (export "run" (func $run)))
  (export "test:two/run" (instance $own)))"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(EngineSettings(instances_max=100))
    yield engine
    engine.close()


async def echo(invocation: Invocation) -> bytes:
    """Another actor, which answers with its argument."""
    assert (invocation.contract, invocation.operation) == (ECHO, "f"), invocation
    (value,) = wire.decode_any(invocation.payload)
    return wire.encode(value)


def refusing(error: errors.CallError) -> Callable[[Invocation], Awaitable[bytes]]:
    async def refuse(_invocation: Invocation) -> bytes:
        raise error

    return refuse


def answering(answer: Any) -> Callable[[Invocation], Awaitable[bytes]]:
    async def give(_invocation: Invocation) -> bytes:
        return wire.encode(answer)

    return give


async def ask(
    engine: Engine,
    data: bytes,
    operation: str,
    payload: bytes,
    *,
    contract: str = "",
    others: Callable[[Invocation], Awaitable[bytes]] = echo,
    limits: Limits | None = None,
) -> bytes:
    """One call of an actor, with `others` at the other end of all its links."""
    component, _ = components.load(engine, data, None)
    guest = components.guest(component, ActorContext("actor", others, limits or Limits()))
    deadline = time.monotonic() + 20
    try:
        instance = await guest.instantiate(deadline)
        try:
            invocation = Invocation(EntityId("caller"), contract, operation, payload, "1", deadline)
            return await instance.serve(invocation, deadline)
        finally:
            instance.close()
    finally:
        guest.close()


def relay(type_: ValueType) -> bytes:
    return echo_component(type_, imported=f"{ECHO}@0.2.0", exported=f"{RELAY}@0.1.0")


async def relayed(engine: Engine, type_: ValueType, message: Any, **more: Any) -> Any:
    payload = wire.encode([message])
    return wire.decode_any(await ask(engine, relay(type_), f"{RELAY}.run", payload, **more))


@given(st.data())
@SOME
def test_a_value_of_any_type_comes_in_goes_on_and_comes_back(engine: Engine, data: st.DataObject) -> None:
    type_ = data.draw(value_types())
    value = data.draw(values(type_))
    signature = Signature("f", FunctionType(("v",), (type_,), type_))
    reply = asyncio.run(ask(engine, relay(type_), f"{RELAY}.run", signature.write_arguments([value])))
    assert same(signature.read_result(reply), value)


@pytest.mark.parametrize(
    ("contract", "operation"),
    [
        (RELAY, "run"),
        (f"{RELAY}@0.1.0", "run"),
        ("", f"{RELAY}.run"),
        ("", f"{RELAY}@9.9.9.run"),
        ("alias", f"{RELAY}.run"),
    ],
)
async def test_a_function_is_named_by_contract_and_operation_or_by_the_operation_alone(
    engine: Engine, contract: str, operation: str
) -> None:
    reply = await ask(engine, relay(U32), operation, wire.encode([5]), contract=contract)
    assert wire.decode_any(reply) == 5


@pytest.mark.parametrize(
    ("contract", "operation", "told", "remedy"),
    [
        (RELAY, "walk", "actor has no function 'walk' in test:types/relay", "it has run"),
        ("", f"{RELAY}.walk", "actor has no function 'walk'", "it has run"),
        ("test:types/other", "run", "actor does not export test:types/other", f"it exports {RELAY}"),
        ("", "test:types/other.run", "actor does not export test:types/other", f"it exports {RELAY}"),
        (
            "",
            "run",
            "is a component and has no operation 'run'",
            "functions that they export as in ns:pkg/iface.function",
        ),
        ("", "a/b.run", "has no operation 'a/b.run'", "components answer"),
        ("wasi:cli/run", "run", "does not export wasi:cli/run", ""),
    ],
)
async def test_what_is_not_exported_is_told_with_what_is(
    engine: Engine, contract: str, operation: str, told: str, remedy: str
) -> None:
    with pytest.raises(errors.OperationUnknown, match=told) as raised:
        await ask(engine, relay(U32), operation, wire.encode([5]), contract=contract)
    assert remedy in raised.value.remedy


@pytest.mark.parametrize("contract", ["test:types/other", "test:types/other@0.1.0", "wasmcloud:keyvalue"])
async def test_a_call_along_a_link_reaches_no_other_interface_than_that_of_the_link(
    engine: Engine, contract: str
) -> None:
    """Claims and links were asked about the contract, and the operation is what the caller likes."""
    with pytest.raises(errors.OperationUnknown, match=rf"{RELAY}\.run is no operation of {contract}"):
        await ask(engine, relay(U32), f"{RELAY}.run", wire.encode([5]), contract=contract)
    reply = await ask(engine, relay(U32), f"{RELAY}.run", wire.encode([5]), contract=f"{RELAY}@0.1.0")
    assert wire.decode_any(reply) == 5


async def test_arguments_that_do_not_fit_never_reach_the_guest(engine: Engine) -> None:
    with pytest.raises(errors.MalformedMessage, match=r"test:types/relay\.run: argument 'v': a u32 cannot be read"):
        await relayed(engine, U32, "five", others=refusing(errors.CallError("it was called")))


async def test_an_answer_that_does_not_fit_ends_the_guest_and_says_where(engine: Engine) -> None:
    """The other end has another type for the same function."""
    with pytest.raises(errors.GuestTrapped, match=r"result of test:types/echo\.f .* imported with: item 1: a string"):
        await relayed(engine, List(types.option(STRING)), ["a"], others=answering(["a", 1]))


TEXTS = types.result(U32, STRING)


async def test_a_failed_call_is_the_error_of_a_function_that_fails_with_a_text(engine: Engine) -> None:
    for error in (errors.NotLinked("no link"), errors.DeadlineExceeded("too late"), errors.ProviderError("broken")):
        found = await relayed(engine, TEXTS, {"ok": 1}, others=refusing(error))
        assert found == {"err": f"{error.code}: {error.message}"}
    (text,) = (await relayed(engine, TEXTS, {"ok": 1}, others=answering({"ok": "one"}))).values()
    assert text.startswith("malformed_message: the result of test:types/echo.f does not fit")


@pytest.mark.parametrize("type_", [U32, types.result(U32, U32), types.result(U32, None)])
async def test_a_failed_call_ends_a_guest_that_has_no_place_for_it(engine: Engine, type_: ValueType) -> None:
    message = 1 if type_ is U32 else {"ok": 1}
    with pytest.raises(errors.GuestTrapped, match=r"the call of test:types/echo\.f failed: not_linked: no link"):
        await relayed(engine, type_, message, others=refusing(errors.NotLinked("no link")))


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (errors.Overloaded("full"), errors.Overloaded),
        (errors.ProviderUnavailable("down"), errors.ProviderUnavailable),
        (errors.Unreachable("nobody"), errors.AnswerLost),
        (errors.Denied("no"), errors.GuestTrapped),
    ],
)
async def test_what_is_over_soon_stays_what_it_is(
    engine: Engine, raised: errors.CallError, seen: type[errors.CallError]
) -> None:
    with pytest.raises(errors.CallError) as caught:
        await relayed(engine, U32, 1, others=refusing(raised))
    assert type(caught.value) is seen
    assert raised.message in caught.value.message


async def test_calls_and_replies_over_the_limit_of_a_payload_are_refused(engine: Engine) -> None:
    small = Limits(payload_bytes_max=1000)
    octets = List(Primitive("u8"))
    assert await relayed(engine, octets, bytes(900), limits=small) == bytes(900)
    with pytest.raises(errors.GuestTrapped, match="a host call of 2004 bytes is over"):
        await relayed(engine, octets, bytes(2000), limits=small)
    with pytest.raises(errors.GuestTrapped, match="the reply to a host call of 2003 bytes is over"):
        await relayed(engine, octets, b"", limits=small, others=answering(bytes(2000)))
    with pytest.raises(errors.PayloadTooLarge, match="a reply of 4503 bytes is over"):
        # Whole numbers, a byte each, which come back as floats of nine.
        await relayed(engine, List(Primitive("f64")), [], limits=small, others=answering([1] * 500))


async def test_a_provider_may_answer_what_a_component_imports(tmp_path: Path) -> None:
    image = tmp_path / "relay.wasm"
    image.write_bytes(relay(U32))
    async with guest_host(tmp_path) as guests:
        await guests.host.actors.start(ActorSpec(key="relay", name="relay", image=image, application="test"))
        guests.offer(echo, "relay", contract=ECHO)
        assert await guests.call("relay", wire.encode([5]), operation=f"{RELAY}.run") == wire.encode(5)


async def test_large_messages_cross_too(engine: Engine) -> None:
    """Larger than what is read without a thread; as large as the memory that these guests have."""
    assert own_interfaces.INLINE_BYTES_MAX < 20_000
    data, texts = bytes(range(200)) * 100, [f"text {n}" for n in range(3000)]
    assert await relayed(engine, List(Primitive("u8")), data) == data
    assert await relayed(engine, List(STRING), texts) == texts
    with pytest.raises(errors.PayloadTooLarge, match="more than 20000 values"):
        await relayed(engine, List(types.option(U32)), [None] * 20_001)
    with pytest.raises(
        errors.GuestTrapped, match=r"does not fit the type it is imported with: a list<string> .*\$\[1\]"
    ):
        await relayed(engine, List(STRING), [], others=answering(["x" * 20_000, 1]))


async def test_functions_with_resources_stay_in_their_component(engine: Engine) -> None:
    data = wasm(RESOURCES.format(more='(export "get" (func $get))'))
    assert await ask(engine, data, "test:res/things.get", b"") == wire.encode(7)
    with pytest.raises(errors.OperationUnknown, match=r"test:res/things\.make of actor takes or gives resources"):
        await ask(engine, data, "test:res/things.make", b"")
    with pytest.raises(errors.GuestTrapped, match=r"called test:res/things\.make, which takes or gives resources"):
        await ask(engine, wasm(USES_RESOURCES), "test:res/user.run", b"", others=answering(1))


def test_a_component_of_which_nothing_can_be_called_is_refused_at_load(engine: Engine) -> None:
    for text in (RESOURCES.format(more=""), "(component)"):
        with pytest.raises(errors.UnsupportedGuest, match=r"can be called: neither .* nor an interface"):
            components.load(engine, wasm(text), None)


async def test_versions_of_an_interface_are_one_if_their_types_are(engine: Engine) -> None:
    async def next_(invocation: Invocation) -> bytes:
        assert (invocation.contract, invocation.operation) == ("test:two/f", "f")
        return wire.encode(wire.decode_any(invocation.payload)[0] + 1)

    same_types = wasm(TWO_VERSIONS.format(interface="test:two/f", second="u32"))
    assert wire.decode_any(await ask(engine, same_types, "test:two/run.run", b"", others=next_)) == 3
    others = wasm(TWO_VERSIONS.format(interface="test:two/f", second="s32"))
    with pytest.raises(errors.GuestTrapped, match=r"imports test:two/f\.f in two versions with different types"):
        await ask(engine, others, "test:two/run.run", b"", others=next_)


async def test_an_interface_of_wasi_is_nobody_elses(engine: Engine) -> None:
    data = wasm(TWO_VERSIONS.format(interface="wasi:other/thing", second="u32"))
    with pytest.raises(errors.GuestTrapped, match="wasi:other/thing#f, which this host does not have"):
        await ask(engine, data, "test:two/run.run", b"", others=answering(1))


async def test_what_answers_anything_answers_what_is_not_exported_beside_it(engine: Engine) -> None:
    anything = (COMPONENTS / "passes_on.wat").read_text().rstrip().removesuffix(")")
    data = wasm(anything + """
      (core module $seven (func (export "f") (result i32) (i32.const 7)))
      (core instance $seven (instantiate $seven))
      (func $f (result u32) (canon lift (core func $seven "f")))
      (instance $own (export "f" (func $f)))
      (export "test:beside/own@1.0.0" (instance $own)))""")  # fmt: skip

    async def reverse(invocation: Invocation) -> bytes:
        return invocation.operation.encode() + invocation.payload[::-1]

    for contract, operation in (("test:beside/own", "f"), ("", "test:beside/own.f")):
        assert await ask(engine, data, operation, b"", contract=contract, others=reverse) == wire.encode(7)
    for operation in ("test:beside/own.g", "test:other/own.f", "a/b", "Any.Thing"):
        assert await ask(engine, data, operation, b"ab", others=reverse) == operation.encode() + b"ba"


@given(st.text(max_size=60) | st.from_regex(r"[a-z:/@.]{0,30}", fullmatch=True))
def test_any_operation_names_a_function_of_an_interface_or_does_not(operation: str) -> None:
    found = split(operation)
    if found is not None:
        interface, function = found
        assert names_interface(interface)
        assert function
        assert "." not in function
        assert operation.startswith(interface)
        assert operation.endswith(f".{function}")


def test_long_lists_of_names_are_told_in_part(engine: Engine) -> None:
    names = [f"f{n}" for n in range(25)]
    functions = "\n".join(f'(func ${name} (canon lift (core func $m "f")))' for name in names)
    exported = " ".join(f'(export "{name}" (func ${name}))' for name in names)
    data = wasm(f"""(component (core module $m (func (export "f"))) (core instance $m (instantiate $m))
      {functions} (instance $own {exported}) (export "test:many/f" (instance $own)))""")
    assert asyncio.run(ask(engine, data, "test:many/f.f3", b"")) == b""
    with pytest.raises(errors.OperationUnknown) as raised:
        asyncio.run(ask(engine, data, "test:many/f.f99", b""))
    assert raised.value.remedy.endswith(f"and {25 - own_interfaces.NAMES_TOLD_MAX} more")
