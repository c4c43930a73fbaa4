/** One call of the actor: the waPC imports and exports, errors, memory. */
import { Writer } from "./msgpack";

@external("wapc", "__guest_request")
declare function guestRequest(operation: usize, payload: usize): void;
@external("wapc", "__guest_response")
declare function guestResponse(at: usize, size: usize): void;
@external("wapc", "__guest_error")
declare function guestError(at: usize, size: usize): void;
@external("wapc", "__host_call")
declare function hostCall(
  binding: usize, bindingSize: usize, namespace: usize, namespaceSize: usize,
  operation: usize, operationSize: usize, payload: usize, payloadSize: usize,
): u32;
@external("wapc", "__host_response_len")
declare function hostResponseLength(): u32;
@external("wapc", "__host_response")
declare function hostResponse(to: usize): void;
@external("wapc", "__host_error_len")
declare function hostErrorLength(): u32;
@external("wapc", "__host_error")
declare function hostError(to: usize): void;

/** Answers an operation: payload in, reply out. */
export type Handler = (operation: string, payload: Uint8Array) => Uint8Array;

const DEFAULT_LINK = "default";
const NOTHING = new Uint8Array(0);
const HEALTH = "Actor.HealthRequest";

const handlers = new Map<string, Handler>();
let fallback: Handler | null = null;
let error: string | null = null;
let link: string = DEFAULT_LINK;

/**
 * Names the handler of an operation; "" is every operation without one of its own. Without one of its own,
 * "Actor.HealthRequest" gets a yes.
 */
export function register(operation: string, handler: Handler): void {
  if (operation.length) handlers.set(operation, handler);
  else fallback = handler;
}

/** Makes this call fail. The first failure is the one that counts. */
export function fail(why: string): void {
  if (error === null) error = why;
}

/** The same with a code, by which a handler of HTTP requests answers: see `http`. */
export function failWith(code: string, why: string): void {
  fail(code + ": " + why);
}

export function failed(): bool {
  return error !== null;
}

/** Whether the call has failed with this code. */
export function failedWith(code: string): bool {
  const why = error;
  return why !== null && why.startsWith(code + ": ");
}

/** The error, forgotten; "" if there is none. Host errors are "code: message". */
export function takeError(): string {
  const taken = error;
  error = null;
  return taken === null ? "" : taken;
}

/** The link that the capability calls which follow in this call go along; "default" until then. */
export function useLink(name: string): void {
  link = name;
}

/** Calls another actor by its key or its alias. */
export function callActor(target: string, operation: string, payload: Uint8Array): Uint8Array {
  return askHost("", target, operation, payload);
}

/** Calls the provider of a contract: MessagePack in and out. */
export function callProvider(contract: string, operation: string, payload: Uint8Array): Uint8Array {
  return askHost(link, contract, operation, payload);
}

function askHost(binding: string, namespace: string, operation: string, payload: Uint8Array): Uint8Array {
  if (error !== null) return NOTHING;
  const bindingBytes = String.UTF8.encode(binding);
  const namespaceBytes = String.UTF8.encode(namespace);
  const operationBytes = String.UTF8.encode(operation);
  const ok = hostCall(
    changetype<usize>(bindingBytes), bindingBytes.byteLength,
    changetype<usize>(namespaceBytes), namespaceBytes.byteLength,
    changetype<usize>(operationBytes), operationBytes.byteLength,
    payload.dataStart, payload.byteLength,
  );
  if (ok != 1) {
    const text = new ArrayBuffer(hostErrorLength());
    hostError(changetype<usize>(text));
    error = String.UTF8.decode(text);
    return NOTHING;
  }
  const reply = new Uint8Array(hostResponseLength());
  if (reply.byteLength) hostResponse(reply.dataStart);
  return reply;
}

function answer(operation: string, payload: Uint8Array): Uint8Array {
  let handler = fallback;
  if (handlers.has(operation)) handler = handlers.get(operation);
  else if (operation == HEALTH) return new Writer().map(1).text("healthy").bool(true).done();
  if (handler === null) {
    fail(`this actor has no operation ${operation}`);
    return NOTHING;
  }
  return handler(operation, payload);
}

/** What the host calls. Every actor exports it. */
export function __guest_call(operationSize: i32, payloadSize: i32): i32 {
  error = null;
  link = DEFAULT_LINK;
  const name = new ArrayBuffer(operationSize);
  const payload = new Uint8Array(payloadSize);
  guestRequest(changetype<usize>(name), payload.dataStart);
  const reply = answer(String.UTF8.decode(name), payload);
  const why = error;
  if (why === null) {
    guestResponse(reply.dataStart, reply.byteLength);
  } else {
    const text = String.UTF8.encode(why);
    guestError(changetype<usize>(text), text.byteLength);
  }
  // The host has copied what it was given, and nothing of this call is used again.
  __collect();
  return why === null ? 1 : 0;
}
