/**
 * Values, counters, lists and sets under keys: the contract wasmcloud:keyvalue.
 *
 * The functions of this module go along the link "default"; `open("cache")` goes along another.
 */
import { ask } from "./host";
import { fromJson, type Schema } from "./schema";

const CONTRACT = "wasmcloud:keyvalue";

/** The store at the end of one link. Every method throws `Failure` when the store cannot do it. */
export class Store {
  constructor(readonly link = "default") {}

  get(key: string): string | undefined {
    const found = this.ask<{ value: string; exists: boolean }>("Get", key);
    return found.exists ? found.value : undefined;
  }

  /** Sets the value; it goes away after so many seconds, 0 being never. */
  set(key: string, value: string, expiresSeconds = 0): void {
    this.ask("Set", { key, value, expires: expiresSeconds });
  }

  /** The value as JSON that fits a schema. Throws `Failure` "invalid" for another. */
  getJson<T>(key: string, schema: Schema<T>): T | undefined {
    const text = this.get(key);
    return text === undefined ? undefined : fromJson(schema, text, `the value of ${key}`);
  }

  setJson(key: string, value: unknown, expiresSeconds = 0): void {
    this.set(key, JSON.stringify(value), expiresSeconds);
  }

  /** Whether there was something to delete. */
  delete(key: string): boolean {
    return this.ask("Del", key);
  }

  contains(key: string): boolean {
    return this.ask("Contains", key);
  }

  /** Adds to a counter, at once and whole whoever else counts, and returns the new number. */
  increment(key: string, by = 1): number {
    return this.ask("Increment", { key, value: by });
  }

  /** Appends, and returns the new length. */
  listAdd(key: string, value: string): number {
    return this.ask("ListAdd", { listName: key, value });
  }

  /** Removes the value; whether it was there. */
  listRemove(key: string, value: string): boolean {
    return this.ask("ListDel", { listName: key, value });
  }

  /** Items from `start` to `stop`, both included; -1 is the last. */
  listRange(key: string, start = 0, stop = -1): string[] {
    return this.ask("ListRange", { listName: key, start, stop });
  }

  listClear(key: string): boolean {
    return this.ask("ListClear", key);
  }

  /** Whether it is new in the set. */
  setAdd(key: string, value: string): boolean {
    return this.ask<number>("SetAdd", { setName: key, value }) > 0;
  }

  /** Whether it was there. */
  setRemove(key: string, value: string): boolean {
    return this.ask<number>("SetDel", { setName: key, value }) > 0;
  }

  setMembers(key: string): string[] {
    return this.ask("SetQuery", key);
  }

  setUnion(...keys: string[]): string[] {
    return this.ask("SetUnion", keys);
  }

  setIntersection(...keys: string[]): string[] {
    return this.ask("SetIntersection", keys);
  }

  setClear(key: string): boolean {
    return this.ask("SetClear", key);
  }

  private ask<T>(operation: string, message: unknown): T {
    return ask(this.link, CONTRACT, `KeyValue.${operation}`, message);
  }
}

/** The store at the end of the link with that name. */
export function open(link: string): Store {
  return new Store(link);
}

const store = /* @__PURE__ */ new Store();

export function get(key: string): string | undefined {
  return store.get(key);
}

export function set(key: string, value: string, expiresSeconds = 0): void {
  store.set(key, value, expiresSeconds);
}

export function getJson<T>(key: string, schema: Schema<T>): T | undefined {
  return store.getJson(key, schema);
}

export function setJson(key: string, value: unknown, expiresSeconds = 0): void {
  store.setJson(key, value, expiresSeconds);
}

/** For `delete`, which is no name of a function. */
export function remove(key: string): boolean {
  return store.delete(key);
}

export function contains(key: string): boolean {
  return store.contains(key);
}

export function increment(key: string, by = 1): number {
  return store.increment(key, by);
}

export function listAdd(key: string, value: string): number {
  return store.listAdd(key, value);
}

export function listRemove(key: string, value: string): boolean {
  return store.listRemove(key, value);
}

export function listRange(key: string, start = 0, stop = -1): string[] {
  return store.listRange(key, start, stop);
}

export function listClear(key: string): boolean {
  return store.listClear(key);
}

export function setAdd(key: string, value: string): boolean {
  return store.setAdd(key, value);
}

export function setRemove(key: string, value: string): boolean {
  return store.setRemove(key, value);
}

export function setMembers(key: string): string[] {
  return store.setMembers(key);
}

export function setUnion(...keys: string[]): string[] {
  return store.setUnion(...keys);
}

export function setIntersection(...keys: string[]): string[] {
  return store.setIntersection(...keys);
}

export function setClear(key: string): boolean {
  return store.setClear(key);
}
