"""What {{name}} answers. `lattice test` runs this; everything around the actor is in memory."""

from lattice.testing import TestHost

ADA = {"name": "Ada", "age": 36}


async def test_it_says_who_it_is(actor: TestHost) -> None:
    reply = await actor.http("GET", "/")
    assert (reply.status, reply.json()) == (200, {"actor": "{{name}}"})


async def test_a_person_is_stored_and_found_again(actor: TestHost) -> None:
    added = await actor.http("POST", "/people", json=ADA)
    assert (added.status, added.json()) == (201, ADA)
    assert actor.keyvalue.json("people:Ada") == ADA
    found = await actor.http("GET", "/people/Ada")
    assert (found.status, found.json()) == (200, ADA)


async def test_what_does_not_fit_is_refused_by_its_field(actor: TestHost) -> None:
    for body, field in [({"name": "Ada"}, "age"), ({"age": 36}, "name"), ({**ADA, "age": "old"}, "age")]:
        reply = await actor.http("POST", "/people", json=body)
        assert reply.status == 400
        assert field in reply.json()["error"]
    assert (await actor.http("POST", "/people", body="no JSON")).status == 400
    assert len(actor.keyvalue) == 0


async def test_who_is_not_there_is_not_found(actor: TestHost) -> None:
    assert (await actor.http("GET", "/people/Bob")).status == 404
    assert (await actor.http("GET", "/nowhere")).status == 404
