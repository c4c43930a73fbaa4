"""What {{name}} does in time. `lattice test` runs this: minutes pass when a test says so, and take no time."""

from lattice.testing import TestHost


async def test_nothing_has_happened_at_first(actor: TestHost) -> None:
    reply = await actor.http("GET", "/")
    assert (reply.status, reply.json()) == (200, {"ticks": 0, "last": 0})


async def test_ticks_are_counted(actor: TestHost) -> None:
    await actor.tick()
    await actor.tick()
    assert (await actor.http("GET", "/")).json()["ticks"] == 2
    assert actor.keyvalue["ticks"] == "2"


async def test_it_ticks_every_five_seconds(actor: TestHost) -> None:
    await actor.clock.advance(60)
    reply = (await actor.http("GET", "/")).json()
    assert reply["ticks"] == 12
    assert actor.clock.now * 1000 - reply["last"] < 5000


async def test_there_is_nothing_else(actor: TestHost) -> None:
    assert (await actor.http("GET", "/nowhere")).status == 404
