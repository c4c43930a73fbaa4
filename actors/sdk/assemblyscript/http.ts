/** wasmcloud:httpserver: requests to the actor. */
import { fail, failed, register } from "./call";
import { Reader, Writer } from "./msgpack";
import * as json from "./json";

export class Request {
  method: string = "";
  path: string = "";
  /** Without its "?". */
  query: string = "";
  /** Names in lower case, each with its values in order. */
  headers: Map<string, string[]> = new Map<string, string[]>();
  body: Uint8Array = new Uint8Array(0);

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
      if (decoded(found) == name) return at < 0 ? "" : decoded(pairs[i].substring(at + 1));
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

let handler: RequestHandler | null = null;

/** Names the function that answers requests. */
export function handle(answer: RequestHandler): void {
  handler = answer;
  register("HttpServer.HandleRequest", (_operation, payload) => serve(payload));
}

function serve(payload: Uint8Array): Uint8Array {
  const request = decode(payload);
  if (failed()) return new Uint8Array(0);
  const response = handler!(request);
  const names = response.headers.keys();
  const writer = new Writer().map(3).text("statusCode").int(response.status).text("header").map(names.length);
  for (let i = 0; i < names.length; i++) writer.text(names[i]).array(1).text(response.headers.get(names[i]));
  return writer.text("body").bytes(response.body).done();
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
    else if (field == "header") {
      for (let names = reader.map(); names > 0 && !reader.bad; names--) {
        const name = reader.text();
        const values = reader.texts();
        if (values.length) request.headers.set(name, values);
      }
    } else reader.skip();
  }
  if (reader.bad) fail("malformed_message: the HTTP request cannot be read");
  return request;
}

function hexDigit(code: i32): i32 {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

function decoded(text: string): string {
  const bytes = Uint8Array.wrap(String.UTF8.encode(text));
  const size = bytes.length;
  const result = new Uint8Array(size);
  let length = 0;
  for (let i = 0; i < size; i++) {
    let byte = <i32>bytes[i];
    if (byte == 0x2b) byte = 0x20;
    else if (byte == 0x25 && i + 2 < size) {
      const high = hexDigit(bytes[i + 1]);
      const low = hexDigit(bytes[i + 2]);
      if (high >= 0 && low >= 0) {
        byte = (high << 4) | low;
        i += 2;
      }
    }
    result[length++] = <u8>byte;
  }
  return String.UTF8.decodeUnsafe(result.dataStart, length);
}
