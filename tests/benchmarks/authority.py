"""What authority costs: `authority.py` prints a row for each figure as JSON.

A decision that is remembered, one that is not, on a host with eleven rules, between a signed actor and a provider; and
a call of an actor to a provider on the same host with authority and without, alternating in one run.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from lattice.actors import ActorSpec  # noqa: E402  # needs the path above
from lattice.host import Host, HostSettings  # noqa: E402
from lattice.invocation import EntityId, Invocation, new_id  # noqa: E402
from lattice.links import Link  # noqa: E402
from lattice.pipeline import allow_linked  # noqa: E402
from lattice.security import rules  # noqa: E402
from lattice.security.settings import ActorTrust, SecuritySettings  # noqa: E402
from tests.support.hosts import CONTRACT, answer_with_payload, guest_wasm  # noqa: E402
from tests.support.signed import ACTOR, signed  # noqa: E402

ROUNDS, CALLS, DECISIONS = 15, 3_000, 20_000
PAYLOAD = b"x" * 100
RULES: list[dict[str, Any]] = [
    *({"effect": "deny", "from": {"application": f"app{n}", "labels": {"cloud": "east"}}} for n in range(10)),
    {"effect": "deny", "to": {"name": "billing-*"}, "operations": ["Billing.Set", "Billing.Del*"]},
]


def row(what: str, microseconds: float, most: float, more: str = "") -> dict[str, Any]:
    value = f"{microseconds:.2f} us{more}"
    return {"what": what, "value": value, "at most": f"{most:g} us", "held": microseconds <= most}


def decisions(host: Host) -> tuple[float, float]:
    """Microseconds of one that is remembered, and of one that is not."""
    invocation = Invocation(EntityId(ACTOR.public), CONTRACT, "Test.Op", b"", new_id(), time.monotonic() + 600)
    route = host.router.resolve(invocation)
    authority = host.guard.authority
    cached, uncached = [], []
    for _ in range(ROUNDS):
        assert authority.leaving(invocation, route) is None
        began = time.process_time()
        for _ in range(DECISIONS):
            authority.leaving(invocation, route)
        middle = time.process_time()
        for _ in range(DECISIONS // 10):
            authority._permits.clear()
            authority.leaving(invocation, route)
        ended = time.process_time()
        cached.append((middle - began) / DECISIONS * 1e6)
        uncached.append((ended - middle) / (DECISIONS // 10) * 1e6)
    return statistics.median(cached), statistics.median(uncached)


async def calls(host: Host) -> tuple[list[float], list[float]]:
    """Microseconds of a call into an actor that calls a provider, with authority and without."""
    found: dict[bool, list[float]] = {True: [], False: []}
    asked = host.guard.authority.leaving
    origin, target = EntityId(host.key), EntityId(ACTOR.public)
    for round_ in range(ROUNDS + 1):
        for with_authority in (True, False):
            host.pipeline._authorise = asked if with_authority else allow_linked
            began = time.process_time()
            for _ in range(CALLS):
                deadline = time.monotonic() + 10
                await host.pipeline(Invocation(origin, "", "Op", PAYLOAD, new_id(), deadline, "default", target))
            if round_:
                found[with_authority].append((time.process_time() - began) / CALLS * 1e6)
    return found[True], found[False]


async def measure() -> list[dict[str, Any]]:
    policy = rules.read(rules.Table(rules=RULES))
    security = SecuritySettings(actors=ActorTrust(unsigned=False), policy=policy)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = folder / "caller.wasm"
        image.write_bytes(signed(guest_wasm("host_call_once"), caps=(CONTRACT,)))
        async with Host(HostSettings(data=folder / "data", security=security)) as host:
            host.router.register("store", answer_with_payload, contract=CONTRACT)
            await host.actors.start(ActorSpec(key="", name="caller", image=image, application="bench"))
            host.router.put_link(Link(ACTOR.public, "store", CONTRACT))
            cached, uncached = decisions(host)
            with_, without = await calls(host)
    cost = statistics.median(a - b for a, b in zip(with_, without, strict=True))
    ratio = statistics.median(a / b for a, b in zip(with_, without, strict=True))
    return [
        row("decision about a call, remembered", cached, 1),
        row("decision about a call, eleven rules", uncached, 10),
        row(
            "authority in a call to an actor that calls a provider",
            cost,
            3,
            f" ({ratio:.2f} x: {statistics.median(with_):.1f} us / {statistics.median(without):.1f} us)",
        ),
    ]


if __name__ == "__main__":
    for found in asyncio.run(measure()):
        print(json.dumps(found))
