"""What {{name}} counts. `lattice test` runs this; everything around the actor is in memory."""

from lattice.testing import TestHost


async def test_requests_are_counted(actor: TestHost) -> None:
    for number in (1, 2, 3):
        reply = await actor.http("GET", "/apples")
        assert (reply.status, reply.json()) == (200, {"count": number})


async def test_each_path_has_a_count_of_its_own(actor: TestHost) -> None:
    await actor.http("GET", "/apples")
    assert (await actor.http("GET", "/pears")).json() == {"count": 1}


async def test_the_count_is_kept_outside_the_actor(actor: TestHost) -> None:
    actor.keyvalue["count:/apples"] = 41
    assert (await actor.http("GET", "/apples")).json() == {"count": 42}
    assert actor.keyvalue["count:/apples"] == "42"


async def test_other_methods_do_not_count(actor: TestHost) -> None:
    assert (await actor.http("POST", "/apples")).status == 405
    assert len(actor.keyvalue) == 0
