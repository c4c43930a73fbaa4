"""Takes texts as jobs, counts their words, keeps and publishes the results."""

from nanolattice import Message, Request, blobstore, http, keyvalue, messaging, not_found, on_message


@on_message("jobs.*")
def work(message: Message) -> None:
    id = message.subject.removeprefix("jobs.")
    words = str(len(message.text.split()))
    keyvalue.set(f"words:{id}", words)
    results = blobstore.container("results")
    results.create()
    results.put(id, f"{words} words", "text/plain")
    messaging.publish(f"done.{id}", words)


@http.post("/jobs/{id}", status=202)
def begin(id: str, request: Request) -> dict[str, str]:
    messaging.publish(f"jobs.{id}", request.body)
    return {"id": id}


@http.get("/jobs/{id}")
def result(id: str) -> dict[str, str | int]:
    words = keyvalue.get(f"words:{id}")
    if words is None:
        raise not_found(f"no job {id} is done")
    return {"id": id, "words": int(words)}
