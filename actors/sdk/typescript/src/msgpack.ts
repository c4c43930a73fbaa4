/** MessagePack, as far as messages of contracts need it: no extension types. Source: its specification. */
import * as utf8 from "./utf8";

/** Messages of contracts nest three deep; a stranger's may try to exhaust the stack. */
const NESTING_MAX = 64;

/** Bytes that are not one MessagePack value. */
export class Malformed extends Error {}

/** A value as MessagePack: null, booleans, numbers, bigints, texts, bytes, arrays and plain objects. */
export function pack(value: unknown): Uint8Array {
  const writer = new Writer();
  writer.value(value);
  return writer.done();
}

/** Whole numbers beyond 53 bits are bigints. Throws `Malformed`. */
export function unpack(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.value(NESTING_MAX);
  if (reader.at !== bytes.length) throw new Malformed(`${bytes.length - reader.at} bytes too many`);
  return value;
}

class Writer {
  private buffer = new Uint8Array(256);
  private view = new DataView(this.buffer.buffer);
  private size = 0;

  done(): Uint8Array {
    return this.buffer.slice(0, this.size);
  }

  value(value: unknown): void {
    if (value === null || value === undefined) this.byte(0xc0);
    else if (typeof value === "boolean") this.byte(value ? 0xc3 : 0xc2);
    else if (typeof value === "number") this.number(value);
    else if (typeof value === "bigint") this.bigint(value);
    else if (typeof value === "string") this.text(value);
    else if (value instanceof Uint8Array) {
      this.head(value.length, 0, 0, 0xc4);
      this.raw(value);
    } else if (Array.isArray(value)) {
      this.head(value.length, 0x90, 16, 0xdb);
      for (const item of value) this.value(item);
    } else if (typeof value === "object") {
      const members = value as Record<string, unknown>;
      const names = Object.keys(members).filter((name) => members[name] !== undefined);
      this.head(names.length, 0x80, 16, 0xdd);
      for (const name of names) {
        this.text(name);
        this.value(members[name]);
      }
    } else throw new TypeError(`a ${typeof value} has no place in MessagePack`);
  }

  private text(text: string): void {
    const size = text.length;
    if (size < 32) {
      // Names and most values are short and ASCII, and go straight to their place.
      this.room(size + 1);
      const { buffer } = this;
      let at = this.size;
      buffer[at++] = 0xa0 | size;
      for (let i = 0; i < size; i++) {
        const unit = text.charCodeAt(i);
        if (unit >= 0x80) break;
        buffer[at++] = unit;
      }
      if (at === this.size + 1 + size) {
        this.size = at;
        return;
      }
    }
    const bytes = utf8.encode(text);
    this.head(bytes.length, 0xa0, 32, 0xd9);
    this.raw(bytes);
  }

  private number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.room(9);
      this.view.setUint8(this.size, 0xcb);
      this.view.setFloat64(this.size + 1, value);
      this.size += 9;
    } else if (value >= -32 && value < 0x80) this.byte(value & 0xff);
    else if (value >= 0 && value <= 0xffff_ffff) this.sized(0xcc, value);
    else if (value < 0 && value >= -0x8000_0000) {
      this.room(5);
      this.view.setUint8(this.size, 0xd2);
      this.view.setInt32(this.size + 1, value);
      this.size += 5;
    } else this.bigint(BigInt(value));
  }

  private bigint(value: bigint): void {
    if (value < -(1n << 63n) || value >= 1n << 64n) throw new TypeError(`${value} does not fit into 64 bits`);
    this.room(9);
    this.view.setUint8(this.size, value < 0n ? 0xd3 : 0xcf);
    this.view.setBigUint64(this.size + 1, BigInt.asUintN(64, value));
    this.size += 9;
  }

  /** The kind and size of what follows. Maps and arrays have no form with one byte of size. */
  private head(size: number, fix: number, fixEnd: number, first: number): void {
    if (size < fixEnd) this.byte(fix | size);
    else this.sized(first, size, first === 0xdb || first === 0xdd ? 2 : 1);
  }

  /** A number below 2**32 after its kind: `first` with one byte, the kinds after it with two and four. */
  private sized(first: number, value: number, least = 1): void {
    this.room(5);
    if (value <= 0xff && least === 1) {
      this.view.setUint8(this.size, first);
      this.view.setUint8(this.size + 1, value);
      this.size += 2;
    } else if (value <= 0xffff) {
      this.view.setUint8(this.size, first + 1);
      this.view.setUint16(this.size + 1, value);
      this.size += 3;
    } else {
      this.view.setUint8(this.size, first + 2);
      this.view.setUint32(this.size + 1, value);
      this.size += 5;
    }
  }

  private byte(byte: number): void {
    this.room(1);
    this.buffer[this.size++] = byte;
  }

  private raw(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.buffer.set(bytes, this.size);
    this.size += bytes.length;
  }

  private room(more: number): void {
    if (this.size + more <= this.buffer.length) return;
    const larger = new Uint8Array(this.buffer.length * 2 + more);
    larger.set(this.buffer.subarray(0, this.size));
    this.buffer = larger;
    this.view = new DataView(larger.buffer);
  }
}

