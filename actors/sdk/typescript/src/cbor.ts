/** CBOR, as far as the values of SQL statements and rows need it. Source: RFC 8949. */
import * as utf8 from "./utf8";

/** Rows are lists of lists of plain values. */
const NESTING_MAX = 16;

/** Bytes that are not one CBOR value, or one of a kind that no row has. */
export class Malformed extends Error {}

/** What a parameter of a statement or a column of a row may be. */
export type Value = null | boolean | number | bigint | string | Uint8Array;

/** Whole numbers go as such, every other as a float. Throws `TypeError`. */
export function dump(value: Value): Uint8Array {
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xf5 : 0xf4);
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    const bytes = new Uint8Array(9);
    bytes[0] = 0xfb;
    new DataView(bytes.buffer).setFloat64(1, value);
    return bytes;
  }
  if (typeof value === "number" || typeof value === "bigint") {
    const number = BigInt(value);
    return number >= 0n ? head(0, number) : head(1, -1n - number);
  }
  if (typeof value === "string") {
    const bytes = utf8.encode(value);
    return joined(head(3, BigInt(bytes.length)), bytes);
  }
  if (value instanceof Uint8Array) return joined(head(2, BigInt(value.length)), value);
  throw new TypeError(`a parameter of a statement cannot be ${typeof value}`);
}

/** Throws `Malformed`. */
export function load(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.value(NESTING_MAX);
  if (reader.at !== bytes.length) throw new Malformed(`${bytes.length - reader.at} bytes too many`);
  return value;
}

function head(major: number, size: bigint): Uint8Array {
  if (size >= 1n << 64n) throw new TypeError("a number does not fit into 64 bits");
  if (size < 24n) return Uint8Array.of((major << 5) | Number(size));
  const power = size <= 0xffn ? 0 : size <= 0xffffn ? 1 : size <= 0xffff_ffffn ? 2 : 3;
  const bytes = new Uint8Array(1 + (1 << power));
  bytes[0] = (major << 5) | (24 + power);
  for (let i = bytes.length - 1, rest = size; i > 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

class Reader {
  at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Only sizes that are known beforehand: the host writes no others. */
  value(nesting: number): unknown {
    const first = this.view.getUint8(this.pass(1));
    const major = first >> 5;
    const more = first & 0x1f;
    if (major === 7) return this.simple(more);
    const size = more < 24 ? BigInt(more) : this.number(more);
    if (major === 0) return narrow(size);
    if (major === 1) return narrow(-1n - size);
    if (nesting === 0 || size > BigInt(this.bytes.length - this.at)) throw new Malformed("cut short, or too deep");
    const count = Number(size);
    switch (major) {
      case 2:
      case 3: {
        const start = this.pass(count);
        const piece = this.bytes.subarray(start, this.at);
        if (major === 2) return piece;
        const text = utf8.decode(piece);
        if (text === null) throw new Malformed("a text is not UTF-8");
        return text;
      }
      case 4: {
        const items: unknown[] = [];
        for (let i = 0; i < count; i++) items.push(this.value(nesting - 1));
        return items;
      }
      case 6: // a tag says what a value means; the value is what rows are made of
        return this.value(nesting - 1);
      default:
        throw new Malformed("a map is in no row");
    }
  }

  private simple(more: number): unknown {
    switch (more) {
      case 20: return false;
      case 21: return true;
      case 22: case 23: return null;
      case 25: return half(this.view.getUint16(this.pass(2)));
      case 26: return this.view.getFloat32(this.pass(4));
      case 27: return this.view.getFloat64(this.pass(8));
      default: throw new Malformed(`the simple value ${more} is in no row`);
    }
  }

  private number(more: number): bigint {
    switch (more) {
      case 24: return BigInt(this.view.getUint8(this.pass(1)));
      case 25: return BigInt(this.view.getUint16(this.pass(2)));
      case 26: return BigInt(this.view.getUint32(this.pass(4)));
      case 27: return this.view.getBigUint64(this.pass(8));
      default: throw new Malformed("a value without a size");
    }
  }

  private pass(size: number): number {
    const start = this.at;
    if (size > this.bytes.length - start) throw new Malformed("cut short");
    this.at += size;
    return start;
  }
}

function half(bits: number): number {
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
