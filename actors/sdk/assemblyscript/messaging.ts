/** wasmcloud:messaging: publish, request a reply, handle what arrives. */
import { callProvider, fail, failed, register } from "./call";
import { Reader, Writer } from "./msgpack";

const CONTRACT = "wasmcloud:messaging";

export class Message {
  subject: string = "";
  /** Where a reply is awaited; "" when nobody waits. */
  replyTo: string = "";
  body: Uint8Array = new Uint8Array(0);

  text(): string {
    return String.UTF8.decodeUnsafe(this.body.dataStart, this.body.byteLength);
  }
}

export type MessageHandler = (message: Message) => void;

class Subscription {
  constructor(public readonly pattern: string, public readonly take: MessageHandler) {}
}

const subscriptions: Subscription[] = [];

/** Names the function that takes the messages of the actor's subscriptions which `on` names no other for. */
export function handle(take: MessageHandler): void {
  on("", take);
}

/** Names the function that takes messages on subjects: `*` is one word, a final `>` one or more. The first that fits counts. */
export function on(pattern: string, take: MessageHandler): void {
  subscriptions.push(new Subscription(pattern, take));
  register("MessageSubscriber.HandleMessage", (_operation, payload) => {
    const message = decode(payload);
    if (!failed()) serve(message);
    return new Uint8Array(0);
  });
}

function serve(message: Message): void {
  let fallback: MessageHandler | null = null;
  for (let i = 0; i < subscriptions.length; i++) {
    const subscription = subscriptions[i];
    if (!subscription.pattern.length) fallback = subscription.take;
    else if (fits(subscription.pattern.split("."), message.subject.split("."))) return subscription.take(message);
  }
  if (fallback === null) fail(`operation_unknown: this actor has no handler for the subject ${message.subject}`);
  else fallback(message);
}

function fits(pieces: string[], words: string[]): bool {
  const last = pieces.length - 1;
  const open = pieces[last] == ">";
  if (open ? words.length <= last : words.length != pieces.length) return false;
  for (let i = 0; i < pieces.length; i++) {
    if (open && i == last) break;
    if (pieces[i] != "*" && pieces[i] != words[i]) return false;
  }
  return true;
}

export function publish(subject: string, body: string, replyTo: string = ""): void {
  const writer = new Writer().map(replyTo.length ? 3 : 2).field("subject", subject);
  if (replyTo.length) writer.field("replyTo", replyTo);
  writer.text("body").bytes(Uint8Array.wrap(String.UTF8.encode(body)));
  callProvider(CONTRACT, "Messaging.Publish", writer.done());
}

/** Publishes and waits for a reply. */
export function request(subject: string, body: string, timeoutMs: u32): Message {
  const writer = new Writer().map(3).field("subject", subject);
  writer.text("body").bytes(Uint8Array.wrap(String.UTF8.encode(body))).text("timeoutMs").int(timeoutMs);
  const reply = callProvider(CONTRACT, "Messaging.Request", writer.done());
  return failed() ? new Message() : decode(reply);
}

function decode(payload: Uint8Array): Message {
  const message = new Message();
  const reader = new Reader(payload);
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    const field = reader.text();
    if (field == "subject") message.subject = reader.text();
    else if (field == "replyTo") message.replyTo = reader.text();
    else if (field == "body") message.body = reader.bytes();
    else reader.skip();
  }
  if (reader.bad) fail("malformed_message: the message cannot be read");
  return message;
}