class Reader {
  at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(nesting: number): unknown {
    const kind = this.bytes[this.at++];
    if (kind === undefined) throw new Malformed("cut short");
    if (kind < 0x80) return kind;
    if (kind >= 0xe0) return kind - 0x100;
    if (kind < 0x90) return this.map(kind & 0x0f, nesting);
    if (kind < 0xa0) return this.array(kind & 0x0f, nesting);
    if (kind < 0xc0) return this.text(kind & 0x1f);
    switch (kind) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.raw(this.size(kind - 0xc4));
      case 0xca: return this.view.getFloat32(this.pass(4));
      case 0xcb: return this.view.getFloat64(this.pass(8));
      case 0xcc: case 0xcd: case 0xce: return this.size(kind - 0xcc);
      case 0xcf: return narrow(this.view.getBigUint64(this.pass(8)));
      case 0xd0: return this.view.getInt8(this.pass(1));
      case 0xd1: return this.view.getInt16(this.pass(2));
      case 0xd2: return this.view.getInt32(this.pass(4));
      case 0xd3: return narrow(this.view.getBigInt64(this.pass(8)));
      case 0xd9: case 0xda: case 0xdb: return this.text(this.size(kind - 0xd9));
      case 0xdc: case 0xdd: return this.array(this.size(kind - 0xdb), nesting);
      case 0xde: case 0xdf: return this.map(this.size(kind - 0xdd), nesting);
      default: throw new Malformed(`${kind} is the kind of no value here`);
    }
  }

  private map(count: number, nesting: number): Record<string, unknown> {
    this.enter(count, nesting);
    const found: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const key = this.value(nesting - 1);
      if (typeof key !== "string" && typeof key !== "number") throw new Malformed("a key is no text");
      const value = this.value(nesting - 1);
      if (key !== "__proto__") found[key] = value;
      // As JSON.parse does: a member like any other.
      else Object.defineProperty(found, key, { value, writable: true, enumerable: true, configurable: true });
    }
    return found;
  }

  private array(count: number, nesting: number): unknown[] {
    this.enter(count, nesting);
    const found: unknown[] = [];
    for (let i = 0; i < count; i++) found.push(this.value(nesting - 1));
    return found;
  }

  private enter(count: number, nesting: number): void {
    // Each item takes a byte at least: a larger count is a lie, and would be a long loop.
    if (nesting === 0 || count > this.bytes.length - this.at) throw new Malformed("cut short, or nested too deep");
  }

  private text(size: number): string {
    const text = utf8.decode(this.raw(size));
    if (text === null) throw new Malformed("a text is not UTF-8");
    return text;
  }

  private raw(size: number): Uint8Array {
    const start = this.pass(size);
    return this.bytes.subarray(start, this.at);
  }

  /** A number of one, two or four bytes. */
  private size(power: number): number {
    if (power === 0) return this.view.getUint8(this.pass(1));
    return power === 1 ? this.view.getUint16(this.pass(2)) : this.view.getUint32(this.pass(4));
  }

  private pass(size: number): number {
    const start = this.at;
    if (size > this.bytes.length - start) throw new Malformed("cut short");
    this.at += size;
    return start;
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
