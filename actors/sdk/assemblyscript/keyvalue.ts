/** wasmcloud:keyvalue: values, counters, lists and sets under string keys. */
import { callProvider, fail, failed } from "./call";
import { Reader, Writer } from "./msgpack";

const CONTRACT = "wasmcloud:keyvalue";

/** The value; null when there is none. */
export function get(key: string): string | null {
  const reader = ask("KeyValue.Get", new Writer().text(key));
  let value = "";
  let exists = false;
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    const field = reader.text();
    if (field == "value") value = reader.text();
    else if (field == "exists") exists = reader.bool();
    else reader.skip();
  }
  check(reader);
  return exists ? value : null;
}

/** `expires` in seconds from now; 0 is never. */
export function set(key: string, value: string, expires: u32 = 0): void {
  ask("KeyValue.Set", new Writer().map(3).field("key", key).field("value", value).text("expires").int(expires));
}

/** False when there was none. */
export function remove(key: string): bool {
  return truth(ask("KeyValue.Del", new Writer().text(key)));
}

export function contains(key: string): bool {
  return truth(ask("KeyValue.Contains", new Writer().text(key)));
}

/** Atomic; returns the new value. */
export function increment(key: string, by: i32 = 1): i32 {
  return <i32>number(ask("KeyValue.Increment", new Writer().map(2).field("key", key).text("value").int(by)));
}

/** Returns the new length. */
export function listAdd(list: string, value: string): u32 {
  return <u32>number(ask("KeyValue.ListAdd", pair("listName", list, value)));
}

export function listRemove(list: string, value: string): bool {
  return truth(ask("KeyValue.ListDel", pair("listName", list, value)));
}

/** Both ends are included; -1 is the last. */
export function listRange(list: string, start: i32, stop: i32): string[] {
  const message = new Writer().map(3).field("listName", list).text("start").int(start).text("stop").int(stop);
  return texts(ask("KeyValue.ListRange", message));
}

export function listClear(list: string): bool {
  return truth(ask("KeyValue.ListClear", new Writer().text(list)));
}

/** 1, or 0 when it was there already. */
export function setAdd(set: string, value: string): u32 {
  return <u32>number(ask("KeyValue.SetAdd", pair("setName", set, value)));
}

export function setRemove(set: string, value: string): u32 {
  return <u32>number(ask("KeyValue.SetDel", pair("setName", set, value)));
}

export function setMembers(set: string): string[] {
  return texts(ask("KeyValue.SetQuery", new Writer().text(set)));
}

export function setUnion(sets: string[]): string[] {
  return texts(ask("KeyValue.SetUnion", names(sets)));
}

export function setIntersection(sets: string[]): string[] {
  return texts(ask("KeyValue.SetIntersection", names(sets)));
}

export function setClear(set: string): bool {
  return truth(ask("KeyValue.SetClear", new Writer().text(set)));
}

function pair(field: string, name: string, value: string): Writer {
  return new Writer().map(2).field(field, name).field("value", value);
}

function names(sets: string[]): Writer {
  const writer = new Writer().array(sets.length);
  for (let i = 0; i < sets.length; i++) writer.text(sets[i]);
  return writer;
}

function ask(operation: string, message: Writer): Reader {
  return new Reader(callProvider(CONTRACT, operation, message.done()));
}

/** What a provider sends must fit the contract; if not, the call fails like any other that the host refuses. */
function check(reader: Reader): void {
  if (reader.bad && !failed()) fail("malformed_message: the key-value provider's reply cannot be read");
}

function number(reader: Reader): i64 {
  const value = reader.int();
  check(reader);
  return value;
}

function truth(reader: Reader): bool {
  const value = reader.bool();
  check(reader);
  return value;
}

function texts(reader: Reader): string[] {
  const value = reader.texts();
  check(reader);
  return value;
}
