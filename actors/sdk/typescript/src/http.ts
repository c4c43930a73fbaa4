/**
 * Requests to the actor: the contract wasmcloud:httpserver.
 *
 *     http.get("/people/{name}", (request) => keyvalue.getJson(`people:${request.params.name}`, Person));
 *
 * What a handler returns is the answer: a `Response` as it is, text or bytes as such, undefined as 204, and everything else
 * as JSON.
 */
import { Failure, invalid, STATUSES } from "./failure";
import { after, answer as register, read } from "./guest";
import { pack } from "./msgpack";
import { fromJson, type Schema } from "./schema";
import * as utf8 from "./utf8";

type Names<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends `${infer Short}...` ? Short : Name) | Names<Rest>
  : never;
/** The pieces that a pattern names: `{ name: string }` for "/people/{name}". */
export type Params<P extends string> = { readonly [K in Names<P>]: string };

/** `queryString` has no leading "?"; names of `headers` are in lower case, each with its values in order. */
export class Request<P = Readonly<Record<string, string>>> {
  constructor(
    readonly method: string,
    readonly path: string,
    readonly params: P,
    readonly queryString = "",
    readonly headers: Readonly<Record<string, readonly string[]>> = {},
    readonly body: Uint8Array = new Uint8Array(0),
  ) {}

  /** The first value of a header. */
  header(name: string): string | undefined {
    return this.headers[name.toLowerCase()]?.[0];
  }

  /** The first value of the query with that name, decoded. */
  query(name: string): string | undefined {
    return this.queries(name)[0];
  }

  /** All of them. */
  queries(name: string): string[] {
    const found = [];
    for (const pair of this.queryString.split("&")) {
      const at = pair.indexOf("=");
      if (decoded(at < 0 ? pair : pair.slice(0, at), true) !== name) continue;
      found.push(at < 0 ? "" : decoded(pair.slice(at + 1), true));
    }
    return found;
  }

  /** The body as text. Throws `Failure` "invalid" if it is none. */
  text(): string {
    const text = utf8.decode(this.body);
    if (text === null) throw invalid("the body is not text");
    return text;
  }

  /** The body as JSON that fits a schema. Throws `Failure` "invalid" that names what does not. */
  json<T>(schema: Schema<T>): T {
    return fromJson(schema, this.body, "the body");
  }
}

export type Headers = Readonly<Record<string, string | readonly string[]>>;

export class Response {
  readonly body: Uint8Array;

  constructor(
    body: Uint8Array | string = new Uint8Array(0),
    readonly status = 200,
    readonly headers: Headers = {},
  ) {
    this.body = typeof body === "string" ? utf8.encode(body) : body;
  }
}

export function json(value: unknown, status = 200, headers: Headers = {}): Response {
  return new Response(JSON.stringify(value) + "\n", status, { "content-type": "application/json", ...headers });
}

export function text(body: string, status = 200, headers: Headers = {}): Response {
  return new Response(body, status, { "content-type": "text/plain; charset=utf-8", ...headers });
}

export function html(body: string, status = 200, headers: Headers = {}): Response {
  return new Response(body, status, { "content-type": "text/html; charset=utf-8", ...headers });
}

export function redirect(location: string, status = 303): Response {
  return new Response("", status, { location });
}

/** Text as it may stand in HTML. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

export type Handler<P> = (request: Request<P>) => unknown;

interface Route {
  readonly method: string;
  readonly pieces: readonly Piece[];
  readonly handler: Handler<any>;
}

/** What stands between two slashes of a pattern. */
interface Piece {
  readonly text: string;
  readonly name: string;
  readonly rest: boolean;
}

const routes: Route[] = [];

/**
 * Names the function that answers; "*" is any method. `{name}` is one piece of the path, `{name...}` at the end all the rest
 * of it; of several patterns that fit, the first counts.
 */
