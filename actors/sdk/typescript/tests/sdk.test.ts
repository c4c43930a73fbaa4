/** The SDK without a component around it. `python -m pytest tests/sdk/test_typescript.py` bundles this and runs it by node. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { actors, blobstore, Failure, fetch, http, keyvalue, log, messaging, numbergen, onMessage, onOperation, onTimer, sql, t, utf8 } from "nanolattice";
import * as cbor from "../src/cbor";
import { install } from "../src/globals";
import { serve } from "../src/guest";
import { use } from "../src/host";
import * as msgpack from "../src/msgpack";
import { placed } from "../src/places";
import { clear as clearTimers } from "../src/timers";

afterEach(() => {
  http.clear();
  messaging.clear();
  clearTimers();
});

/** Numbers that are the same on every run. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

function failure(code: string, reason: RegExp | string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Failure, String(error));
    assert.equal(error.code, code);
    if (typeof reason === "string") assert.equal(error.reason, reason);
    else assert.match(error.reason, reason);
    return true;
  };
}

// ---- codecs

test("UTF-8 is that of TextEncoder and TextDecoder", () => {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const random = numbers(1);
  const texts = ["", "a", "é", "€", "😀", "\ud800", "a\udc00b", "\ufeff", "\u0000", "x".repeat(10_000) + "é"];
  for (let i = 0; i < 500; i++) {
    texts.push(String.fromCharCode(...Array.from({ length: 8 }, () => random.next().value * 65536)));
  }
  for (const text of texts) {
    const bytes = utf8.encode(text);
    assert.deepEqual(bytes, new TextEncoder().encode(text));
    assert.equal(utf8.decode(bytes), strict.decode(bytes));
  }
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from({ length: 4 }, () => (random.next().value < 0.3 ? 0x80 : 0xc0) + random.next().value * 64);
    let expected: string | null = null;
    try {
      expected = strict.decode(bytes);
    } catch {
      // not UTF-8, which is null here
    }
    assert.equal(utf8.decode(bytes), expected, String(bytes));
  }
});

const VALUES: unknown[] = [
  null, true, false, 0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -128, -129, -32768,
  -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1, 2n ** 63n, 2n ** 64n - 1n, -(2n ** 63n), 0.5, -1e300, Infinity, "", "é😀",
  "x".repeat(31), "x".repeat(32), "x".repeat(256), "x".repeat(65536), new Uint8Array(0), new Uint8Array(256).fill(7),
  new Uint8Array(65536), [], Array(15).fill(1), Array(16).fill(null), Array(65536).fill(0), {}, { a: [{ b: null }] },
  Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, i])),
];

test("MessagePack comes back", () => {
  for (const value of VALUES) assert.deepEqual(msgpack.unpack(msgpack.pack(value)), value);
  assert.deepEqual(msgpack.unpack(msgpack.pack({ a: undefined, b: 1 })), { b: 1 });
  const own = msgpack.unpack(Uint8Array.of(0x81, 0xa9, ...utf8.encode("__proto__"), 1)) as object;
  assert.ok(Object.hasOwn(own, "__proto__"));
  assert.equal(Object.getPrototypeOf(own), Object.prototype);
  assert.throws(() => msgpack.pack(2n ** 64n), TypeError);
  assert.throws(() => msgpack.pack(() => 1), TypeError);
});

test("bytes of strangers are a value or malformed", () => {
  const random = numbers(2);
  const fixed = [[], [0xc1], [0xdd, 255, 255, 255, 255], [0xc0, 0xc0], Array(100).fill(0x91), [0xa2, 255, 255], [0x81, 0x90, 0xc0]];
  for (const bytes of fixed) assert.throws(() => msgpack.unpack(Uint8Array.from(bytes)), msgpack.Malformed);
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from({ length: 1 + random.next().value * 12 }, () => random.next().value * 256);
    for (const [read, malformed] of [[msgpack.unpack, msgpack.Malformed], [cbor.load, cbor.Malformed]] as const) {
      try {
        read(bytes);
      } catch (error) {
        assert.ok(error instanceof malformed, `${error} for ${bytes}`);
      }
    }
  }
});

test("CBOR comes back", () => {
  const values: cbor.Value[] = [
    null, true, false, 0, 23, 24, 255, 256, 65535, 65536, 2 ** 32, 2 ** 53 - 1, -1, -24, -25, -(2 ** 53) + 1, 2n ** 63n, 0.1, -1e-7,
    "", "é😀", "x".repeat(300), new Uint8Array(30),
  ];
  for (const value of values) assert.deepEqual(cbor.load(cbor.dump(value)), value);
  // Halves, as the host writes them in their shortest form.
  for (const [bytes, value] of [[[0xf9, 0x3c, 0], 1], [[0xf9, 0xc0, 0], -2], [[0xf9, 0, 1], 2 ** -24], [[0xfa, 0x3f, 0, 0, 0], 0.5]] as const) {
    assert.equal(cbor.load(Uint8Array.from(bytes)), value);
  }
});

// ---- schemas

const Part: t.Schema<{ name: string; parts?: unknown[] }> = t.object({ name: t.text, parts: t.optional(t.list(t.any)) });
const Order = t.object({
  id: t.whole,
  price: t.number,
  size: t.oneOf("s", "m"),
  paid: t.bool,
  note: t.optional(t.text),
  either: t.optional(t.union(t.whole, t.text)),
  tags: t.optional(t.record(t.list(t.whole))),
  part: t.optional(t.object({ name: t.text })),
  gone: t.nullable(t.text),
});
const GOOD = { id: 1, price: 2.5, size: "m", paid: false, gone: null };

test("a record is read, and what is not named is left out", () => {
  const order: t.Infer<typeof Order> = Order.read({ ...GOOD, other: 1, note: null, tags: { a: [1] } }, "the body");
  const note: string | undefined = order.note;
  assert.equal(note, undefined);
  assert.deepEqual(order, { ...GOOD, tags: { a: [1] } });
});

const MISTAKES: [object, string][] = [
  [{ id: "1" }, "id is text, not a whole number"],
  [{ id: true }, "id is true, not a whole number"],
  [{ id: 1.5 }, "id is the number 1.5, not a whole number"],
  [{ id: 2 ** 53 }, "id is a number of more than 53 bits"],
  [{ price: null }, "price is null, not a number"],
  [{ price: Infinity }, "price is the number Infinity, not a number"],
  [{ size: "x" }, 'size is "x", not one of "s", "m"'],
  [{ note: 1 }, "note is the number 1, not text"],
  [{ note: "\ud800" }, "note has half a character in it"],
  [{ either: 1.5 }, "either is the number 1.5, not a whole number"],
  [{ tags: { a: [1, "2"] } }, "tags.a[1] is text, not a whole number"],
  [{ part: {} }, "name is missing"],
  [{ part: [] }, "part is a list, not an object"],
  [{ gone: undefined }, "gone is missing"],
];

for (const [change, said] of MISTAKES) {
  test(`a mistake is named: ${said}`, () => {
    assert.throws(() => Order.read({ ...GOOD, ...change }, "the body"), failure("invalid", said));
  });
}

test("what is not JSON is refused", () => {
  const deep = "[".repeat(65) + "]".repeat(65);
  for (const text of ["", "{", "NaN", "[".repeat(100_000), deep, Uint8Array.of(0xff)]) {
    assert.throws(() => t.fromJson(t.any, text, "the body"), failure("invalid", /^the body is not JSON/));
  }
  const wide = Array.from({ length: 200 }, () => ({ "[[": ['{{"\\'] }));
  assert.deepEqual(t.fromJson(t.any, JSON.stringify(wide), "x"), wide);
  assert.throws(() => t.check(t.whole, (n) => n > 0, "too small").read(0, "age"), failure("invalid", "age is too small"));
});

// ---- requests

interface Answered {
  status: number;
  body: string;
  headers: Record<string, string[]>;
}

function ask(method: string, path: string, body = "", queryString = ""): Answered {
  const request = { method, path, queryString, header: { x: ["1"] }, body: utf8.encode(body) };
  const reply = serve("HttpServer.HandleRequest", msgpack.pack(request));
  assert.ok(reply instanceof Uint8Array);
  return answered(reply);
}

function answered(reply: Uint8Array): Answered {
  const found = msgpack.unpack(reply) as { statusCode: number; body: Uint8Array; header: Record<string, string[]> };
  return { status: found.statusCode, body: utf8.decode(found.body)!, headers: found.header };
}

test("a request has its parameters, query, headers and body", () => {
  http.put("/shops/{shop}/{number}", (request) => {
    const { shop, number } = request.params;
    return [shop, number, request.query("q") ?? null, request.queries("q"), request.header("X"), request.json(Part).name];
  });
  const answer = ask("PUT", "/shops/a%20b/7", '{"name": "p"}', "x=&q=1+2&q=%C3%A9&q");
  assert.deepEqual(JSON.parse(answer.body), ["a b", "7", "1 2", ["1 2", "é", ""], "1", "p"]);
  assert.equal(ask("PUT", "/shops/a/7", "[]").body, '{"error":"the body is a list, not an object"}\n');
  assert.equal(ask("PUT", "/shops/%ff/7", "{}").status, 400);
});

test("what a handler returns is the answer", () => {
  const answers: Record<string, unknown> = {
    none: undefined, text: "é", bytes: Uint8Array.of(65), record: { a: 1 }, response: http.html("<p>", 418, { x: "y" }),
    redirect: http.redirect("/there"), twice: new http.Response("", 200, { "set-cookie": ["a", "b"] }),
  };
  http.get("/{what}", ({ params }) => answers[params.what]);
  assert.deepEqual(ask("GET", "/none"), { status: 204, body: "", headers: {} });
  assert.deepEqual(ask("GET", "/text").headers, { "content-type": ["text/plain; charset=utf-8"] });
  assert.deepEqual(ask("HEAD", "/bytes").headers, { "content-type": ["application/octet-stream"] });
  assert.equal(ask("GET", "/record").body, '{"a":1}\n');
  assert.deepEqual(ask("GET", "/response").headers, { "content-type": ["text/html; charset=utf-8"], x: ["y"] });
  assert.deepEqual(ask("GET", "/redirect").headers, { location: ["/there"] });
  assert.deepEqual(ask("GET", "/twice").headers, { "set-cookie": ["a", "b"] });
  assert.equal(http.escaped(`<a href="x">'&`), "&#60;a href=&#34;x&#34;&#62;&#39;&#38;");
});

test("the first route that fits counts", () => {
  http.get("/a/b", () => "first");
  http.get("/a/{x}", ({ params }) => `second ${params.x}`);
  http.post("/{rest...}", ({ params }) => `third ${params.rest}`);
  assert.equal(ask("GET", "/a/b").body, "first");
  assert.equal(ask("GET", "/a/c").body, "second c");
  assert.equal(ask("POST", "/a/c%2Fd/").body, "third a/c/d/");
  assert.equal(ask("POST", "/").body, "third ");
  assert.deepEqual([ask("DELETE", "/a/c").status, ask("DELETE", "/a/c").headers.allow], [405, ["GET, POST"]]);
  http.clear();
  http.get("/a/{x}", () => "");
  for (const path of ["/", "/a", "/a/", "/a/b/", "//a/b"]) assert.equal(ask("GET", path).status, 404, path);
  assert.throws(() => http.get("a", () => ""), failure("invalid", /does not begin with/));
});

test("an error becomes an answer by its code, or fails the call", () => {
  http.get("/{code}", ({ params }) => {
    throw new Failure(params.code, "as you wish");
  });
  assert.deepEqual([ask("GET", "/conflict").status, ask("GET", "/conflict").body], [409, '{"error":"as you wish"}\n']);
  assert.throws(() => ask("GET", "/odd"), failure("odd", "as you wish"));
});

test("what nobody meant to throw is told in the log only", (context) => {
  const said = context.mock.method(console, "error", () => undefined);
  http.get("/", () => {
    throw new RangeError("the secret");
  });
  assert.throws(() => ask("GET", "/"), failure("exception", /^RangeError in the actor's code for HttpServer/));
  assert.match(String(said.mock.calls[0]!.arguments[0]), /^RangeError: the secret/);
});

test("handlers may be waited for", async () => {
  http.get("/{code}", async ({ params }) => {
    await Promise.resolve();
    if (params.code !== "ok") throw new Failure(params.code, "late");
    return "done";
  });
  const later = (path: string) =>
    serve("HttpServer.HandleRequest", msgpack.pack({ method: "GET", path, header: {} })) as Promise<Uint8Array>;
  assert.equal(answered(await later("/ok")).body, "done");
  assert.equal(answered(await later("/conflict")).status, 409);
  await assert.rejects(later("/odd"), failure("odd", "late"));
});

// ---- messages, ticks, operations

function send(subject: string, body = "", replyTo?: string): void {
  const reply = serve("MessageSubscriber.HandleMessage", msgpack.pack({ subject, replyTo, body: utf8.encode(body) }));
  assert.deepEqual(reply, new Uint8Array(0));
}

test("messages go to the first pattern that fits, and what it returns to who waits", () => {
  const seen: string[] = [];
  const calls = host();
  onMessage("a.b", () => void seen.push("exact"));
  onMessage("a.*", () => void seen.push("star"));
  onMessage("a.>", (message) => message.text() + message.text());
  send("a.b");
  send("a.c");
  send("a.b.c", "ab");
  assert.deepEqual(calls, []);
  send("a.b.c", "ab", "inbox");
  assert.deepEqual(seen, ["exact", "star"]);
  assert.deepEqual(calls, [["default", "wasmcloud:messaging", "Messaging.Publish", { subject: "inbox", body: utf8.encode("abab") }]]);
  for (const subject of ["a", "b.c", ""]) assert.throws(() => send(subject), failure("operation_unknown", /takes no messages/));
});

test("ticks go to their timer", () => {
  const seen: unknown[] = [];
  onTimer("a", (tick) => void seen.push(["a", tick.missed]));
  const tick = (timer: string) => serve("Cron.HandleTick", msgpack.pack({ timer, scheduledMs: 1, nowMs: 2 ** 41 }));
  assert.throws(() => tick("b"), failure("operation_unknown", /no timer b/));
  onTimer("", (tick) => void seen.push(["any", tick.nowMs]));
  tick("a");
  tick("b");
  assert.deepEqual(seen, [["a", 0], ["any", 2 ** 41]]);
});

test("operations and health", () => {
  onOperation("Shop.Buy", (payload) => payload.slice().reverse());
  assert.deepEqual(serve("Shop.Buy", Uint8Array.of(1, 2)), Uint8Array.of(2, 1));
  assert.deepEqual(msgpack.unpack(serve("Actor.HealthRequest", new Uint8Array(0)) as Uint8Array), { healthy: true });
  assert.throws(() => serve("Shop.Sell", new Uint8Array(0)), failure("operation_unknown", /no operation Shop.Sell/));
  http.get("/", () => "");
  for (const bytes of [[], [0xc1], [0x90]]) {
    assert.throws(() => serve("HttpServer.HandleRequest", Uint8Array.from(bytes)), failure("malformed_message", /./));
  }
});

// ---- clients

type Made = [link: string, target: string, operation: string, message: unknown];

/** The host: notes calls, and answers by operation. */
function host(answers: Record<string, unknown> = {}): Made[] {
  const made: Made[] = [];
  use((link, target, operation, payload) => {
    made.push([link, target, operation, payload.length ? msgpack.unpack(payload) : undefined]);
    const answer = answers[operation.split(".")[1]!];
    return answer === undefined ? new Uint8Array(0) : msgpack.pack(answer);
  });
  return made;
}

