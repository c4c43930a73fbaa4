"""What {{name}} does with jobs. `lattice test` runs this; everything around the actor is in memory."""

from lattice.testing import TestHost


async def test_a_job_is_done_and_told(actor: TestHost) -> None:
    await actor.publish("jobs.one", "some words of mine")
    assert actor.keyvalue["words:one"] == "4"
    assert actor.blobs.text("results", "one") == "4 words"
    assert [(message.subject, message.text) for message in actor.published] == [("done.one", "4")]


async def test_a_text_without_words_is_a_job_too(actor: TestHost) -> None:
    await actor.publish("jobs.empty", " \n ")
    assert actor.keyvalue["words:empty"] == "0"


async def test_a_job_that_was_posted_can_be_asked_for(actor: TestHost) -> None:
    posted = await actor.http("POST", "/jobs/two", body="two words")
    assert (posted.status, posted.json()) == (202, {"id": "two"})
    done = await actor.http("GET", "/jobs/two")
    assert (done.status, done.json()) == (200, {"id": "two", "words": 2})


async def test_a_job_that_nobody_did_is_not_found(actor: TestHost) -> None:
    assert (await actor.http("GET", "/jobs/three")).status == 404
    assert (await actor.http("GET", "/nowhere")).status == 404
