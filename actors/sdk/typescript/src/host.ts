/**
 * The way out of the actor: one function that calls a capability or another actor.
 *
 * Inside a component it is the import `nanolattice:actor/host`. Tests that run outside of one give another.
 */
import { Failure } from "./failure";
import { pack, unpack } from "./msgpack";

/** (link name, contract or actor, operation, payload) -> reply. Throws `Failure`. */
export type Call = (link: string, target: string, operation: string, payload: Uint8Array) => Uint8Array;

const NOTHING = /* @__PURE__ */ new Uint8Array(0);
let way: Call | null = null;

/** Makes this the way out. */
export function use(call: Call): void {
  way = call;
}

/** Calls a capability or an actor with bytes. Throws `Failure`. */
export function call(link: string, target: string, operation: string, payload: Uint8Array): Uint8Array {
  if (way === null) throw new Failure("not_linked", `${operation} was called outside of an actor: there is no host here`);
  return way(link, target, operation, payload);
}

/** Calls a capability with a message, and reads its reply; undefined if there is none. Throws `Failure`. */
export function ask<T>(link: string, contract: string, operation: string, message?: unknown): T {
  const reply = call(link, contract, operation, message === undefined ? NOTHING : pack(message));
  return (reply.length ? unpack(reply) : undefined) as T;
}
