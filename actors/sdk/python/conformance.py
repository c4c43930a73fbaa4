"""The conformance actor: everything that the SDK has, once. ../README.md says what it answers."""

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nanolattice import (
    Error,
    Message,
    Request,
    Response,
    Tick,
    actors,
    blobstore,
    fetch,
    http,
    invalid,
    keyvalue,
    log,
    messaging,
    not_found,
    numbergen,
    on_message,
    on_operation,
    on_timer,
    sql,
)

Json = dict[str, Any]


@http.get("/hello")
def hello(name: str = "world") -> Json:
    return {"hello": name}


@http.post("/echo")
def echo(request: Request) -> Response:
    headers = {"content-type": "text/plain; charset=utf-8", "x-echo": request.header("x-echo") or ""}
    return Response(202, request.body, dict(headers))


@dataclass
class Person:
    name: str
    age: int


@http.post("/people", status=201)
def add(person: Person) -> Person:
    if person.age < 0:
        raise invalid("age is negative")
    keyvalue.set_json(f"people:{person.name}", person)
    return person


@http.get("/people/{name}")
def person(name: str) -> Person:
    found = keyvalue.get_json(f"people:{name}", Person)
    if found is None:
        raise not_found(f"nobody is called {name}")
    return found


@dataclass
class Everything:
    text: str
    whole: int
    number: float
    truth: bool
    list: list[str]
    maybe: str | None = None
    any: Any = None


@http.post("/everything")
def everything(body: Everything) -> Json:
    return {name: value for name, value in asdict(body).items() if value is not None}


@http.get("/fail")
def fail(code: str) -> None:
    raise Error(code, "as you wish")


@dataclass
class Pair:
    key: str
    value: str | None = None
    by: int | None = None

    def given(self) -> str:
        if self.value is None:
            raise invalid("value is missing")
        return self.value


@http.post("/kv/{op}")
def kv(op: str, pair: Pair) -> Json:
    match op:
        case "set":
            keyvalue.set(pair.key, pair.given())
            return {}
        case "get":
            return {"value": keyvalue.get(pair.key)}
        case "delete":
            return {"value": keyvalue.delete(pair.key)}
        case "contains":
            return {"value": keyvalue.contains(pair.key)}
        case "increment":
            return {"value": keyvalue.increment(pair.key, 1 if pair.by is None else pair.by)}
        case "list-add":
            return {"value": keyvalue.list_add(pair.key, pair.given())}
        case "list-range":
            return {"value": keyvalue.list_range(pair.key)}
        case "list-remove":
            return {"value": keyvalue.list_remove(pair.key, pair.given())}
        case "set-add":
            return {"value": int(keyvalue.set_add(pair.key, pair.given()))}
        case "set-remove":
            return {"value": int(keyvalue.set_remove(pair.key, pair.given()))}
        case "set-members":
            return {"value": keyvalue.set_members(pair.key)}
    raise not_found(f"there is no {op}")


@dataclass
class Entry:
    link: str
    key: str
    value: str


@http.get("/via")
def via(link: str, key: str) -> Json:
    return {"value": keyvalue.open(link).get(key)}


@http.post("/via")
def set_via(entry: Entry) -> Json:
    keyvalue.open(entry.link).set(entry.key, entry.value)
    return {}


@dataclass
class Mail:
    subject: str
    body: str


@http.post("/publish")
def publish(mail: Mail) -> Json:
    messaging.publish(mail.subject, mail.body)
    return {}


@http.post("/request")
def ask(mail: Mail) -> Json:
    return {"body": messaging.request(mail.subject, mail.body).text}


@on_message("in.>")
def arrived(message: Message) -> bytes | None:
    if message.reply_to:
        return message.body[::-1]
    keyvalue.set(f"message:{message.subject}", message.text)
    return None


@on_timer()
def tick(tick: Tick) -> None:
    keyvalue.increment(f"tick:{tick.timer}")


@dataclass
class Call:
    actor: str
    operation: str
    body: str


@http.post("/call")
def call(wanted: Call) -> Json:
    return {"body": actors.call(wanted.actor, wanted.operation, wanted.body).decode()}


@on_operation("Conformance.Reverse")
def reverse(payload: bytes) -> bytes:
    return payload[::-1]


@dataclass
class BlobRequest:
    container: str
    name: str = ""
    text: str = ""


@http.post("/blobs/{op}")
def blobs(op: str, wanted: BlobRequest) -> Json:
    container = blobstore.container(wanted.container)
    match op:
        case "put":
            container.create()
            container.put(wanted.name, wanted.text, "text/plain; charset=utf-8")
            return {}
        case "get":
            return {"text": container.get(wanted.name).text}
        case "delete":
            container.delete(wanted.name)
            return {}
        case "list":
            return {"names": container.list()}
    raise not_found(f"there is no {op}")


@dataclass
class Statement:
    statement: str
    text: str | None = None
    whole: int = 0
    number: float = 0.0

    def parameters(self) -> list[Any]:
        return [] if self.text is None else [self.text, self.whole, self.number]


@http.post("/sql/execute")
def execute(wanted: Statement) -> Json:
    return {"affected": sql.execute(wanted.statement, *wanted.parameters())}


@http.post("/sql/query")
def query(wanted: Statement) -> Json:
    found = sql.query(wanted.statement, *wanted.parameters())
    return {"columns": found.columns, "rows": found.rows}


@dataclass
class Page:
    url: str


@http.post("/fetch")
def page(wanted: Page) -> Json:
    answer = fetch(wanted.url)
    return {"status": answer.status, "body": answer.text}


@http.get("/now")
def now() -> Json:
    return {"now": time.time_ns() // 1_000_000}


@http.get("/random")
def random() -> Json:
    return {"random": numbergen.random_32(), "guid": numbergen.guid()}


@dataclass
class Line:
    level: Literal["debug", "info", "warn", "error"]
    message: str


@http.post("/log")
def write(line: Line) -> Json:
    log.write(line.level, line.message)
    return {}
