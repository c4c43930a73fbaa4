/** MessagePack, as far as the contracts use it: https://github.com/msgpack/msgpack/blob/master/spec.md */

/** Makes one message. Every method returns the writer, so that calls can be chained. */
export class Writer {
  private buffer: Uint8Array = new Uint8Array(128);
  private size: i32 = 0;

  map(pairs: i32): Writer {
    if (pairs < 16) this.byte(0x80 | pairs);
    else this.length(pairs, 0xde);
    return this;
  }

  array(items: i32): Writer {
    if (items < 16) this.byte(0x90 | items);
    else this.length(items, 0xdc);
    return this;
  }

  text(text: string): Writer {
    const bytes = String.UTF8.encode(text);
    const size = bytes.byteLength;
    if (size < 32) this.byte(0xa0 | size);
    else if (size < 256) this.byte(0xd9).byte(size);
    else this.length(size, 0xda);
    return this.raw(changetype<usize>(bytes), size);
  }

  bytes(bytes: Uint8Array): Writer {
    const size = bytes.byteLength;
    if (size < 256) this.byte(0xc4).byte(size);
    else this.length(size, 0xc5);
    return this.raw(bytes.dataStart, size);
  }

  int(value: i64): Writer {
    if (value >= -32 && value < 128) return this.byte(<i32>value);
    if (value >= i16.MIN_VALUE && value <= i16.MAX_VALUE) return this.byte(0xd1).bigEndian(value, 2);
    if (value >= i32.MIN_VALUE && value <= i32.MAX_VALUE) return this.byte(0xd2).bigEndian(value, 4);
    return this.byte(0xd3).bigEndian(value, 8);
  }

  bool(value: bool): Writer {
    return this.byte(value ? 0xc3 : 0xc2);
  }

  /** A pair of a map whose value is a text. */
  field(name: string, value: string): Writer {
    return this.text(name).text(value);
  }

  done(): Uint8Array {
    return this.buffer.subarray(0, this.size);
  }

  private length(length: i32, kind16: i32): void {
    // The 32-bit kind follows the 16-bit kind everywhere.
    if (length <= 0xffff) this.byte(kind16).bigEndian(length, 2);
    else this.byte(kind16 + 1).bigEndian(length, 4);
  }

  private byte(byte: i32): Writer {
    this.room(1);
    store<u8>(this.buffer.dataStart + this.size++, <u8>byte);
    return this;
  }

  private bigEndian(value: i64, bytes: i32): Writer {
    for (let i = bytes - 1; i >= 0; i--) this.byte(<i32>((value >> (8 * i)) & 0xff));
    return this;
  }

  private raw(at: usize, size: i32): Writer {
    this.room(size);
    memory.copy(this.buffer.dataStart + this.size, at, size);
    this.size += size;
    return this;
  }

  private room(more: i32): void {
    if (this.size + more <= this.buffer.byteLength) return;
    const larger = new Uint8Array(this.buffer.byteLength * 2 + more);
    memory.copy(larger.dataStart, this.buffer.dataStart, this.size);
    this.buffer = larger;
  }
}

/** Reads a message piece by piece. What does not fit sets `bad`, and from then on every method returns zeros. */
export class Reader {
  bad: bool = false;
  private at: i32 = 0;

  constructor(private readonly payload: Uint8Array) {}

  /** Whether all of the message was read. */
  get finished(): bool {
    return this.at == this.payload.byteLength;
  }

  /** The number of pairs; nil is an empty map. */
  map(): i32 {
    return this.count(0x80, 0xde);
  }

  /** The number of items; nil is an empty array. */
  array(): i32 {
    return this.count(0x90, 0xdc);
  }

  /** str; nil is "". */
  text(): string {
    const start = this.sized();
    return this.bad ? "" : String.UTF8.decodeUnsafe(this.payload.dataStart + start, this.at - start);
  }

  /** bin or str; nil is empty. */
  bytes(): Uint8Array {
    const start = this.sized();
    return this.payload.slice(start, this.at);
  }

  texts(): string[] {
    const count = this.array();
    const texts: string[] = [];
    for (let i = 0; i < count && !this.bad; i++) texts.push(this.text());
    return texts;
  }

