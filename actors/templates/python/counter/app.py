"""Counts the requests to each path."""

from nanolattice import Request, http, keyvalue


@http.get("/{path...}")
def count(request: Request) -> dict[str, int]:
    return {"count": keyvalue.increment(f"count:{request.path}")}
