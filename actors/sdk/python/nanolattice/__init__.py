"""Actors in Python. An actor is a file of functions that say what they answer:

    from dataclasses import dataclass
    from nanolattice import http, keyvalue

    @dataclass
    class Person:
        name: str
        age: int

    @http.post("/people", status=201)
    def add(person: Person) -> Person:
        keyvalue.set_json(f"people:{person.name}", person)
        return person

A capability is used when its module is imported: the host grants an actor nothing that its code does not name. Nothing
may be kept in variables from call to call: an instance may serve the next call or be thrown away, and others run beside
it.
"""

from nanolattice import actors, blobstore, http, keyvalue, log, messaging, numbergen, sql, timers
from nanolattice.actors import on_operation
from nanolattice.errors import Error, conflict, forbidden, invalid, not_found, unavailable
from nanolattice.fetching import Answer, fetch
from nanolattice.http import Request, Response
from nanolattice.messaging import Message, on_message
from nanolattice.timers import Tick, on_timer

__all__ = [
    "Answer",
    "Error",
    "Message",
    "Request",
    "Response",
    "Tick",
    "actors",
    "blobstore",
    "conflict",
    "fetch",
    "forbidden",
    "http",
    "invalid",
    "keyvalue",
    "log",
    "messaging",
    "not_found",
    "numbergen",
    "on_message",
    "on_operation",
    "on_timer",
    "sql",
    "timers",
    "unavailable",
]