test("key-value calls", () => {
  const made = host({ Get: { value: "", exists: false }, Increment: 5, ListAdd: 2, Del: true, SetAdd: 0 });
  assert.equal(keyvalue.get("k"), undefined);
  assert.equal(keyvalue.getJson("k", Part), undefined);
  keyvalue.open("cache").set("k", "v", 60);
  keyvalue.setJson("k", { name: "é" });
  const answers = [keyvalue.increment("n"), keyvalue.listAdd("l", "v"), keyvalue.remove("k"), keyvalue.setAdd("s", "v")];
  assert.deepEqual(answers, [5, 2, true, false]);
  assert.deepEqual(made[2], ["cache", "wasmcloud:keyvalue", "KeyValue.Set", { key: "k", value: "v", expires: 60 }]);
  assert.deepEqual(made[3]![3], { key: "k", value: '{"name":"é"}', expires: 0 });
  host({ Get: { value: '{"name": 1}', exists: true } });
  assert.throws(() => keyvalue.getJson("k", Part), failure("invalid", "name is the number 1, not text"));
});

test("message, log, number and actor calls", () => {
  const made = host({ Request: { subject: "r", body: utf8.encode("[1]") }, Random32: 7, GenerateGuid: "g", RandomInRange: 3, Buy: 1 });
  assert.deepEqual(messaging.request("s", "x", { timeoutMs: 500 }).json(t.list(t.whole)), [1]);
  messaging.publish("s", "é", { replyTo: "r", link: "other" });
  log.warn("careful");
  assert.deepEqual([numbergen.random32(), numbergen.guid(), numbergen.inRange(1, 5)], [7, "g", 3]);
  assert.deepEqual(made.slice(0, 3), [
    ["default", "wasmcloud:messaging", "Messaging.Request", { subject: "s", body: utf8.encode("x"), timeoutMs: 500 }],
    ["other", "wasmcloud:messaging", "Messaging.Publish", { subject: "s", replyTo: "r", body: utf8.encode("é") }],
    ["default", "wasmcloud:builtin:logging", "Logging.WriteLog", { level: "warn", text: "careful" }],
  ]);
  use((link, target, operation, payload) => {
    assert.deepEqual([link, target, operation, utf8.decode(payload)], ["", "shop", "Shop.Buy", '{"a":1}']);
    return utf8.encode('{"name": "p"}');
  });
  assert.deepEqual(actors.callJson("shop", "Shop.Buy", { a: 1 }, Part), { name: "p" });
});

