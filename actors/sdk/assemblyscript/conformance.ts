/** What every SDK can do, for tests/sdk/test_conformance.py. actors/sdk/README.md says what each route does. */
import {
  actors, blobstore, client, cron, failed, failWith, http, json, keyvalue, log, messaging, numbers, sql, time, useLink,
} from "nanolattice";
export { __guest_call } from "nanolattice";

const NOTHING = "{}";

// ---- requests, records

http.get("/hello", (request) => {
  const name = request.parameter("name");
  return http.Response.json(200, new json.Writer().text("hello", name === null ? "world" : name).done());
});

http.post("/echo", (request) =>
  new http.Response(202, request.body)
    .header("content-type", "text/plain; charset=utf-8")
    .header("x-echo", request.header("x-echo")));

class Person {
  constructor(public name: string, public age: i64) {}

  json(): string {
    return new json.Writer().text("name", this.name).integer("age", this.age).done();
  }
}

http.post("/people", (request) => {
  const body = request.json();
  const person = new Person(body.text("name"), body.integer("age"));
  if (person.age < 0) failWith("invalid", '"age" must not be negative');
  keyvalue.set("people:" + person.name, person.json());
  return http.Response.json(201, person.json());
});

http.get("/people/{name}", (request) => {
  const person = keyvalue.get("people:" + request.segment("name"));
  if (person === null) return http.Response.error(404, "there is no such person");
  return http.Response.json(200, person);
});

http.post("/everything", (request) => {
  const body = request.json();
  const all = new json.Writer().text("text", body.text("text")).integer("whole", body.integer("whole"));
  all.number("number", body.number("number")).truth("truth", body.truth("truth")).texts("list", body.texts("list"));
  all.optionalText("maybe", body.optionalText("maybe"));
  const any = body.raw("any");
  if (any !== null) all.raw("any", any);
  return http.Response.json(200, all.done());
});

http.get("/fail", (request) => {
  const code = request.parameter("code");
  failWith(code === null ? "" : code, "as you wish");
  return http.Response.text(200, "");
});

// ---- key-value

function value(raw: string): string {
  return new json.Writer().raw("value", raw).done();
}

function valueOf(key: string): string {
  return new json.Writer().optionalText("value", keyvalue.get(key)).done();
}

function truth(yes: bool): string {
  return value(yes ? "true" : "false");
}

function keyValue(op: string, body: json.Fields): string {
  const key = body.text("key");
  if (op == "get") return valueOf(key);
  if (op == "delete") return truth(keyvalue.remove(key));
  if (op == "contains") return truth(keyvalue.contains(key));
  if (op == "increment") return value(keyvalue.increment(key, <i32>body.optionalInteger("by", 1)).toString());
  if (op == "list-range") return new json.Writer().texts("value", keyvalue.listRange(key, 0, -1)).done();
  if (op == "set-members") return new json.Writer().texts("value", keyvalue.setMembers(key)).done();
  if (op == "set") keyvalue.set(key, body.text("value"));
  else if (op == "list-add") return value(keyvalue.listAdd(key, body.text("value")).toString());
  else if (op == "list-remove") return truth(keyvalue.listRemove(key, body.text("value")));
  else if (op == "set-add") return value(keyvalue.setAdd(key, body.text("value")).toString());
  else if (op == "set-remove") return value(keyvalue.setRemove(key, body.text("value")).toString());
  else failWith("not_found", "there is no such operation");
  return NOTHING;
}

http.post("/kv/{op}", (request) => http.Response.json(200, keyValue(request.segment("op"), request.json())));

http.get("/via", (request) => {
  const link = request.parameter("link");
  const key = request.parameter("key");
  if (link !== null) useLink(link);
  return http.Response.json(200, valueOf(key === null ? "" : key));
});

http.post("/via", (request) => {
  const body = request.json();
  useLink(body.text("link"));
  keyvalue.set(body.text("key"), body.text("value"));
  return http.Response.json(200, NOTHING);
});

