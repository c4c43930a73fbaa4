/** JSON, as far as a small web service needs it: write texts, read the members of an object. */

/** A JSON string, with its quotes. */
export function quoted(text: string): string {
  let result = '"';
  let done = 0; // everything before it is in `result`
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x20 && code != 0x22 && code != 0x5c) continue;
    result += text.substring(done, i) + "\\";
    result += code >= 0x20 ? String.fromCharCode(code) : "u00" + (code < 16 ? "0" : "") + code.toString(16);
    done = i + 1;
  }
  return result + text.substring(done) + '"';
}

/** The text member `field` of a JSON object; null if `json` is not one well-formed object that has it. */
export function text(json: string, field: string): string | null {
  const member = new Scanner(json, field);
  member.run();
  return member.bad || !member.isText ? null : member.value;
}

/** The number member `field` of a JSON object, without its fraction; `otherwise` if there is none. */
export function integer(json: string, field: string, otherwise: i64): i64 {
  const member = new Scanner(json, field);
  member.run();
  if (member.bad || !member.isNumber) return otherwise;
  const number = parseFloat(member.value);
  return Math.abs(number) < <f64>F64.MAX_SAFE_INTEGER ? <i64>number : otherwise;
}

/** Values nested deeper count as malformed. */
const NESTING_MAX = 32;

class Scanner {
  bad: bool = false;
  isText: bool = false;
  isNumber: bool = false;
  value: string = "";
  private at: i32 = 0;

  constructor(private readonly json: string, private readonly wanted: string) {}

  run(): void {
    this.expect(0x7b); // {
    if (!this.accept(0x7d)) {
      do {
        const name = this.string();
        this.expect(0x3a); // :
        if (name == this.wanted) this.member();
        else this.skip(1);
      } while (this.accept(0x2c));
      this.expect(0x7d);
    }
    this.peek();
    if (this.at < this.json.length) this.bad = true;
  }

  private member(): void {
    const first = this.peek();
    const start = this.at;
    this.isText = first == 0x22;
    this.isNumber = first == 0x2d || isDigit(first);
    if (this.isText) this.value = this.string();
    else {
      this.skip(1);
      this.value = this.json.substring(start, this.at);
    }
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
    let result = "";
    let done = this.at;
    while (!this.bad) {
      const code = this.next();
      if (code == 0x22) return result + this.json.substring(done, this.at - 1);
      if (code < 0x20) this.bad = true;
      if (code == 0x5c) {
        result += this.json.substring(done, this.at - 1) + this.escape();
        done = this.at;
      }
    }
    return "";
  }

  private escape(): string {
    const code = this.next();
    switch (code) {
      case 0x22:
      case 0x5c:
      case 0x2f: return String.fromCharCode(code);
      case 0x62: return "\b";
      case 0x66: return "\f";
      case 0x6e: return "\n";
      case 0x72: return "\r";
      case 0x74: return "\t";
      case 0x75: return this.unit();
      default: this.bad = true;
    }
    return "";
  }

  /** Four hexadecimal digits: one unit of UTF-16, which is what strings are made of here. */
  private unit(): string {
    let unit = 0;
    for (let i = 0; i < 4; i++) {
      const code = this.next();
      const lower = code | 0x20;
      if (isDigit(code)) unit = (unit << 4) | (code - 0x30);
      else if (lower >= 0x61 && lower <= 0x66) unit = (unit << 4) | (lower - 0x61 + 10);
      else this.bad = true;
    }
    return String.fromCharCode(unit);
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
