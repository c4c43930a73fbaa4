/** UTF-8 without TextEncoder, which the small engine has not. */

/** Half a character becomes U+FFFD. */
export function encode(text: string): Uint8Array {
  let size = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    size += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
  }
  // A pair of surrogates is counted as six bytes and takes four.
  const bytes = new Uint8Array(size);
  if (size === text.length) {
    for (let i = 0; i < size; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code >= 0xd800 && code < 0xe000) {
      const low = code < 0xdc00 ? text.charCodeAt(i + 1) : 0;
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        i++;
      } else code = 0xfffd;
    }
    if (code < 0x80) bytes[at++] = code;
    else {
      if (code < 0x800) bytes[at++] = 0xc0 | (code >> 6);
      else {
        if (code < 0x10000) bytes[at++] = 0xe0 | (code >> 12);
        else {
          bytes[at++] = 0xf0 | (code >> 18);
          bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
        }
        bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
      }
      bytes[at++] = 0x80 | (code & 0x3f);
    }
  }
  return bytes.subarray(0, at);
}

/** The text of bytes that are few and ASCII, as nearly all are: without a step for each character but one. */
function asciiOf(bytes: Uint8Array): string | null {
  if (bytes.length > PIECE) return null;
  for (let at = 0; at < bytes.length; at++) if (bytes[at]! >= 0x80) return null;
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

const PIECE = 4096; // what String.fromCharCode takes at once, far below every limit of arguments

/** null for what is no UTF-8. */
export function decode(bytes: Uint8Array): string | null {
  const ascii = asciiOf(bytes);
  if (ascii !== null) return ascii;
  const units: number[] = [];
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++]!;
    if (first < 0x80) units.push(first);
    else {
      const more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
      if (first < 0xc2 || first > 0xf4 || at + more > bytes.length) return null;
      let code = first & (0x3f >> more);
      for (let i = 0; i < more; i++) {
        const next = bytes[at++]!;
        if ((next & 0xc0) !== 0x80) return null;
        code = (code << 6) | (next & 0x3f);
      }
      if (more === 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return null;
      if (more === 3 && (code < 0x10000 || code > 0x10ffff)) return null;
      if (code < 0x10000) units.push(code);
      else units.push(0xd7c0 + (code >> 10), 0xdc00 | (code & 0x3ff));
    }
    if (units.length >= PIECE) {
      text += String.fromCharCode(...units);
      units.length = 0;
    }
  }
  return text + String.fromCharCode(...units);
}