export function route<const P extends string>(method: string, pattern: P, handler: Handler<Params<P>>): void {
  if (!pattern.startsWith("/")) throw new Failure("invalid", `the pattern ${pattern} does not begin with /`);
  const pieces = pattern.split("/").map((text) => {
    const inside = text.startsWith("{") && text.endsWith("}") ? text.slice(1, -1) : "";
    const rest = inside.endsWith("...");
    return { text, name: rest ? inside.slice(0, -3) : inside, rest };
  });
  routes.push({ method: method.toUpperCase(), pieces, handler });
  register(OPERATION, (payload) => serve(payload));
}

export function get<const P extends string>(pattern: P, handler: Handler<Params<P>>): void {
  route("GET", pattern, handler);
}

export function post<const P extends string>(pattern: P, handler: Handler<Params<P>>): void {
  route("POST", pattern, handler);
}

export function put<const P extends string>(pattern: P, handler: Handler<Params<P>>): void {
  route("PUT", pattern, handler);
}

export function patch<const P extends string>(pattern: P, handler: Handler<Params<P>>): void {
  route("PATCH", pattern, handler);
}

/** For the method DELETE. */
export function del<const P extends string>(pattern: P, handler: Handler<Params<P>>): void {
  route("DELETE", pattern, handler);
}

/** Forgets all routes: for tests. */
export function clear(): void {
  routes.length = 0;
}

const OPERATION = "HttpServer.HandleRequest";

interface Arrived {
  method: string;
  path: string;
  queryString?: string;
  header?: Record<string, string[]>;
  body?: Uint8Array;
}

function serve(payload: Uint8Array): Uint8Array | Promise<Uint8Array> {
  const arrived = read<Arrived>(payload, OPERATION);
  try {
    const response = answer(arrived);
    if (response instanceof Promise) return response.catch(answered).then(packed);
    return packed(response);
  } catch (error) {
    return packed(answered(error));
  }
}

/** An error that has a status, as an answer; every other is thrown on. */
function answered(error: unknown): Response {
  const status = error instanceof Failure ? STATUSES[error.code] : undefined;
  if (status === undefined) throw error;
  return json({ error: (error as Failure).reason }, status);
}

function packed(response: Response): Uint8Array {
  const header: Record<string, readonly string[]> = {};
  for (const [name, value] of Object.entries(response.headers)) header[name] = typeof value === "string" ? [value] : value;
  return pack({ statusCode: response.status, header, body: response.body });
}

function answer(arrived: Arrived): Response | Promise<Response> {
  const path = arrived.path.split("/");
  const allowed: string[] = [];
  for (const route of routes) {
    const params = match(route.pieces, path);
    if (!params) continue;
    const fits = route.method === arrived.method || route.method === "*";
    if (fits || (route.method === "GET" && arrived.method === "HEAD")) {
      const { method, queryString, header, body } = arrived;
      return after(route.handler(new Request(method, arrived.path, params, queryString, header, body)), responseOf);
    }
    if (!allowed.includes(route.method)) allowed.push(route.method);
  }
  if (!allowed.length) return json({ error: `there is nothing at ${arrived.path}` }, 404);
  const known = allowed.join(", ");
  return json({ error: `${arrived.path} takes ${known}` }, 405, { allow: known });
}

function responseOf(result: unknown): Response {
  if (result instanceof Response) return result;
  if (result === undefined) return new Response("", 204);
  if (typeof result === "string") return text(result);
  if (result instanceof Uint8Array) return new Response(result, 200, { "content-type": "application/octet-stream" });
  return json(result);
}

function match(pieces: readonly Piece[], path: readonly string[]): Record<string, string> | undefined {
  const found: Record<string, string> = {};
  for (let i = 0; i < pieces.length; i++) {
    const { text, name, rest } = pieces[i]!;
    if (rest) {
      found[name] = decoded(path.slice(i).join("/"), false);
      return found;
    }
    const piece = path[i];
    if (piece === undefined || (name ? piece === "" : piece !== text)) return undefined;
    if (name) found[name] = decoded(piece, false);
  }
  return path.length === pieces.length ? found : undefined;
}

function decoded(text: string, plusIsSpace: boolean): string {
  const spaced = plusIsSpace ? text.replaceAll("+", " ") : text;
  try {
    return decodeURIComponent(spaced);
  } catch {
    throw invalid(`${text.slice(0, 100)} is not percent-encoded text`);
  }
}