for (const size of [0, 1, blobstore.PIECE, blobstore.PIECE + 1, 3 * blobstore.PIECE]) {
  for (const most of [10_000, blobstore.PIECE]) {
    test(`an object of ${size} bytes, of a store that gives at most ${most} at once`, () => {
      const data = Uint8Array.from({ length: size }, (_, i) => i * 7);
      const stored: number[] = [];
      use((_link, _target, operation, payload) => {
        const message = msgpack.unpack(payload) as any;
        switch (operation.split(".")[1]) {
          case "PutObject":
          case "PutChunk":
            assert.equal(message.chunk.offset, stored.length);
            for (const byte of message.chunk.bytes) stored.push(byte);
            assert.equal(message.chunk.isLast, stored.length === size);
            return operation === "Blobstore.PutObject" ? msgpack.pack({ streamId: "s" }) : new Uint8Array(0);
          case "GetObjectInfo":
            return msgpack.pack({ contentLength: size });
          default: {
            const wanted = Uint8Array.from(stored.slice(message.rangeStart, message.rangeEnd + 1));
            const initialChunk = { bytes: wanted.slice(0, most) };
            return msgpack.pack({ success: true, initialChunk, contentLength: wanted.length, contentType: "x" });
          }
        }
      });
      const box = blobstore.container("c");
      box.put("o", data);
      assert.deepEqual(box.get("o"), new blobstore.Blob(data, "x"));
    });
  }
}

