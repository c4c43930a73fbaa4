/** Over HTTP: calls ponger, which may call back. */
import { actors, failed, http, json, takeError } from "nanolattice";
export { __guest_call } from "nanolattice";

const DIGITS_MAX = 6; // more bounces than any host lets happen

http.handle((request) => {
  if (request.method != "GET") return http.Response.error(405, "only GET is answered").header("allow", "GET");
  if (request.path.startsWith("/bounce/")) return bounces(request.path.substring(8));
  const message = request.parameter("message");
  return answer(text(actors.call("ponger", "Ping", bytes(message === null ? "hello" : message))));
});

actors.handle("Bounce", (_operation, payload) => {
  const left = digits(text(payload));
  if (left <= 0) return bytes("pinger");
  return bytes("pinger > " + text(actors.call("ponger", "Bounce", bytes((left - 1).toString()))));
});

/** GET /bounce/3: pinger > ponger > pinger > ponger, three calls. */
function bounces(count: string): http.Response {
  const left = digits(count);
  if (left < 1) return http.Response.error(400, "say how many calls to make: /bounce/3");
  return answer("pinger > " + text(actors.call("ponger", "Bounce", bytes((left - 1).toString()))));
}

function answer(reply: string): http.Response {
  if (failed()) return http.Response.error(502, takeError());
  return http.Response.json(200, `{"reply":${json.quoted(reply)}}\n`);
}

/** A number of at most six digits; -1 for anything else. */
function digits(word: string): i32 {
  if (word.length < 1 || word.length > DIGITS_MAX) return -1;
  for (let i = 0; i < word.length; i++) {
    const code = word.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return -1;
  }
  return i32.parse(word);
}

function bytes(word: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(word));
}

function text(payload: Uint8Array): string {
  return String.UTF8.decodeUnsafe(payload.dataStart, payload.byteLength);
}
