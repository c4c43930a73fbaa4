/** Uses every function of the SDK for AssemblyScript and says what came back; probe_c does the same in C. */
import {
  actors, blobstore, cron, fail, failed, http, json, keyvalue, log, messaging, numbers, takeError, time, useLink,
} from "nanolattice";
import { Reader } from "nanolattice/msgpack";
export { __guest_call } from "nanolattice";

let out: string = ""; // the body of the answer that is being written

function say(name: string, value: string): void {
  out += `${name}=${value}\n`;
}

function sayNumber(name: string, value: i64): void {
  say(name, value.toString());
}

function sayTruth(name: string, value: bool): void {
  say(name, value ? "true" : "false");
}

/** In order: sets come in any order. */
function sayList(name: string, list: string[]): void {
  say(name, list.sort().concat([""]).join(" "));
}

function keyValue(): void {
  keyvalue.set("k", "value é");
  const value = keyvalue.get("k");
  say("get", value === null ? "" : value);
  sayTruth("exists", value !== null);
  sayTruth("missing", keyvalue.get("missing") !== null);
  sayTruth("contains", keyvalue.contains("k"));
  sayTruth("delete", keyvalue.remove("k"));
  sayTruth("delete again", keyvalue.remove("k"));
  sayNumber("increment", keyvalue.increment("n", 70000));
  sayNumber("decrement", keyvalue.increment("n", -140000));
  keyvalue.remove("n");
  sayNumber("list add", keyvalue.listAdd("l", "a"));
  sayNumber("list add", keyvalue.listAdd("l", "b"));
  sayList("list range", keyvalue.listRange("l", 0, -1));
  sayTruth("list remove", keyvalue.listRemove("l", "a"));
  sayTruth("list clear", keyvalue.listClear("l"));
  sayNumber("set add", keyvalue.setAdd("s", "x"));
  sayNumber("set add", keyvalue.setAdd("s", "y"));
  keyvalue.setAdd("t", "y");
  keyvalue.setAdd("t", "z");
  sayList("set members", keyvalue.setMembers("s"));
  sayList("set union", keyvalue.setUnion(["s", "t"]));
  sayList("set intersection", keyvalue.setIntersection(["s", "t"]));
  sayNumber("set remove", keyvalue.setRemove("s", "x"));
  sayTruth("set clear", keyvalue.setClear("s"));
  keyvalue.setClear("t");
}

function messages(prefix: string): void {
  messaging.publish(prefix + ".told", "told");
  say("reply", messaging.request(prefix + ".asked", "question", 2000).text());
}

function blobs(size: i32): void {
  const codes = new Array<i32>(size);
  for (let i = 0; i < size; i++) codes[i] = 0x61 + (i % 23);
  const text = String.fromCharCodes(codes);
  blobstore.createContainer("probe");
  blobstore.createContainer("probe");
  blobstore.put("probe", "one", "text/x-probe", text);
  const blob = blobstore.get("probe", "one");
  sayTruth("found", blob.found);
  say("content type", blob.contentType);
  sayNumber("size", blob.bytes.byteLength);
  sayTruth("same", String.UTF8.decodeUnsafe(blob.bytes.dataStart, blob.bytes.byteLength) == text);
  blobstore.remove("probe", "one");
  sayTruth("found after delete", blobstore.get("probe", "one").found);
}

function builtIns(): void {
  log.debug("a debug line");
  log.info("an info line");
  log.warn("a warning");
  log.error("an error");
  const differ = numbers.random32() != numbers.random32() || numbers.random32() != numbers.random32();
  sayTruth("random numbers differ", differ);
  const number = numbers.inRange(4000000000, 4000000001);
  sayTruth("in range", number == 4000000000 || number == 4000000001);
  sayNumber("guid size", numbers.guid().length);
  sayTruth("clock", time.nowMs() > 1700000000000);
}

function failures(): void {
  useLink("nowhere");
  keyvalue.increment("n");
  sayTruth("failed", failed());
  const error = takeError();
  sayTruth("is not_linked", error.startsWith("not_linked: "));
  sayTruth("is not", error.startsWith("not: "));
  fail(error);
  useLink("default");
  keyvalue.increment("n"); // is not made: the error sticks
  sayTruth("error starts", takeError().startsWith("not_linked: "));
  sayTruth("failed after take", failed());
  sayTruth("was incremented", keyvalue.contains("n"));
  actors.call("nobody", "Op", new Uint8Array(0));
  sayTruth("is target_unknown", takeError().startsWith("target_unknown: "));
}

function describe(request: http.Request): void {
  const q = request.parameter("q");
  say("method", request.method);
  say("path", request.path);
  say("query", request.query);
  say("q", q === null ? "(none)" : q);
  say("x-probe", request.header("x-probe"));
  say("body", request.text());
}

function heard(key: string): string {
  const value = keyvalue.get(key);
  return value === null ? "" : value;
}

/** The member of the JSON object in the body that the query names, as a JSON string. */
function member(request: http.Request): string {
  const field = request.parameter("field");
  const value = json.text(request.text(), field === null ? "" : field);
  return value === null ? "none" : json.quoted(value);
}

http.handle((request) => {
  out = "";
  if (request.path == "/keyvalue") keyValue();
  else if (request.path == "/messages") messages(request.query);
  else if (request.path == "/heard") {
    say("heard", heard("heard"));
    say("timer", heard("timer"));
    say("late by", heard("tick is late by"));
  } else if (request.path == "/blobs") {
    const query = request.query;
    blobs(query.length ? 262144 * (query.charCodeAt(0) - 0x30) + query.length - 1 : 0);
  } else if (request.path == "/builtins") builtIns();
  else if (request.path == "/failures") failures();
  else if (request.path == "/json") out = member(request);
  else if (request.path == "/integer") sayNumber("integer", json.integer(request.text(), "n", -1));
  else if (request.path == "/fail") {
    useLink("nowhere");
    keyvalue.get("k");
  } else describe(request);
  return http.Response.text(200, out);
});

messaging.handle((message) => {
  if (message.replyTo.length) messaging.publish(message.replyTo, "answer to " + message.text());
  else keyvalue.set("heard", message.text());
});

cron.handle((tick) => {
  keyvalue.set("timer", tick.timer);
  keyvalue.set("tick is late by", ((tick.nowMs - tick.scheduledMs) / 60000).toString());
  keyvalue.increment("ticks");
});

actors.handle("Probe.Skip", (_operation, payload) => {
  const reader = new Reader(payload);
  reader.skip();
  const whole = !reader.bad && reader.finished;
  return Uint8Array.wrap(String.UTF8.encode(whole ? "one value" : "bad"));
});
