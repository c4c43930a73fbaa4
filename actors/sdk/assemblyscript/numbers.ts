/** wasmcloud:builtin:numbergen: random numbers. */
import { callProvider, fail, failed } from "./call";
import { Reader, Writer } from "./msgpack";

const CONTRACT = "wasmcloud:builtin:numbergen";

export function random32(): u32 {
  return number(callProvider(CONTRACT, "NumberGen.Random32", new Uint8Array(0)));
}

/** Both ends are included. */
export function inRange(min: u32, max: u32): u32 {
  const message = new Writer().map(2).text("min").int(min).text("max").int(max);
  return number(callProvider(CONTRACT, "NumberGen.RandomInRange", message.done()));
}

export function guid(): string {
  const reader = new Reader(callProvider(CONTRACT, "NumberGen.GenerateGuid", new Uint8Array(0)));
  const text = reader.text();
  check(reader);
  return text;
}

function number(reply: Uint8Array): u32 {
  const reader = new Reader(reply);
  const value = <u32>reader.int();
  check(reader);
  return value;
}

function check(reader: Reader): void {
  if (reader.bad && !failed()) fail("malformed_message: the number generator's reply cannot be read");
}
