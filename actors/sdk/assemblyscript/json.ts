/** JSON: objects read member by member and checked, and written. */
import { failWith } from "./call";

/** A JSON string, with its quotes. */
export function quoted(text: string): string {
  const result = new Units(text.length + 2);
  result.push(0x22);
  let done = 0; // everything before it is in `result`
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x20 && code != 0x22 && code != 0x5c) continue;
    result.copy(text, done, i);
    result.push(0x5c);
    if (code >= 0x20) result.push(code);
    else result.copy("u00" + (code < 16 ? "0" : "") + code.toString(16), 0, 5);
    done = i + 1;
  }
  result.copy(text, done, text.length);
  result.push(0x22);
  return result.done();
}

/** A string that grows. Adding strings copies both each time, and nothing is given back before the call is over. */
class Units {
  private buffer: ArrayBuffer;
  private size: i32 = 0;

  constructor(units: i32) {
    this.buffer = new ArrayBuffer(units << 1);
  }

  push(unit: i32): void {
    this.room(2);
    store<u16>(changetype<usize>(this.buffer) + this.size, <u16>unit);
    this.size += 2;
  }

  copy(text: string, start: i32, end: i32): void {
    const bytes = (end - start) << 1;
    this.room(bytes);
    memory.copy(changetype<usize>(this.buffer) + this.size, changetype<usize>(text) + (<usize>start << 1), bytes);
    this.size += bytes;
  }

  done(): string {
    return String.UTF16.decodeUnsafe(changetype<usize>(this.buffer), this.size);
  }

  private room(more: i32): void {
    if (this.size + more <= this.buffer.byteLength) return;
    const larger = new ArrayBuffer(this.buffer.byteLength * 2 + more);
    memory.copy(changetype<usize>(larger), changetype<usize>(this.buffer), this.size);
    this.buffer = larger;
  }
}

/** Values nested deeper count as malformed. */
const NESTING_MAX = 32;

enum Kind { Text, Number, Truth, Nothing, List, Fields }

/** One value, as it is written. */
class Member {
  constructor(public readonly kind: Kind, public readonly raw: string, public readonly text: string) {}
}

/**
 * The members of a JSON object. Those that ask for a member which is missing or of another type fail the call with
 * `invalid: ` and its name, and return nothing much: errors stick.
 */
export class Fields {
  private readonly members: Map<string, Member> = new Map<string, Member>();

  /** Whether the text was one well-formed JSON object. */
  public readonly wellFormed: bool;

  /** `quiet`: a text that is no JSON object fails nothing; then there are no members. */
  constructor(json: string, quiet: bool = false) {
    const scanner = new Scanner(json);
    const value = scanner.whole();
    this.wellFormed = !scanner.bad && value.kind == Kind.Fields;
    if (this.wellFormed) new Scanner(json).members(this.members);
    else if (!quiet) failWith("invalid", scanner.bad ? "this is not JSON" : "a JSON object is wanted");
  }

  /** Whether the member is there, and not null. */
  has(name: string): bool {
    return this.members.has(name) && this.members.get(name).kind != Kind.Nothing;
  }

  text(name: string): string {
    const member = this.member(name, Kind.Text, " must be a text");
    return member === null ? "" : member.text;
  }

  /** null when it is missing or null. */
  optionalText(name: string): string | null {
    return this.has(name) ? this.text(name) : null;
  }

  /** Without fraction and exponent. */
  integer(name: string): i64 {
    const member = this.member(name, Kind.Number, " must be a whole number");
    if (member === null) return 0;
    const raw = member.raw;
    const negative = raw.charCodeAt(0) == 0x2d;
    let value: i64 = 0;
    for (let i = negative ? 1 : 0; i < raw.length; i++) {
      const digit = <i64>raw.charCodeAt(i) - 0x30;
      if (digit < 0 || digit > 9) return this.refuse(name, " must be a whole number");
      // Downwards, where there is one number more.
      if (value < (i64.MIN_VALUE + digit) / 10) return this.refuse(name, " is out of range");
      value = value * 10 - digit;
    }
    if (!negative && value == i64.MIN_VALUE) return this.refuse(name, " is out of range");
    return negative ? value : -value;
  }

  /** `otherwise` when it is missing or null. */
  optionalInteger(name: string, otherwise: i64): i64 {
    return this.has(name) ? this.integer(name) : otherwise;
  }

  number(name: string): f64 {
    const member = this.member(name, Kind.Number, " must be a number");
    return member === null ? 0 : parseFloat(member.raw);
  }