test("object calls", () => {
  const failed = [{ success: false, error: "busy" }];
  const made = host({ ContainerExists: false, GetObject: { success: false, contentLength: 0 }, RemoveObjects: failed });
  const box = blobstore.container("c");
  box.create();
  assert.deepEqual(made.map((call) => call[2]), ["Blobstore.ContainerExists", "Blobstore.CreateContainer"]);
  assert.throws(() => box.get("o"), failure("not_found", /no object o in c/));
  assert.throws(() => box.delete("o"), failure("provider_error", "busy"));
  const pages = [
    { objects: [{ objectId: "a" }], isLast: false, continuation: "next" },
    { objects: [{ objectId: "b" }], isLast: true },
  ];
  use(() => msgpack.pack(pages.shift()));
  assert.deepEqual(box.list("p"), ["a", "b"]);
});

test("SQL calls", () => {
  const rows = Uint8Array.of(0x81, 0x82, 0x61, 0x61, 0xf6); // [["a", null]]
  const made = host({ Query: { columns: [{ name: "x" }, { name: "y" }], rows }, Execute: { rowsAffected: 3 } });
  assert.deepEqual(sql.query("SELECT ?", 1, "é").objects(), [{ x: "a", y: null }]);
  const sent = made[0]![3] as { sql: string; parameters: Uint8Array[] };
  assert.deepEqual(sent.parameters.map(cbor.load), [1, "é"]);
  assert.deepEqual(sql.query("SELECT").of(t.object({ x: t.text })), [{ x: "a" }]);
  assert.equal(sql.open("other").execute("DELETE"), 3);
  host({ Execute: { rowsAffected: 0, error: { code: "db", message: "no" } } });
  assert.throws(() => sql.execute("DROP"), failure("sql", "db: no"));
});

