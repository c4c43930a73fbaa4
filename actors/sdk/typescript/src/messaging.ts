/** Messages on subjects: the contract wasmcloud:messaging. */
import { invalid, Failure } from "./failure";
import { after, answer as register, read } from "./guest";
import { ask } from "./host";
import { fromJson, type Schema } from "./schema";
import * as utf8 from "./utf8";

const CONTRACT = "wasmcloud:messaging";
const OPERATION = "MessageSubscriber.HandleMessage";
const NOTHING = /* @__PURE__ */ new Uint8Array(0);
/** How long a request waits for its reply unless it says otherwise. */
export const TIMEOUT_MS = 2000;

/** `replyTo` is undefined when nobody waits for a reply. */
export class Message {
  constructor(
    readonly subject: string,
    readonly body: Uint8Array = NOTHING,
    readonly replyTo?: string,
  ) {}

  /** The body as text. Throws `Failure` "invalid" if it is none. */
  text(): string {
    const text = utf8.decode(this.body);
    if (text === null) throw invalid(`the message on ${this.subject} is not text`);
    return text;
  }

  /** The body as JSON that fits a schema. Throws `Failure` "invalid". */
  json<T>(schema: Schema<T>): T {
    return fromJson(schema, this.body, `the message on ${this.subject}`);
  }
}

export type Answer = Uint8Array | string | void;
export type Handler = (message: Message) => Answer | Promise<Answer>;

const handlers: { words: string[]; handler: Handler }[] = [];

/**
 * Names the function that takes the messages on subjects that fit: `*` is one word, a final `>` one or more. Of several that
 * fit, the first is called. What it returns is sent to whoever waits for a reply.
 *
 * Which subjects reach the actor at all is said by its link: `subscriptions` in the manifest.
 */
export function onMessage(pattern: string, handler: Handler): void {
  handlers.push({ words: pattern.split("."), handler });
  register(OPERATION, (payload) => take(read(payload, OPERATION)));
}

/** Forgets all handlers: for tests. */
export function clear(): void {
  handlers.length = 0;
}

export interface Options {
  readonly replyTo?: string;
  readonly link?: string;
}

export function publish(subject: string, body: Uint8Array | string = NOTHING, options: Options = {}): void {
  const message = { subject, replyTo: options.replyTo, body: bytes(body) };
  ask(options.link ?? "default", CONTRACT, "Messaging.Publish", message);
}

export interface RequestOptions {
  readonly timeoutMs?: number;
  readonly link?: string;
}

/** Publishes and waits for one reply. Throws `Failure`, `deadline_exceeded` when none came. */
export function request(subject: string, body: Uint8Array | string = NOTHING, options: RequestOptions = {}): Message {
  const message = { subject, body: bytes(body), timeoutMs: options.timeoutMs ?? TIMEOUT_MS };
  return messageOf(ask(options.link ?? "default", CONTRACT, "Messaging.Request", message));
}

interface Arrived {
  subject: string;
  body?: Uint8Array;
  replyTo?: string | null;
}

function take(arrived: Arrived): Uint8Array | Promise<Uint8Array> {
  const message = messageOf(arrived);
  const subject = message.subject.split(".");
  for (const { words, handler } of handlers) {
    if (!fits(words, subject)) continue;
    return after(handler(message), (answer) => {
      if (answer !== undefined && message.replyTo) publish(message.replyTo, answer as Uint8Array | string);
      return NOTHING;
    });
  }
  throw new Failure("operation_unknown", `this actor takes no messages on ${message.subject}`);
}

function messageOf(arrived: Arrived): Message {
  return new Message(arrived.subject, arrived.body ?? NOTHING, arrived.replyTo ?? undefined);
}

function fits(pattern: readonly string[], words: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    const part = pattern[i];
    if (part === ">" && i === pattern.length - 1) return words.length > i;
    if (i >= words.length || (part !== "*" && part !== words[i])) return false;
  }
  return pattern.length === words.length;
}

function bytes(body: Uint8Array | string): Uint8Array {
  return typeof body === "string" ? utf8.encode(body) : body;
}
