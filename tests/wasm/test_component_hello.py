"""The committed component in C, as its source makes it, on a host of four small classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.config import EngineSettings, Limits
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.component.instantiate import ComponentType
from lattice.wasm.engine import Engine
from scripts import build_components

ROOT = Path(__file__).resolve().parents[2]
HELLO = ROOT / "actors" / "hello-component"
TYPES, STREAMS = "wasi:http/types", "wasi:io/streams"


class Response:
    """The request, fields, response, body and stream of one answer, and what was done with them in order."""

    def __init__(self, *, broken: bool = False) -> None:
        self.done: list[Any] = []
        self._broken = broken

    def function(self, interface: str, name: str) -> Callable[..., Any] | None:
        async def write(_stream: object, data: bytes) -> Any:
            self.done.append(data)
            return Ok()

        found: dict[tuple[str, str], Callable[..., Any]] = {
            (TYPES, "[constructor]fields"): lambda: "fields",
            (TYPES, "[method]fields.append"): lambda *field: self.done.append(field) or Ok(),
            (TYPES, "[constructor]outgoing-response"): lambda fields: f"response with {fields}",
            (TYPES, "[method]outgoing-response.body"): lambda _response: Err() if self._broken else Ok("body"),
            (TYPES, "[static]response-outparam.set"): lambda *given: self.done.append(given),
            (TYPES, "[method]outgoing-body.write"): lambda _body: Ok("stream"),
            (TYPES, "[static]outgoing-body.finish"): lambda *given: (
                self.done.append(given) or Err(("DNS-error", ("a reason", 7)))
            ),
            (STREAMS, "[method]output-stream.blocking-write-and-flush"): write,
        }
        return found.get((interface, name))

    def resource(self, interface: str, name: str) -> bool:
        return True

    def drop(self, interface: str, name: str, resource: object) -> None:
        self.done.append((name, resource))


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(EngineSettings(instances_max=100))
    yield engine
    assert engine.live_instances == 0
    engine.close()


async def test_it_says_hello_and_takes_any_error(engine: Engine) -> None:
    component = ComponentType.load(engine, (HELLO / "hello-component.wasm").read_bytes())
    response = Response()
    instance = await component.instantiate(response, Limits())
    await instance.call("wasi:http/incoming-handler", "handle", "request", "outparam")
    assert response.done == [
        ("incoming-request", "request"),
        ("fields", "content-type", b"text/plain"),
        ("outparam", Ok("response with fields")),
        b"hello\n",
        ("output-stream", "stream"),
        ("body", None),
    ]
    instance.close()
    component.close()


async def test_its_abort_is_a_trap(engine: Engine) -> None:
    component = ComponentType.load(engine, (HELLO / "hello-component.wasm").read_bytes())
    instance = await component.instantiate(Response(broken=True), Limits())
    with pytest.raises(errors.GuestTrapped, match="unreachable"):
        await instance.call("wasi:http/incoming-handler", "handle", "request", "outparam")
    instance.close()
    component.close()


COMPONENTS = build_components.components()


@pytest.mark.parametrize("name", COMPONENTS)
def test_each_committed_component_is_what_its_digest_says(name: str) -> None:
    build_components.check(COMPONENTS[name], rebuild=False)


@pytest.mark.skipif(
    not (build_components.modules_folder() / "@bytecodealliance" / "jco").is_dir(),
    reason="jco is not here: npm ci --prefix actors",
)
@pytest.mark.parametrize("name", COMPONENTS)
def test_each_committed_component_is_what_its_source_makes(name: str) -> None:
    build_components.check(COMPONENTS[name], rebuild=True)
