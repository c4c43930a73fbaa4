/**
 * wasmcloud:sqldb: statements with parameters, rows. Values are CBOR, https://www.rfc-editor.org/rfc/rfc8949.
 *
 *     sql.execute("INSERT INTO people VALUES (?, ?)", [sql.text("Ada"), sql.integer(36)]);
 *
 * What the database refuses fails the call with `sql: ` and its words.
 */
import { callProvider, fail, failed, failWith } from "./call";
import { Reader, Writer } from "./msgpack";
import { quoted } from "./json";

const CONTRACT = "wasmcloud:sqldb";

export enum Kind { Nothing, Truth, Integer, Real, Text, Bytes }

/** Of a statement or a row. */
export class Value {
  truth: bool = false;
  integer: i64 = 0;
  real: f64 = 0;
  text: string = "";
  bytes: Uint8Array = new Uint8Array(0);

  constructor(public readonly kind: Kind) {}

  json(): string {
    switch (this.kind) {
      case Kind.Nothing: return "null";
      case Kind.Truth: return this.truth ? "true" : "false";
      case Kind.Integer: return this.integer.toString();
      case Kind.Real: return isFinite(this.real) ? this.real.toString() : "null";
      case Kind.Text: return quoted(this.text);
      default: failWith("invalid", "JSON has no form for bytes");
    }
    return "null";
  }
}

export function nothing(): Value {
  return new Value(Kind.Nothing);
}

export function truth(truth: bool): Value {
  const value = new Value(Kind.Truth);
  value.truth = truth;
  return value;
}

export function integer(integer: i64): Value {
  const value = new Value(Kind.Integer);
  value.integer = integer;
  return value;
}

export function real(real: f64): Value {
  const value = new Value(Kind.Real);
  value.real = real;
  return value;
}

export function text(text: string): Value {
  const value = new Value(Kind.Text);
  value.text = text;
  return value;
}

export function bytes(bytes: Uint8Array): Value {
  const value = new Value(Kind.Bytes);
  value.bytes = bytes;
  return value;
}

export class Table {
  columns: string[] = [];
  rows: Value[][] = [];

  /** The place of a column; the call fails without one. */
  column(name: string): i32 {
    const at = this.columns.indexOf(name);
    if (at < 0) failWith("invalid", "the result has no column " + name);
    return max(at, 0);
  }
}

/** The number of rows that it changed. */
export function execute(statement: string, parameters: Value[] = []): i64 {
  const reader = ask("SqlDb.Execute", statement, parameters);
  let affected: i64 = 0;
  for (let left = reader.map(); left > 0 && !reader.bad && !failed(); left--) {
    const field = reader.text();
    if (field == "rowsAffected") affected = reader.int();
    else if (field == "error") readError(reader);
    else reader.skip();
  }
  check(reader);
  return affected;
}

export function query(statement: string, parameters: Value[] = []): Table {
  const reader = ask("SqlDb.Query", statement, parameters);
  const table = new Table();
  let rows = new Uint8Array(0);
  for (let left = reader.map(); left > 0 && !reader.bad && !failed(); left--) {
    const field = reader.text();
    if (field == "columns") readColumns(reader, table.columns);
    else if (field == "rows") rows = reader.bytes();
    else if (field == "error") readError(reader);
    else reader.skip();
  }
  check(reader);
  if (!failed() && rows.byteLength) readRows(rows, table.rows);
  return table;
}

function ask(operation: string, statement: string, parameters: Value[]): Reader {
  const message = new Writer().map(2).field("sql", statement).text("parameters").array(parameters.length);
  for (let i = 0; i < parameters.length; i++) message.bytes(new Cbor().value(parameters[i]));
  return new Reader(callProvider(CONTRACT, operation, message.done()));
}

function check(reader: Reader): void {
  if (reader.bad && !failed()) fail("malformed_message: the database's reply cannot be read");
}

function readError(reader: Reader): void {
  if (reader.nil()) return;
  let code = "";
  let message = "";
  for (let left = reader.map(); left > 0 && !reader.bad; left--) {
    const field = reader.text();
    if (field == "code") code = reader.text();
    else if (field == "message") message = reader.text();
    else reader.skip();
  }
  if (!reader.bad) failWith("sql", `${code}: ${message}`);
}

function readColumns(reader: Reader, names: string[]): void {
  for (let columns = reader.array(); columns > 0 && !reader.bad; columns--) {
    for (let left = reader.map(); left > 0 && !reader.bad; left--) {
      if (reader.text() == "name") names.push(reader.text());
      else reader.skip();
    }
  }
}

