/** Other actors, and operations of contracts that this folder has no functions for. */
import { callActor, callProvider, Handler, register } from "./call";

/** Calls another actor by its key or its alias. */
export function call(target: string, operation: string, payload: Uint8Array): Uint8Array {
  return callActor(target, operation, payload);
}

/** Calls the provider of a contract along the current link: MessagePack in and out. */
export function provider(contract: string, operation: string, payload: Uint8Array): Uint8Array {
  return callProvider(contract, operation, payload);
}

/** Names the function that answers an operation; "" is every operation without one of its own. */
export function handle(operation: string, handler: Handler): void {
  register(operation, handler);
}
