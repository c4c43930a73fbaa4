/** Texts as they stand in URLs, and what is text at all. */

export function decoded(text: string, plusIsSpace: bool): string {
  const bytes = decodedBytes(text, plusIsSpace);
  return String.UTF8.decodeUnsafe(bytes.dataStart, bytes.byteLength);
}

function hexDigit(code: i32): i32 {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** Percent-decoded, as bytes that need not be UTF-8. */
export function decodedBytes(text: string, plusIsSpace: bool): Uint8Array {
  const bytes = Uint8Array.wrap(String.UTF8.encode(text));
  const size = bytes.length;
  const result = new Uint8Array(size);
  let length = 0;
  for (let i = 0; i < size; i++) {
    let byte = <i32>bytes[i];
    if (byte == 0x2b && plusIsSpace) byte = 0x20;
    else if (byte == 0x25 && i + 2 < size) {
      const high = hexDigit(bytes[i + 1]);
      const low = hexDigit(bytes[i + 2]);
      if (high >= 0 && low >= 0) {
        byte = (high << 4) | low;
        i += 2;
      }
    }
    result[length++] = <u8>byte;
  }
  return result.subarray(0, length);
}

/** The sequences of RFC 3629: no halves of pairs, nothing written longer than needed. */
export function isUtf8(start: usize, size: i32): bool {
  const end = start + size;
  let at = start;
  while (at < end) {
    const first = <i32>load<u8>(at++);
    if (first < 0x80) continue;
    let more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || end - at < <usize>more) return false;
    const second = <i32>load<u8>(at);
    const low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return false;
    while (more--) {
      if ((load<u8>(at++) & 0xc0) != 0x80) return false;
    }
  }
  return true;
}
