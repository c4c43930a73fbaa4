/** The conformance actor: everything that the SDK has, once. ../README.md says what it answers. */
import {
  actors, blobstore, Failure, fetch, http, invalid, keyvalue, log, messaging, notFound, numbergen, onMessage, onOperation,
  onTimer, sql, t, utf8,
} from "nanolattice";

http.get("/hello", (request) => ({ hello: request.query("name") ?? "world" }));

http.post("/echo", (request) => {
  const headers = { "content-type": "text/plain; charset=utf-8", "x-echo": request.header("x-echo") ?? "" };
  return new http.Response(request.body, 202, headers);
});

const Person = t.object({ name: t.text, age: t.check(t.whole, (age) => age >= 0, "negative") });

http.post("/people", (request) => {
  const person = request.json(Person);
  keyvalue.setJson(`people:${person.name}`, person);
  return http.json(person, 201);
});

http.get("/people/{name}", ({ params }) => {
  const person = keyvalue.getJson(`people:${params.name}`, Person);
  if (!person) throw notFound(`nobody is called ${params.name}`);
  return person;
});

const Everything = t.object({
  text: t.text,
  whole: t.whole,
  number: t.number,
  truth: t.bool,
  list: t.list(t.text),
  maybe: t.optional(t.text),
  any: t.optional(t.any),
});

http.post("/everything", (request) => request.json(Everything));

http.get("/fail", (request) => {
  throw new Failure(request.query("code") ?? "invalid", "as you wish");
});

const Pair = t.object({ key: t.text, value: t.optional(t.text), by: t.optional(t.whole) });

http.post("/kv/{op}", (request) => {
  const { key, value, by } = request.json(Pair);
  const given = (): string => {
    if (value === undefined) throw invalid("value is missing");
    return value;
  };
  switch (request.params.op) {
    case "set":
      keyvalue.set(key, given());
      return {};
    case "get":
      return { value: keyvalue.get(key) ?? null };
    case "delete":
      return { value: keyvalue.remove(key) };
    case "contains":
      return { value: keyvalue.contains(key) };
    case "increment":
      return { value: keyvalue.increment(key, by) };
    case "list-add":
      return { value: keyvalue.listAdd(key, given()) };
    case "list-range":
      return { value: keyvalue.listRange(key) };
    case "list-remove":
      return { value: keyvalue.listRemove(key, given()) };
    case "set-add":
      return { value: Number(keyvalue.setAdd(key, given())) };
    case "set-remove":
      return { value: Number(keyvalue.setRemove(key, given())) };
    case "set-members":
      return { value: keyvalue.setMembers(key) };
    default:
      throw notFound(`there is no ${request.params.op}`);
  }
});

http.get("/via", (request) => {
  const found = keyvalue.open(request.query("link") ?? "default").get(request.query("key") ?? "");
  return { value: found ?? null };
});

const Entry = t.object({ link: t.text, key: t.text, value: t.text });

http.post("/via", (request) => {
  const { link, key, value } = request.json(Entry);
  keyvalue.open(link).set(key, value);
  return {};
});

const Mail = t.object({ subject: t.text, body: t.text });

http.post("/publish", (request) => {
  const { subject, body } = request.json(Mail);
  messaging.publish(subject, body);
  return {};
});

http.post("/request", (request) => {
  const { subject, body } = request.json(Mail);
  return { body: messaging.request(subject, body).text() };
});

onMessage("in.>", (message) => {
  if (message.replyTo) return message.body.slice().reverse();
  keyvalue.set(`message:${message.subject}`, message.text());
});

onTimer("", (tick) => {
  keyvalue.increment(`tick:${tick.timer}`);
});

const Call = t.object({ actor: t.text, operation: t.text, body: t.text });

http.post("/call", (request) => {
  const { actor, operation, body } = request.json(Call);
  return { body: utf8.decode(actors.call(actor, operation, body)) };
});

onOperation("Conformance.Reverse", (payload) => payload.slice().reverse());

const Blob = t.object({ container: t.text, name: t.optional(t.text), text: t.optional(t.text) });

http.post("/blobs/{op}", (request) => {
  const { container: name, name: object = "", text = "" } = request.json(Blob);
  const container = blobstore.container(name);
  switch (request.params.op) {
    case "put":
      container.create();
      container.put(object, text, "text/plain; charset=utf-8");
      return {};
    case "get":
      return { text: container.get(object).text() };
    case "delete":
      container.delete(object);
      return {};
    case "list":
      return { names: container.list() };
    default:
      throw notFound(`there is no ${request.params.op}`);
  }
});

const Statement = t.object({
  statement: t.text,
  text: t.optional(t.text),
  whole: t.optional(t.whole),
  number: t.optional(t.number),
});

function parameters({ text, whole = 0, number = 0 }: t.Infer<typeof Statement>): sql.Value[] {
  return text === undefined ? [] : [text, whole, number];
}

http.post("/sql/execute", (request) => {
  const wanted = request.json(Statement);
  return { affected: sql.execute(wanted.statement, ...parameters(wanted)) };
});

http.post("/sql/query", (request) => {
  const wanted = request.json(Statement);
  const { columns, rows } = sql.query(wanted.statement, ...parameters(wanted));
  return { columns, rows };
});

const Page = t.object({ url: t.text });

http.post("/fetch", (request) => {
  const answer = fetch(request.json(Page).url);
  return { status: answer.status, body: answer.text() };
});

http.get("/now", () => ({ now: Date.now() }));

http.get("/random", () => ({ random: numbergen.random32(), guid: numbergen.guid() }));

const Line = t.object({ level: t.oneOf("debug", "info", "warn", "error"), message: t.text });

http.post("/log", (request) => {
  const { level, message } = request.json(Line);
  log.write(level, message);
  return {};
});