  optionalNumber(name: string, otherwise: f64): f64 {
    return this.has(name) ? this.number(name) : otherwise;
  }

  truth(name: string): bool {
    const member = this.member(name, Kind.Truth, " must be true or false");
    return member !== null && member.raw == "true";
  }

  texts(name: string): string[] {
    const texts: string[] = [];
    const member = this.member(name, Kind.List, " must be a list of texts");
    if (member !== null && !new Scanner(member.raw).texts(texts)) this.refuse(name, " must be a list of texts");
    return texts;
  }

  fields(name: string): Fields {
    const member = this.member(name, Kind.Fields, " must be an object");
    return new Fields(member === null ? "{}" : member.raw);
  }

  isText(name: string): bool {
    return this.members.has(name) && this.members.get(name).kind == Kind.Text;
  }

  isNumber(name: string): bool {
    return this.members.has(name) && this.members.get(name).kind == Kind.Number;
  }

  /** Any value, as it is written; null when it is missing or null. */
  raw(name: string): string | null {
    return this.has(name) ? this.members.get(name).raw : null;
  }

  private member(name: string, kind: Kind, wanted: string): Member | null {
    if (!this.members.has(name)) {
      this.refuse(name, " is missing");
      return null;
    }
    const member = this.members.get(name);
    if (member.kind == kind) return member;
    this.refuse(name, wanted);
    return null;
  }

  private refuse(name: string, what: string): i64 {
    failWith("invalid", quoted(name) + what);
    return 0;
  }
}

/** Makes one JSON object. Every method returns the writer, so that calls can be chained. */
export class Writer {
  private json: string = "{";

  text(name: string, value: string): Writer {
    return this.raw(name, quoted(value));
  }

  /** A text, or null. */
  optionalText(name: string, value: string | null): Writer {
    return this.raw(name, value === null ? "null" : quoted(value));
  }

  integer(name: string, value: i64): Writer {
    return this.raw(name, value.toString());
  }

  /** JSON has no infinity: null then. */
  number(name: string, value: f64): Writer {
    return this.raw(name, isFinite(value) ? value.toString() : "null");
  }

  truth(name: string, value: bool): Writer {
    return this.raw(name, value ? "true" : "false");
  }

  texts(name: string, values: string[]): Writer {
    return this.raw(name, "[" + values.map<string>((value) => quoted(value)).join(",") + "]");
  }

  /** A value that is JSON already. */
  raw(name: string, json: string): Writer {
    this.json += (this.json.length > 1 ? "," : "") + quoted(name) + ":" + json;
    return this;
  }

  done(): string {
    return this.json + "}";
  }
}

/** The text member `field` of a JSON object; null if `json` is not one well-formed object that has it. */
export function text(json: string, field: string): string | null {
  const fields = new Fields(json, true);
  return fields.isText(field) ? fields.text(field) : null;
}

/** The number member `field` of a JSON object, without its fraction; `otherwise` if there is none. */
export function integer(json: string, field: string, otherwise: i64): i64 {
  const fields = new Fields(json, true);
  if (!fields.isNumber(field)) return otherwise;
  const number = fields.number(field);
  return Math.abs(number) < <f64>F64.MAX_SAFE_INTEGER ? <i64>number : otherwise;
}

class Scanner {
  bad: bool = false;
  private at: i32 = 0;

  constructor(private readonly json: string) {}

  /** The one value that all of the text is. */
  whole(): Member {
    const value = this.value(0);
    this.peek();
    if (this.at < this.json.length) this.bad = true;
    return value;
  }

  /** Of an object that is known to be well-formed; of members of one name the last counts. */
  members(found: Map<string, Member>): void {
    this.expect(0x7b); // {
    if (this.accept(0x7d)) return;
    do {
      this.peek();
      const name = this.string();
      this.expect(0x3a); // :
      found.set(name, this.value(1));
    } while (this.accept(0x2c));
  }

  /** Of a list that is known to be well-formed; false if there is something else in it. */
  texts(found: string[]): bool {
    this.expect(0x5b); // [
    if (this.accept(0x5d)) return true;
    do {
      if (this.peek() != 0x22) return false;
      found.push(this.string());
    } while (this.accept(0x2c));
    return true;
  }

  private value(nesting: i32): Member {
    const first = this.peek();
    const start = this.at;
    const isText = first == 0x22;
    let text = "";
    if (isText) text = this.string();
    else this.skip(nesting);
    return new Member(kindOf(first), this.json.substring(start, this.at), text);
  }

