"""People, over HTTP: JSON comes in, is checked, stored and answered."""

from dataclasses import dataclass

from nanolattice import http, keyvalue, not_found


@dataclass
class Person:
    name: str
    age: int


@http.get("/")
def index() -> dict[str, str]:
    return {"actor": "{{name}}"}


@http.post("/people", status=201)
def add(person: Person) -> Person:
    keyvalue.set_json(f"people:{person.name}", person)
    return person


@http.get("/people/{name}")
def find(name: str) -> Person:
    person = keyvalue.get_json(f"people:{name}", Person)
    if person is None:
        raise not_found(f"nobody is called {name}")
    return person