test("fetch", () => {
  const made = host({ Request: { statusCode: 201, header: { etag: ["1"] }, body: utf8.encode("[1]") } });
  const answer = fetch("http://x/", { method: "PUT", headers: { A: "b" }, json: { c: 1 } });
  assert.deepEqual([answer.status, answer.header("ETag"), answer.text(), answer.json(t.any)], [201, "1", "[1]", [1]]);
  const headers = { a: ["b"], "content-type": ["application/json"] };
  assert.deepEqual(made[0]![3], { method: "PUT", url: "http://x/", headers, body: utf8.encode('{"c":1}') });
  assert.throws(() => fetch("http://x/", { json: 1, body: "2" }), failure("invalid", /not both/));
});

// ---- what the small engine has not

test("what other code expects is put in", () => {
  const on: any = { Math: {} };
  const said: unknown[] = [];
  install(on, (count) => new Uint8Array(count).fill(0xff), (warning, text) => said.push([warning, text]));
  on.console.log("a", { b: 1 }, [undefined], undefined);
  on.console.error(new TypeError("x"));
  assert.deepEqual(said, [[false, 'a {"b":1} [null] undefined'], [true, "TypeError: x"]]);
  assert.equal(on.crypto.randomUUID(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
  assert.deepEqual(on.crypto.getRandomValues(new Uint16Array(2)), Uint16Array.of(65535, 65535));
  assert.equal(on.Math.random(), 1 - 2 ** -53);
  assert.equal(new on.TextDecoder().decode(new on.TextEncoder().encode("é")), "é");
  assert.throws(() => new on.TextDecoder("latin1"), RangeError);
  assert.throws(() => new on.TextDecoder().decode(Uint8Array.of(0xff)), TypeError);
});

test("stacks of both engines lead to the actor's files", () => {
  globalThis.nanolatticeLines = { files: ["app.ts", "lib/x.ts"], lines: [-1, 0, 0, 7, 1, 3] };
  const quickjs = "    at deep (/actor.js:2:31)\n    at <anonymous> (/actor.js:3:1)\n    at serve (/actor.js:1:1)\n    at native";
  const starlingmonkey = "deep@actor.js:2:31\n@/tmp/a/actor.js:3:1\nserve@actor.js:1:1\nx@initializer.js:9:9";
  assert.deepEqual(placed(quickjs), ["app.ts:7 in deep", "lib/x.ts:3 in <anonymous>"]);
  assert.deepEqual(placed(starlingmonkey), ["app.ts:7 in deep", "lib/x.ts:3"]);
  globalThis.nanolatticeLines = undefined;
  assert.deepEqual(placed(quickjs), []);
});