  /** The next character that is not white space; 0 at the end. */
  private peek(): i32 {
    while (this.at < this.json.length) {
      const code = this.json.charCodeAt(this.at);
      if (code != 0x20 && code != 0x09 && code != 0x0a && code != 0x0d) return code;
      this.at++;
    }
    return 0;
  }

  private accept(wanted: i32): bool {
    if (this.bad || this.peek() != wanted) return false;
    this.at++;
    return true;
  }

  private expect(wanted: i32): void {
    if (!this.accept(wanted)) this.bad = true;
  }

  private next(): i32 {
    if (this.at < this.json.length) return this.json.charCodeAt(this.at++);
    this.bad = true;
    return 0;
  }

  private string(): string {
    this.expect(0x22);
    const start = this.at;
    let result: Units | null = null;
    let done = start; // everything before it is in `result`, once there is one
    while (!this.bad) {
      const code = this.next();
      if (code == 0x22) {
        if (result === null) return this.json.substring(start, this.at - 1);
        result.copy(this.json, done, this.at - 1);
        return result.done();
      }
      if (code < 0x20) this.bad = true;
      if (code != 0x5c) continue;
      if (result === null) result = new Units(64);
      result.copy(this.json, done, this.at - 1);
      this.escape(result);
      done = this.at;
    }
    return "";
  }

  private escape(result: Units): void {
    const code = this.next();
    switch (code) {
      case 0x22:
      case 0x5c:
      case 0x2f: return result.push(code);
      case 0x62: return result.push(8);
      case 0x66: return result.push(12);
      case 0x6e: return result.push(10);
      case 0x72: return result.push(13);
      case 0x74: return result.push(9);
      case 0x75: return this.units(result);
      default: this.bad = true;
    }
  }

  /** What follows \u: one unit of UTF-16, which is what strings are made of here, or the two of a pair. */
  private units(result: Units): void {
    const first = this.unit();
    result.push(first);
    if (first < 0xd800 || first > 0xdfff) return;
    if (this.next() != 0x5c || this.next() != 0x75) this.bad = true;
    const second = this.unit();
    if (first > 0xdbff || second < 0xdc00 || second > 0xdfff) this.bad = true;
    result.push(second);
  }

  private unit(): i32 {
    let unit = 0;
    for (let i = 0; i < 4; i++) {
      const code = this.next();
      const lower = code | 0x20;
      if (isDigit(code)) unit = (unit << 4) | (code - 0x30);
      else if (lower >= 0x61 && lower <= 0x66) unit = (unit << 4) | (lower - 0x61 + 10);
      else this.bad = true;
    }
    return unit;
  }

  private digits(): void {
    const start = this.at;
    while (this.at < this.json.length && isDigit(this.json.charCodeAt(this.at))) this.at++;
    if (this.at == start) this.bad = true;
  }

  private oneOf(one: i32, other: i32): bool {
    const code = this.at < this.json.length ? this.json.charCodeAt(this.at) : 0;
    if (code != one && code != other) return false;
    this.at++;
    return true;
  }

  private number(): void {
    this.oneOf(0x2d, 0x2d); // -
    if (!this.oneOf(0x30, 0x30)) this.digits();
    if (this.oneOf(0x2e, 0x2e)) this.digits();
    if (this.oneOf(0x65, 0x45)) {
      this.oneOf(0x2b, 0x2d);
      this.digits();
    }
  }

  private word(word: string): void {
    if (this.json.startsWith(word, this.at)) this.at += word.length;
    else this.bad = true;
  }

  private skip(nesting: i32): void {
    if (this.bad || nesting > NESTING_MAX) {
      this.bad = true;
      return;
    }
    const first = this.peek();
    if (first == 0x22) this.string();
    else if (first == 0x74) this.word("true");
    else if (first == 0x66) this.word("false");
    else if (first == 0x6e) this.word("null");
    else if (first == 0x5b || first == 0x7b) {
      const close = first + 2; // ] follows [ by two, and } follows {
      this.at++;
      if (this.accept(close)) return;
      do {
        if (first == 0x7b) {
          this.string();
          this.expect(0x3a);
        }
        this.skip(nesting + 1);
      } while (this.accept(0x2c));
      this.expect(close);
    } else this.number();
  }
}

function isDigit(code: i32): bool {
  return code >= 0x30 && code <= 0x39;
}

function kindOf(first: i32): Kind {
  switch (first) {
    case 0x22: return Kind.Text;
    case 0x74:
    case 0x66: return Kind.Truth;
    case 0x6e: return Kind.Nothing;
    case 0x5b: return Kind.List;
    case 0x7b: return Kind.Fields;
    default: return Kind.Number;
  }
}
