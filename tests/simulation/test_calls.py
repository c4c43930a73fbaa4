"""Calls whose message is lost where no connection is: they are asked after, and tried again where that may be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lattice import errors
from lattice.control.manifest.records import Scaling
from lattice.control.state import Wanted
from lattice.links import Link
from lattice.testing import clock, simulated_host
from lattice.testing.load import EDGE
from lattice.testing.network import Weather, now
from lattice.testing.simulated_host import SimulatedHost
from lattice.testing.simulation import Simulation, deployed


def with_hosts(count: int, copies: int) -> Callable[[Callable[[Simulation], Awaitable[None]]], Callable[..., None]]:
    """A lattice of so many hosts with an actor that some of them run, and a provider that calls it."""

    def decorate(test: Callable[[Simulation], Awaitable[None]]) -> Callable[..., None]:
        def run(monkeypatch: pytest.MonkeyPatch) -> None:
            monkeypatch.setattr(simulated_host, "CALL_S", CALL_S.get(test.__name__, simulated_host.CALL_S))

            async def main() -> None:
                simulation = Simulation(count, seed=1)
                await simulation.start()
                wanted = Wanted(
                    key="actor",
                    name="actor",
                    kind="actor",
                    image="file:///a.wasm",
                    application="app",
                    scaling=Scaling(replicas=copies),
                )
                link = Link(source="actor", target=EDGE.key, contract=EDGE.contract)
                through = next(simulation.ready())
                assert await simulation.change("app", deployed("v1", (wanted,), (link,), "deploy"), through)
                await asyncio.sleep(5)
                await test(simulation)
                await simulation.close()

            clock.run(main)

        run.__doc__ = test.__doc__
        return run

    return decorate


CALL_S = {"test_a_call_that_takes_long_is_left_alone": (6.0, 6.0)}


def elsewhere(simulation: Simulation) -> SimulatedHost:
    """A host that does not run the actor."""
    return next(host for host in simulation.ready() if host.executor is not None and not host.executor.actors())


async def lose(simulation: Simulation, for_s: float) -> None:
    simulation.network.weather = Weather(loss=1.0)
    await asyncio.sleep(for_s)
    simulation.network.weather = Weather()


@with_hosts(3, copies=1)
async def test_a_lost_call_is_noticed_and_made_again(simulation: Simulation) -> None:
    began = now()
    losing = asyncio.create_task(lose(simulation, 0.3))
    await asyncio.sleep(0.1)
    assert await elsewhere(simulation).call(EDGE, "actor", 10.0)
    assert 1.0 < now() - began < 4.0
    await losing


@with_hosts(3, copies=1)
async def test_one_that_may_not_be_repeated_fails_soon_and_by_its_name(simulation: Simulation) -> None:
    host = elsewhere(simulation)
    assert host.joined is not None
    losing = asyncio.create_task(lose(simulation, 0.3))
    await asyncio.sleep(0.1)
    began = now()
    call = host.joined.remote.handler(simulated_host.EntityId("actor"))
    with pytest.raises(errors.AnswerLost, match="is not at the call"):
        await call(host.invocation(EDGE, "actor", 10.0))
    assert now() - began < 4.0
    await losing


@with_hosts(3, copies=1)
async def test_a_call_that_takes_long_is_left_alone(simulation: Simulation) -> None:
    began = now()
    assert await elsewhere(simulation).call(EDGE, "actor", 10.0)
    assert now() - began == pytest.approx(6.0, abs=0.1)


@with_hosts(6, copies=2)
async def test_a_copy_near_by_that_drains_does_not_hide_the_others(simulation: Simulation) -> None:
    running = [host for host in simulation.ready() if host.executor is not None and host.executor.actors()]
    assert len(running) == 2
    draining = running[0]
    assert draining.executor is not None
    draining.executor._router.drain("actor")
    for caller in simulation.ready():
        if caller is not draining:
            began = now()
            assert await caller.call(EDGE, "actor", 10.0) == running[1].key.encode()
            assert now() - began < 1.0