  /** A map from texts to lists of texts, such as headers; empty lists are left out. */
  textLists(found: Map<string, string[]>): void {
    for (let pairs = this.map(); pairs > 0 && !this.bad; pairs--) {
      const name = this.text();
      const values = this.texts();
      if (values.length) found.set(name, values);
    }
  }

  /** Passes over nil; false, and nothing passed, if it is something else. */
  nil(): bool {
    if (this.at >= this.payload.byteLength || load<u8>(this.payload.dataStart + this.at) != 0xc0) return false;
    this.at++;
    return true;
  }

  /** nil is 0. */
  int(): i64 {
    const kind = this.byte();
    if (kind < 0x80) return kind;
    if (kind >= 0xe0) return <i8>kind;
    switch (kind) {
      case 0xcc: return this.bigEndian(1);
      case 0xcd: return this.bigEndian(2);
      case 0xce: return this.bigEndian(4);
      case 0xcf:
      case 0xd3: return this.bigEndian(8);
      case 0xd0: return <i8>this.bigEndian(1);
      case 0xd1: return <i16>this.bigEndian(2);
      case 0xd2: return <i32>this.bigEndian(4);
      case 0xc0: return 0;
      default: this.bad = true;
    }
    return 0;
  }

  /** nil is false. */
  bool(): bool {
    const kind = this.byte();
    if (kind != 0xc0 && kind != 0xc2 && kind != 0xc3) this.bad = true;
    return kind == 0xc3;
  }

  /** Passes over one value, whatever it is. */
  skip(): void {
    // Counts what is still to be skipped instead of recursing: no nesting can exhaust the stack.
    for (let left: i64 = 1; left > 0 && !this.bad; left--) {
      const kind = this.at < this.payload.byteLength ? <i32>load<u8>(this.payload.dataStart + this.at) : 0xc1;
      if ((kind & 0xf0) == 0x80 || kind == 0xde || kind == 0xdf) left += 2 * <i64>this.map();
      else if ((kind & 0xf0) == 0x90 || kind == 0xdc || kind == 0xdd) left += this.array();
      else if ((kind & 0xe0) == 0xa0 || (kind >= 0xd9 && kind <= 0xdb) || (kind >= 0xc4 && kind <= 0xc6)) this.sized();
      else if (kind == 0xc2 || kind == 0xc3) this.bool();
      else if (kind == 0xca || kind == 0xcb) this.pass(kind == 0xca ? 5 : 9);
      else this.int();
    }
  }

  private byte(): i32 {
    const start = this.pass(1);
    return this.bad ? 0xc1 : <i32>load<u8>(this.payload.dataStart + start);
  }

  private bigEndian(bytes: i32): i64 {
    const start = this.pass(bytes);
    let value: i64 = 0;
    for (let i = 0; i < bytes && !this.bad; i++) value = (value << 8) | load<u8>(this.payload.dataStart + start + i);
    return value;
  }

  /** Passes over `size` bytes; returns where they start. */
  private pass(size: i64): i32 {
    const start = this.at;
    if (this.bad || size > <i64>this.payload.byteLength - start) this.bad = true;
    else this.at = start + <i32>size;
    return start;
  }

  /** Passes over a str or bin; returns where its bytes start. They end at `this.at`. */
  private sized(): i32 {
    const kind = this.byte();
    if ((kind & 0xe0) == 0xa0) return this.pass(kind & 0x1f);
    if (kind == 0xd9 || kind == 0xc4) return this.pass(this.bigEndian(1));
    if (kind == 0xda || kind == 0xc5) return this.pass(this.bigEndian(2));
    if (kind == 0xdb || kind == 0xc6) return this.pass(this.bigEndian(4));
    if (kind != 0xc0) this.bad = true;
    return this.at;
  }

  private count(fix: i32, kind16: i32): i32 {
    const kind = this.byte();
    let count: i64 = 0;
    if ((kind & 0xf0) == fix) count = kind & 0x0f;
    else if (kind == kind16) count = this.bigEndian(2);
    else if (kind == kind16 + 1) count = this.bigEndian(4);
    else if (kind != 0xc0) this.bad = true;
    // Each item takes a byte at least: a larger count is a lie, and would be a long loop.
    if (count > <i64>this.payload.byteLength - this.at) this.bad = true;
    return this.bad ? 0 : <i32>count;
  }
}
