/** Requests to other servers: the contract wasmcloud:httpclient. */
import { invalid } from "./failure";
import { ask } from "./host";
import { fromJson, type Schema } from "./schema";
import * as utf8 from "./utf8";

const CONTRACT = "wasmcloud:httpclient";

/** What a server answered, whatever its status. Names of headers are in lower case. */
export class Answer {
  constructor(
    readonly status: number,
    readonly headers: Readonly<Record<string, readonly string[]>>,
    readonly body: Uint8Array,
  ) {}

  /** The first value of a header. */
  header(name: string): string | undefined {
    return this.headers[name.toLowerCase()]?.[0];
  }

  /** The body as text. Throws `Failure` "invalid" if it is none. */
  text(): string {
    const text = utf8.decode(this.body);
    if (text === null) throw invalid("the answer is not text");
    return text;
  }

  /** The body as JSON that fits a schema. Throws `Failure` "invalid". */
  json<T>(schema: Schema<T>): T {
    return fromJson(schema, this.body, "the answer");
  }
}

export interface Options {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** A body as JSON. */
  readonly json?: unknown;
  readonly link?: string;
}

/** Makes a request. Throws `Failure` when there is no answer, or the link does not allow the address. */
export function fetch(url: string, options: Options = {}): Answer {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = [value];
  let { body } = options;
  if (options.json !== undefined) {
    if (body !== undefined) throw invalid("a request has a body or json, not both");
    body = JSON.stringify(options.json);
    headers["content-type"] ??= ["application/json"];
  }
  const found = ask<{ statusCode: number; header?: Record<string, string[]> | null; body?: Uint8Array | null }>(
    options.link ?? "default",
    CONTRACT,
    "HttpClient.Request",
    { method: options.method ?? "GET", url, headers, body: typeof body === "string" ? utf8.encode(body) : body },
  );
  return new Answer(found.statusCode, found.header ?? {}, found.body ?? new Uint8Array(0));
}
