"""What a host does with commands that come late, twice, in another order, or for what is not there any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lattice import errors
from lattice.control import commands
from lattice.control.commands import EPOCH, ORDER, REVISION, Commands
from lattice.control.messages import ScaleComponent, StartProvider, StopProvider, UpdateComponent
from lattice.testing import clock
from lattice.testing.simulated_host import SimulatedExecutor, SimulatedHost
from lattice.testing.simulation import Simulation


class Told:
    """A host that is told things, alone in its lattice."""

    def __init__(self, host: SimulatedHost) -> None:
        assert host.joined is not None
        assert host.executor is not None
        self.host = host
        self.commands: Commands = host.joined.commands
        self.executor: SimulatedExecutor = host.executor

    def scale(self, count: int, epoch: int, order: int, **more: str) -> None:
        annotations = {EPOCH: str(epoch), ORDER: str(order), **more}
        self.commands.scale(
            ScaleComponent(component_id="a", component_ref="file:///a.wasm", count=count, annotations=annotations)
        )

    def counts(self) -> dict[str, int]:
        return {actor.key: actor.count for actor in self.executor.actors()}


def alone(test: Callable[[Told], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            simulation = Simulation(1, seed=1)
            await simulation.start()
            await test(Told(next(iter(simulation.hosts.values()))))
            await simulation.close()

        clock.run(main)

    run.__doc__ = test.__doc__
    return run


@alone
async def test_of_two_commands_the_later_one_counts_whichever_comes_first(told: Told) -> None:
    told.scale(3, epoch=1, order=2)
    with pytest.raises(errors.Conflict, match="later command"):
        told.scale(1, epoch=1, order=1)
    await asyncio.sleep(2)
    assert told.counts() == {"a": 3}
    told.scale(3, epoch=1, order=2)  # delivered twice
    told.scale(2, epoch=1, order=3)
    await asyncio.sleep(2)
    assert told.counts() == {"a": 2}


@alone
async def test_another_reconciler_counts_anew(told: Told) -> None:
    told.scale(3, epoch=5, order=90)
    told.scale(1, epoch=6, order=1)
    with pytest.raises(errors.Conflict, match="epoch 5"):
        told.scale(5, epoch=5, order=91)
    await asyncio.sleep(2)
    assert told.counts() == {"a": 1}


@alone
async def test_tools_need_no_numbers(told: Told) -> None:
    told.scale(3, epoch=4, order=4)
    told.commands.scale(ScaleComponent(component_id="a", count=7))
    await asyncio.sleep(2)
    assert told.counts() == {"a": 7}


@alone
async def test_numbers_of_strangers_are_refused_by_name(told: Told) -> None:
    for name in (EPOCH, ORDER):
        for text in ("one", "-1", "1" * 40, "¹"):
            with pytest.raises(errors.MalformedMessage, match=name):
                told.scale(1, 1, 1, **{name: text})
    assert told.counts() == {}


@alone
async def test_only_so_many_keys_are_remembered(told: Told) -> None:
    told.scale(1, epoch=1, order=1)
    commands.ORDERS_MAX, before = 2, commands.ORDERS_MAX
    try:
        for number in range(5):
            told.commands.scale(
                ScaleComponent(
                    component_id=f"k{number}",
                    component_ref="file:///a.wasm",
                    count=1,
                    annotations={EPOCH: "1", ORDER: "9"},
                )
            )
        assert len(told.commands._orders) == 2
    finally:
        commands.ORDERS_MAX = before
    await asyncio.sleep(3)
    assert len(told.counts()) == 6


@alone
async def test_an_update_of_what_is_not_there_starts_nothing(told: Told) -> None:
    with pytest.raises(errors.TargetUnknown):
        told.commands.update(UpdateComponent(component_id="p", new_component_ref="builtin://other"))
    told.commands.start_provider(StartProvider(provider_id="p", provider_ref="builtin://p"))
    await asyncio.sleep(2)
    told.commands.stop_provider(StopProvider(provider_id="p"))
    told.commands.update(UpdateComponent(component_id="p", new_component_ref="builtin://other"))
    await asyncio.sleep(2)
    assert (told.executor.actors(), told.executor.providers()) == ([], [])


@alone
async def test_who_waits_for_news_without_a_store_keeps_no_processor_busy(told: Told) -> None:
    """The loop in virtual time would tell."""
    assert told.host.transport is not None
    told.host.transport.isolate()
    await asyncio.sleep(10)
    assert told.host.transport.state == "disconnected"
    told.scale(1, 1, 1, **{REVISION: "1000"})
    await asyncio.sleep(20)
    assert told.counts() == {}, "what it was made from is not known: it would be started without its configuration"
    told.host.transport.restore()


@alone
async def test_a_command_of_a_state_that_did_not_come_starts_nothing(told: Told) -> None:
    told.scale(1, 1, 1, **{REVISION: "1000"})
    await asyncio.sleep(20)
    told.scale(1, 1, 2, **{REVISION: "0"})
    await asyncio.sleep(20)
    assert told.counts() == {}, "nobody wants it any more"
