/** Other actors: calls to them, and operations that they call here. */
import { answer, type Reply } from "./guest";
import { call as out } from "./host";
import { fromJson, type Schema } from "./schema";
import * as utf8 from "./utf8";

/**
 * Calls an actor by its key or alias. Throws `Failure`; a failure of that actor has the code `guest_error`, and as its reason
 * that actor's code and reason.
 */
export function call(actor: string, operation: string, payload: Uint8Array | string = new Uint8Array(0)): Uint8Array {
  return out("", actor, operation, typeof payload === "string" ? utf8.encode(payload) : payload);
}

/** The same with JSON both ways: `value` goes, and what comes back fits the schema. */
export function callJson<T>(actor: string, operation: string, value: unknown, schema: Schema<T>): T {
  return fromJson(schema, call(actor, operation, JSON.stringify(value)), `the answer of ${actor}`);
}

/** Names the function that answers an operation, bytes in and bytes out: `onOperation("Shop.Buy", ...)`. */
export function onOperation(name: string, handler: (payload: Uint8Array) => Reply): void {
  answer(name, handler);
}