function readRows(coded: Uint8Array, rows: Value[][]): void {
  const reader = new CborReader(coded);
  for (let left = reader.array(); left > 0 && !reader.bad; left--) {
    const row: Value[] = [];
    for (let values = reader.array(); values > 0 && !reader.bad; values--) row.push(reader.value());
    rows.push(row);
  }
  if (reader.bad) fail("malformed_message: the rows cannot be read");
}

/** Writes one value. */
class Cbor {
  private buffer: Uint8Array = new Uint8Array(9);

  value(value: Value): Uint8Array {
    switch (value.kind) {
      case Kind.Truth: return this.head(0xe0, value.truth ? 21 : 20, 1);
      case Kind.Integer: return value.integer < 0 ? this.head(0x20, ~value.integer, 9) : this.head(0, value.integer, 9);
      case Kind.Real: return this.head(0xe0, reinterpret<i64>(value.real), 9);
      case Kind.Text: return this.sized(0x60, Uint8Array.wrap(String.UTF8.encode(value.text)));
      case Kind.Bytes: return this.sized(0x40, value.bytes);
      default: return this.head(0xe0, 22, 1);
    }
  }

  private head(major: i32, value: i64, size: i32): Uint8Array {
    if (size == 1) this.buffer[0] = <u8>(major | <i32>value);
    else {
      this.buffer[0] = <u8>(major | 27);
      for (let i = 1; i < 9; i++) this.buffer[i] = <u8>(value >> (64 - 8 * i));
    }
    return this.buffer.subarray(0, size);
  }

  private sized(major: i32, bytes: Uint8Array): Uint8Array {
    this.head(major, bytes.byteLength, 9);
    const whole = new Uint8Array(9 + bytes.byteLength);
    whole.set(this.buffer);
    whole.set(bytes, 9);
    return whole;
  }
}

class CborReader {
  bad: bool = false;
  private at: i32 = 0;
  private short: i32 = 0;

  constructor(private readonly coded: Uint8Array) {}

  array(): i32 {
    const first = this.byte();
    const items = this.argument(first);
    // Each item takes a byte at least.
    if (first >> 5 != 4 || items < 0 || items > <i64>this.coded.byteLength - this.at) this.bad = true;
    return this.bad ? 0 : <i32>items;
  }

  value(): Value {
    const first = this.byte();
    const number = this.argument(first);
    if (this.bad) return nothing();
    switch (first >> 5) {
      case 0:
      case 1:
        if (number < 0) this.bad = true; // beyond 63 bits
        return integer(first >> 5 == 0 ? number : ~number);
      case 2: return bytes(this.take(number));
      case 3: {
        const taken = this.take(number);
        return text(String.UTF8.decodeUnsafe(taken.dataStart, taken.byteLength));
      }
      case 7: return this.simple(number);
      default: this.bad = true;
    }
    return nothing();
  }

  private simple(number: i64): Value {
    switch (this.short) {
      case 20:
      case 21: return truth(this.short == 21);
      case 22: return nothing();
      case 25: return real(half(<i32>number));
      case 26: return real(reinterpret<f32>(<i32>number));
      case 27: return real(reinterpret<f64>(number));
      default: this.bad = true;
    }
    return nothing();
  }

  private byte(): i32 {
    if (this.at < this.coded.byteLength) return load<u8>(this.coded.dataStart + this.at++);
    this.bad = true;
    return 0;
  }

  private argument(first: i32): i64 {
    this.short = first & 31;
    if (this.short < 24) return this.short;
    if (this.short > 27) this.bad = true; // of a length that is not known ahead; the provider does not send those
    let value: i64 = 0;
    for (let i = 0; i < 1 << (this.short - 24) && !this.bad; i++) value = (value << 8) | this.byte();
    return value;
  }

  private take(size: i64): Uint8Array {
    if (size < 0 || size > <i64>this.coded.byteLength - this.at) {
      this.bad = true;
      return new Uint8Array(0);
    }
    const start = this.at;
    this.at += <i32>size;
    return this.coded.slice(start, this.at);
  }
}

/** A number of 16 bits. */
function half(bits: i32): f64 {
  const exponent = (bits >> 10) & 31;
  const fraction = <f64>(bits & 1023);
  const sign: f64 = bits & 0x8000 ? -1 : 1;
  if (exponent == 31) return fraction ? NaN : sign * Infinity;
  if (!exponent) return sign * fraction * Math.pow(2, -24);
  return sign * (1024 + fraction) * Math.pow(2, exponent - 25);
}