// ---- messages, timers, actors

http.post("/publish", (request) => {
  const told = request.json();
  messaging.publish(told.text("subject"), told.text("body"));
  return http.Response.json(200, NOTHING);
});

http.post("/request", (request) => {
  const told = request.json();
  const reply = messaging.request(told.text("subject"), told.text("body"), 2000);
  return http.Response.json(200, new json.Writer().text("body", reply.text()).done());
});

messaging.on("in.>", (message) => {
  if (message.replyTo.length) messaging.publish(message.replyTo, message.text().split("").reverse().join(""));
  else keyvalue.set("message:" + message.subject, message.text());
});

cron.handle((tick) => {
  keyvalue.increment("tick:" + tick.timer);
});

actors.handle("Conformance.Reverse", (_operation, payload) => payload.slice().reverse());

http.post("/call", (request) => {
  const asked = request.json();
  const payload = Uint8Array.wrap(String.UTF8.encode(asked.text("body")));
  const reply = actors.call(asked.text("actor"), asked.text("operation"), payload);
  const text = String.UTF8.decodeUnsafe(reply.dataStart, reply.byteLength);
  return http.Response.json(200, new json.Writer().text("body", text).done());
});

// ---- blobs, SQL, HTTP

function blob(op: string, body: json.Fields): string {
  const container = body.text("container");
  if (op == "list") return new json.Writer().texts("names", blobstore.list(container)).done();
  const name = body.text("name");
  if (op == "put") {
    blobstore.createContainer(container);
    blobstore.put(container, name, "text/plain", body.text("text"));
  } else if (op == "get") {
    const found = blobstore.get(container, name);
    if (!found.found) failWith("not_found", "there is no such object");
    const text = String.UTF8.decodeUnsafe(found.bytes.dataStart, found.bytes.byteLength);
    return new json.Writer().text("text", text).done();
  } else if (op == "delete") blobstore.remove(container, name);
  else failWith("not_found", "there is no such operation");
  return NOTHING;
}

http.post("/blobs/{op}", (request) => http.Response.json(200, blob(request.segment("op"), request.json())));

function parameters(body: json.Fields): sql.Value[] {
  const text = body.optionalText("text");
  if (text === null) return [];
  const whole = body.optionalInteger("whole", 0);
  return [sql.text(text), sql.integer(whole), sql.real(body.optionalNumber("number", 0))];
}

http.post("/sql/execute", (request) => {
  const body = request.json();
  const affected = sql.execute(body.text("statement"), parameters(body));
  return http.Response.json(200, new json.Writer().integer("affected", affected).done());
});

http.post("/sql/query", (request) => {
  const body = request.json();
  const table = sql.query(body.text("statement"), parameters(body));
  const rows = table.rows.map<string>((row) => "[" + row.map<string>((each) => each.json()).join(",") + "]");
  const answer = new json.Writer().texts("columns", table.columns).raw("rows", "[" + rows.join(",") + "]");
  return http.Response.json(200, answer.done());
});

http.post("/fetch", (request) => {
  const answer = client.fetch(request.json().text("url"));
  return http.Response.json(200, new json.Writer().integer("status", answer.status).text("body", answer.text()).done());
});

// ---- time, random numbers, log

http.get("/now", (_request) => http.Response.json(200, new json.Writer().integer("now", time.nowMs()).done()));

http.get("/random", (_request) => {
  const answer = new json.Writer().integer("random", numbers.random32()).text("guid", numbers.guid());
  return http.Response.json(200, answer.done());
});

http.post("/log", (request) => {
  const asked = request.json();
  const level = asked.text("level");
  const known = ["debug", "info", "warn", "error"].includes(level);
  if (!failed() && !known) failWith("invalid", '"level" is debug, info, warn or error');
  log.write(level, asked.text("message"));
  return http.Response.json(200, NOTHING);
});
