/** wasmcloud:httpclient: requests that the actor makes. */
import { callProvider, fail, failed } from "./call";
import { Reader, Writer } from "./msgpack";

export class Answer {
  status: i32 = 0;
  /** Names in lower case, each with its values in order. */
  headers: Map<string, string[]> = new Map<string, string[]>();
  body: Uint8Array = new Uint8Array(0);

  /** The first value of a header; "" without one. */
  header(name: string): string {
    return this.headers.has(name) ? this.headers.get(name)[0] : "";
  }

  text(): string {
    return String.UTF8.decodeUnsafe(this.body.dataStart, this.body.byteLength);
  }
}

export class Request {
  headers: Map<string, string> = new Map<string, string>();
  body: Uint8Array = new Uint8Array(0);

  constructor(public method: string, public url: string) {}

  header(name: string, value: string): Request {
    this.headers.set(name, value);
    return this;
  }

  /** With this text as its body. */
  text(body: string): Request {
    this.body = Uint8Array.wrap(String.UTF8.encode(body));
    return this;
  }

  send(): Answer {
    const names = this.headers.keys();
    const message = new Writer().map(4).field("method", this.method).field("url", this.url);
    message.text("headers").map(names.length);
    for (let i = 0; i < names.length; i++) message.text(names[i]).array(1).text(this.headers.get(names[i]));
    message.text("body").bytes(this.body);
    return decode(callProvider("wasmcloud:httpclient", "HttpClient.Request", message.done()));
  }
}

export function fetch(url: string): Answer {
  return new Request("GET", url).send();
}

function decode(payload: Uint8Array): Answer {
  const answer = new Answer();
  if (failed()) return answer;
  const reader = new Reader(payload);
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    const field = reader.text();
    if (field == "statusCode") answer.status = <i32>reader.int();
    else if (field == "body") answer.body = reader.bytes();
    else if (field == "header") reader.textLists(answer.headers);
    else reader.skip();
  }
  if (reader.bad) fail("malformed_message: the answer cannot be read");
  return answer;
}
