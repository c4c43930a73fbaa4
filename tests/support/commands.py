"""The WASI commands of actors/ on a real host, asked as an HTTP server asks them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lattice import wire
from lattice.actors import Actor, ActorSpec
from lattice.config import Limits, Surroundings, Volume
from lattice.contracts import httpserver
from lattice.contracts.httpserver import HttpRequest, HttpResponse
from tests.support.hosts import GuestHost

ACTORS = Path(__file__).parents[2] / "actors"
HELLO = ACTORS / "hello-wagi" / "hello-wagi.wasm"
PROBE = ACTORS / "probe-wagi" / "probe-wagi.wasm"
OPERATION = httpserver.HANDLE_REQUEST.name

_decode = wire.decoder(HttpResponse, "the response")


async def start(
    guests: GuestHost, image: Path = PROBE, *, key: str = "probe", around: Surroundings | None = None, **limits: Any
) -> Actor:
    spec = ActorSpec(key=key, name=key, image=image, limits=Limits(**limits), surroundings=around or Surroundings())
    return await guests.host.actors.start(spec)


def granted(folder: Path, *, writable: bool = False, guest: str = "/data") -> Surroundings:
    return Surroundings(volumes=(Volume(host=str(folder), guest=guest, writable=writable),))


def request(query: str = "", body: bytes = b"", *, path: str = "/", method: str = "GET", **header: str) -> bytes:
    headers = {name.replace("_", "-"): [value] for name, value in header.items()}
    return wire.encode(HttpRequest(method=method, path=path, query_string=query, header=headers, body=body))


async def ask(
    guests: GuestHost, query: str = "", body: bytes = b"", *, key: str = "probe", **said: Any
) -> HttpResponse:
    timeout_s = said.pop("timeout_s", 10.0)
    reply = await guests.call(key, request(query, body, **said), operation=OPERATION, timeout_s=timeout_s)
    response: HttpResponse = _decode(reply)
    return response


async def text(guests: GuestHost, *words: str, key: str = "probe") -> str:
    """What the probe prints for an action and what it takes."""
    response = await ask(guests, "&".join(words), key=key)
    assert response.status_code == 200
    return (response.body or b"").decode()


def environment(printed: bytes | None) -> dict[str, str]:
    """The variables that the probe printed."""
    found = {}
    for line in (printed or b"").decode().splitlines():
        name, _, value = line.partition("=")
        found[name] = value
    return found
