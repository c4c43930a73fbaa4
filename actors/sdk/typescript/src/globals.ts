/** What the small engine has not, and code of other people expects: as much as is short. */
import * as utf8 from "./utf8";

/** So many random bytes. */
export type Bytes = (count: number) => Uint8Array;

/** Puts `console`, `TextEncoder`, `TextDecoder`, `crypto` and an unpredictable `Math.random` into a global object. */
export function install(on: any, random: Bytes, log: (warning: boolean, text: string) => void): void {
  const say =
    (warning: boolean) =>
    (...values: unknown[]): void =>
      log(warning, values.map(shown).join(" "));
  on.console = { log: say(false), info: say(false), debug: say(false), warn: say(true), error: say(true) };
  on.TextEncoder ??= class {
    readonly encoding = "utf-8";
    encode(text = ""): Uint8Array {
      return utf8.encode(String(text));
    }
  };
  on.TextDecoder ??= class {
    readonly encoding = "utf-8";
    constructor(label = "utf-8") {
      if (!/^utf-?8$/i.test(label)) throw new RangeError(`${label} is not known here, only utf-8`);
    }
    decode(bytes: Uint8Array | ArrayBuffer = new Uint8Array(0)): string {
      const text = utf8.decode(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes));
      if (text === null) throw new TypeError("the bytes are not UTF-8");
      return text;
    }
  };
  on.crypto ??= {
    getRandomValues<T extends ArrayBufferView>(array: T): T {
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      bytes.set(random(bytes.length));
      return array;
    },
    randomUUID(): string {
      const bytes = random(16).slice();
      bytes[6] = (bytes[6]! & 0x0f) | 0x40;
      bytes[8] = (bytes[8]! & 0x3f) | 0x80;
      const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    },
  };
  // The engine's own goes on from where the build left it, the same in every instance.
  on.Math.random = () => {
    const bytes = random(7);
    let number = bytes[0]! >> 3; // 53 bits, which is all that a number has
    for (let i = 1; i < 7; i++) number = number * 256 + bytes[i]!;
    return number / 2 ** 53;
  };
}

function shown(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  try {
    return (typeof value === "object" ? JSON.stringify(value) : undefined) ?? String(value);
  } catch {
    return String(value);
  }
}
