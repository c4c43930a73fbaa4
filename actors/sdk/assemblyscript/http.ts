/** wasmcloud:httpserver: requests to the actor. */
import { fail, failed, failedWith, register, takeError } from "./call";
import { Reader, Writer } from "./msgpack";
import * as json from "./json";
import { decoded, decodedBytes, isUtf8 } from "./text";

export class Request {
  method: string = "";
  path: string = "";
  /** Without its "?". */
  query: string = "";
  /** Names in lower case, each with its values in order. */
  headers: Map<string, string[]> = new Map<string, string[]>();
  body: Uint8Array = new Uint8Array(0);
  /** Of the route, for `segment`. */
  pattern: string = "";

  /** What stands in the path for {name}, percent-decoded. */
  segment(name: string): string {
    const pieces = this.pattern.split("/");
    const at = pieces.indexOf("{" + name + "}");
    if (at < 0) fail("the route has no segment " + name);
    return at < 0 ? "" : decoded(this.path.split("/")[at], false);
  }

  /** The body read as a JSON object. If it is none, the call fails with `invalid`: errors stick. */
  json(): json.Fields {
    const isText = isUtf8(this.body.dataStart, this.body.byteLength);
    return new json.Fields(isText ? this.text() : "");
  }

  /** The first value of a header; "" without one. */
  header(name: string): string {
    return this.headers.has(name) ? this.headers.get(name)[0] : "";
  }

  /** The body as text. */
  text(): string {
    return String.UTF8.decodeUnsafe(this.body.dataStart, this.body.byteLength);
  }

  /** A value of the query, percent-decoded; null without one. */
  parameter(name: string): string | null {
    const pairs = this.query.split("&");
    for (let i = 0; i < pairs.length; i++) {
      const at = pairs[i].indexOf("=");
      const found = at < 0 ? pairs[i] : pairs[i].substring(0, at);
      if (decoded(found, true) == name) return at < 0 ? "" : decoded(pairs[i].substring(at + 1), true);
    }
    return null;
  }
}

export class Response {
  headers: Map<string, string> = new Map<string, string>();

  constructor(public status: i32, public body: Uint8Array) {}

  static of(status: i32, contentType: string, body: string): Response {
    return new Response(status, Uint8Array.wrap(String.UTF8.encode(body))).header("content-type", contentType);
  }

  static text(status: i32, body: string): Response {
    return Response.of(status, "text/plain; charset=utf-8", body);
  }

  static html(status: i32, body: string): Response {
    return Response.of(status, "text/html; charset=utf-8", body);
  }

  static json(status: i32, body: string): Response {
    return Response.of(status, "application/json", body);
  }

  /** {"error": why} */
  static error(status: i32, why: string): Response {
    return Response.json(status, `{"error":${json.quoted(why)}}\n`);
  }

  header(name: string, value: string): Response {
    this.headers.set(name, value);
    return this;
  }
}

export type RequestHandler = (request: Request) => Response;

class Route {
  constructor(public readonly method: string, public readonly pattern: string, public readonly answer: RequestHandler) {}
}

const routes: Route[] = [];
let handler: RequestHandler | null = null;

/** Names the function that answers requests which no route is for. */
export function handle(answer: RequestHandler): void {
  handler = answer;
  register("HttpServer.HandleRequest", (_operation, payload) => serve(payload));
}

/** Names the function that answers a method on paths: {name} in the pattern is one part of a path. The first that fits
 * counts. Where no method fits the answer is 405, where no path does 404. */
export function route(method: string, pattern: string, answer: RequestHandler): void {
  routes.push(new Route(method, pattern, answer));
  register("HttpServer.HandleRequest", (_operation, payload) => serve(payload));
}

export function get(pattern: string, answer: RequestHandler): void {
  route("GET", pattern, answer);
}

export function post(pattern: string, answer: RequestHandler): void {
  route("POST", pattern, answer);
}

export function put(pattern: string, answer: RequestHandler): void {
  route("PUT", pattern, answer);
}

export function remove(pattern: string, answer: RequestHandler): void {
  route("DELETE", pattern, answer);
}

/** The codes of actors' own errors that are answers. What the host refuses goes back to it as it is: it knows better
 * whether to try again, and what a visitor may read. */
const CODES = ["invalid", "unauthorized", "forbidden", "not_found", "conflict", "too_large", "unavailable", "timeout"];
const STATUSES: StaticArray<i32> = [400, 401, 403, 404, 409, 413, 503, 504];

function serve(payload: Uint8Array): Uint8Array {
  const request = decode(payload);
  if (failed()) return new Uint8Array(0);
  let response = answer(request);
  for (let i = 0; i < CODES.length; i++) {
    if (failedWith(CODES[i])) response = Response.error(STATUSES[i], takeError().substring(CODES[i].length + 2));
  }
  if (failed()) return new Uint8Array(0);
  const names = response.headers.keys();
  const writer = new Writer().map(3).text("statusCode").int(response.status).text("header").map(names.length);
  for (let i = 0; i < names.length; i++) writer.text(names[i]).array(1).text(response.headers.get(names[i]));
  return writer.text("body").bytes(response.body).done();
}

function answer(request: Request): Response {
  const allowed: string[] = [];
  const path = request.path.split("/");
  if (!path.every((part) => isText(part))) return Response.error(400, "the path is not UTF-8");
  for (let i = 0; i < routes.length; i++) {
    const candidate = routes[i];
    if (!fits(candidate.pattern.split("/"), path)) continue;
    if (candidate.method == request.method) {
      request.pattern = candidate.pattern;
      return candidate.answer(request);
    }
    allowed.push(candidate.method);
  }
  if (allowed.length) {
    return Response.error(405, "this method is not answered here").header("allow", allowed.join(", "));
  }
  const fallback = handler;
  return fallback === null ? Response.error(404, "there is nothing here") : fallback(request);
}

function fits(pieces: string[], path: string[]): bool {
  if (pieces.length != path.length) return false;
  for (let i = 0; i < pieces.length; i++) {
    const isSegment = pieces[i].startsWith("{");
    if (isSegment ? !path[i].length : pieces[i] != decoded(path[i], false)) return false;
  }
  return true;
}

function isText(part: string): bool {
  const bytes = decodedBytes(part, false);
  return isUtf8(bytes.dataStart, bytes.byteLength);
}

function decode(payload: Uint8Array): Request {
  const request = new Request();
  const reader = new Reader(payload);
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    const field = reader.text();
    if (field == "method") request.method = reader.text();
    else if (field == "path") request.path = reader.text();
    else if (field == "queryString") request.query = reader.text();
    else if (field == "body") request.body = reader.bytes();
    else if (field == "header") reader.textLists(request.headers);
    else reader.skip();
  }
  if (reader.bad) fail("malformed_message: the HTTP request cannot be read");
  return request;
}
