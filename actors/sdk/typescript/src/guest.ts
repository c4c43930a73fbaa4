/** The way in: which function of the actor answers a call of the host. */
import { Failure } from "./failure";
import { Malformed, pack, unpack } from "./msgpack";
import { placed } from "./places";

export type Reply = Uint8Array | Promise<Uint8Array>;
/** Answers an operation. */
export type Handler = (payload: Uint8Array, operation: string) => Reply;

const handlers = new Map<string, Handler>([["Actor.HealthRequest", () => pack({ healthy: true })]]);

/** Names what answers an operation. The modules of this package do so when the actor registers its first handler. */
export function answer(operation: string, handler: Handler): void {
  handlers.set(operation, handler);
}

/** Forgets what was registered: for tests. */
export function forget(operation: string): void {
  handlers.delete(operation);
}

/** Answers one call. Throws `Failure`, and nothing else: what nobody meant to throw is in the actor's log. */
export function serve(operation: string, payload: Uint8Array): Reply {
  const handler = handlers.get(operation);
  if (!handler) throw new Failure("operation_unknown", `this actor has no operation ${operation}`);
  try {
    const reply = handler(payload, operation);
    return reply instanceof Promise ? reply.catch((error: unknown) => fail(error, operation)) : reply;
  } catch (error) {
    return fail(error, operation);
  }
}

function fail(error: unknown, operation: string): never {
  if (error instanceof Failure) throw error;
  console.error(told(error));
  const name = error instanceof Error ? error.name : typeof error;
  throw new Failure("exception", `${name} in the actor's code for ${operation}; its log has where`);
}

/** What was thrown, and the places of the actor's own code that it came from. */
export function told(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  return [`${error.name}: ${error.message}`, ...placed(error.stack ?? "")].join("\n  ");
}

/** The message of a call. Throws `Failure` for what is none. */
export function read<T>(payload: Uint8Array, operation: string): T {
  try {
    const found = unpack(payload);
    if (typeof found === "object" && found !== null && !Array.isArray(found)) return found as T;
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new Failure("malformed_message", `the message of ${operation} cannot be read: ${error.message}`);
  }
  throw new Failure("malformed_message", `the message of ${operation} is no map`);
}

/** What comes of a value that may still have to be waited for. */
export function after<A, B>(value: A | Promise<A>, then: (value: A) => B): B | Promise<B> {
  return value instanceof Promise ? value.then(then) : then(value);
}
