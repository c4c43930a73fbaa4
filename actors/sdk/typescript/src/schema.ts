/**
 * What JSON has to look like, said once and checked: each mistake is a `Failure` "invalid" that names the member.
 *
 *     const Person = t.object({ name: t.text, age: t.whole, town: t.optional(t.text) });
 *     type Person = t.Infer<typeof Person>; // { name: string; age: number; town?: string }
 */
import { Failure, invalid } from "./failure";
import * as utf8 from "./utf8";

/** Deeper JSON would end the component instead of failing: its stack is that of WebAssembly, of 512 KiB. */
const NESTING_MAX = 64;

export interface Schema<T> {
  /** The value if it is a `T`; `what` is how it is called in an error. Throws `Failure`. */
  read(value: unknown, what: string): T;
  /** A member of an object that may be missing. */
  readonly missing?: boolean;
}

export interface Optional<T> extends Schema<T | undefined> {
  readonly missing: true;
}

/** The type that a schema stands for. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

type Members = Readonly<Record<string, Schema<any>>>;
type Needed<M extends Members> = { [K in keyof M as M[K] extends Optional<any> ? never : K]: Infer<M[K]> };
type Possible<M extends Members> = { [K in keyof M as M[K] extends Optional<any> ? K : never]?: Infer<M[K]> };
/** An object's type, its optional members with a question mark. */
export type ObjectOf<M extends Members> = { [K in keyof (Needed<M> & Possible<M>)]: (Needed<M> & Possible<M>)[K] };

function named(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "number") return `the number ${value}`;
  return typeof value === "string" ? "text" : typeof value === "object" ? "an object" : String(value);
}

function expect<T>(wanted: string, fits: (value: unknown) => boolean): Schema<T> {
  return {
    read(value, what) {
      if (!fits(value)) throw invalid(`${what} is ${named(value)}, not ${wanted}`);
      return value as T;
    },
  };
}

/** With "u" a pair of surrogates is one character and does not fit. Not every engine knows \p{Surrogate}. */
const HALF = /[\ud800-\udfff]/u;

export const text: Schema<string> = {
  read(value, what) {
    if (typeof value !== "string") throw invalid(`${what} is ${named(value)}, not text`);
    if (HALF.test(value)) throw invalid(`${what} has half a character in it`);
    return value;
  },
};
export const bool: Schema<boolean> = expect("true or false", (value) => typeof value === "boolean");
export const number: Schema<number> = expect("a number", Number.isFinite);
/** A whole number, of the 53 bits that a number of JavaScript has. */
export const whole: Schema<number> = {
  read(value, what) {
    if (!Number.isInteger(value)) throw invalid(`${what} is ${named(value)}, not a whole number`);
    if (!Number.isSafeInteger(value)) throw invalid(`${what} is a number of more than 53 bits`);
    return value as number;
  },
};
export const any: Schema<unknown> = { read: (value) => value };

export function list<T>(item: Schema<T>): Schema<T[]> {
  return {
    read(value, what) {
      if (!Array.isArray(value)) throw invalid(`${what} is ${named(value)}, not a list`);
      return value.map((each, number) => item.read(each, `${what}[${number}]`));
    },
  };
}

/** An object as a dictionary: any members, all of one kind. */
export function record<T>(item: Schema<T>): Schema<Record<string, T>> {
  return {
    read(value, what) {
      const members = Object.entries(asObject(value, what));
      return Object.fromEntries(members.map(([name, each]) => [name, item.read(each, `${what}.${name}`)]));
    },
  };
}

/** Members that are not named are left out. */
export function object<M extends Members>(members: M): Schema<ObjectOf<M>> {
  const known = Object.entries(members);
  return {
    read(value, what) {
      const from = asObject(value, what);
      const found: Record<string, unknown> = {};
      const inside = what.includes(".") || what.includes("[");
      for (const [name, schema] of known) {
        const member = Object.hasOwn(from, name) ? from[name] : undefined;
        if (member === undefined && !schema.missing) throw invalid(`${name} is missing`);
        const read = schema.read(member, inside ? `${what}.${name}` : name);
        if (read !== undefined) found[name] = read;
      }
      return found as ObjectOf<M>;
    },
  };
}

/** A member that may be missing; null counts as missing. */
export function optional<T>(schema: Schema<T>): Optional<T> {
  return {
    missing: true,
    read: (value, what) => (value === undefined || value === null ? undefined : schema.read(value, what)),
  };
}

/** One that may be null, and stays so. */
export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return { read: (value, what) => (value === null ? null : schema.read(value, what)) };
}

/** One of some texts or numbers: `oneOf("red", "green")`. */
export function oneOf<const T extends readonly (string | number | boolean)[]>(...choices: T): Schema<T[number]> {
  return {
    read(value, what) {
      if (choices.includes(value as T[number])) return value as T[number];
      const known = choices.map((choice) => JSON.stringify(choice)).join(", ");
      throw invalid(`${what} is ${JSON.stringify(value).slice(0, 100)}, not one of ${known}`);
    },
  };
}

/** The first of several that fits. */
export function union<T extends readonly Schema<any>[]>(...schemas: T): Schema<Infer<T[number]>> {
  return {
    read(value, what) {
      let first: unknown;
      for (const schema of schemas) {
        try {
          return schema.read(value, what) as Infer<T[number]>;
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          first ??= error;
        }
      }
      throw first;
    },
  };
}

/** With a check of your own: `t.check(t.whole, (age) => age >= 0, "negative")`. */
export function check<T>(schema: Schema<T>, fits: (value: T) => boolean, complaint: string): Schema<T> {
  return {
    read(value, what) {
      const found = schema.read(value, what);
      if (!fits(found)) throw invalid(`${what} is ${complaint}`);
      return found;
    },
  };
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`${what} is ${named(value)}, not an object`);
  }
  return value as Record<string, unknown>;
}

/** Reads JSON. Throws `Failure` "invalid", which calls the whole of it `what`. */
export function fromJson<T>(schema: Schema<T>, json: string | Uint8Array, what: string): T {
  const source = typeof json === "string" ? json : utf8.decode(json);
  if (source === null) throw invalid(`${what} is not JSON: it is not UTF-8`);
  requireShallow(source, what);
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    throw invalid(`${what} is not JSON: ${(error as Error).message}`);
  }
  return schema.read(value, what);
}

function requireShallow(source: string, what: string): void {
  let brackets = 0;
  for (let at = 0; (at = source.indexOf("[", at) + 1); ) brackets++;
  for (let at = 0; (at = source.indexOf("{", at) + 1); ) brackets++;
  if (brackets <= NESTING_MAX) return;
  let depth = 0;
  let inText = false;
  for (let at = 0; at < source.length; at++) {
    const unit = source.charCodeAt(at);
    if (inText) {
      if (unit === 0x5c) at++;
      else if (unit === 0x22) inText = false;
    } else if (unit === 0x22) inText = true;
    else if (unit === 0x5b || unit === 0x7b) {
      if (++depth > NESTING_MAX) throw invalid(`${what} is not JSON: nested more than ${NESTING_MAX} deep`);
    } else if (unit === 0x5d || unit === 0x7d) depth--;
  }
}
