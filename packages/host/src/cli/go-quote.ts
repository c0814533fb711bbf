/** Strings in double quotes as Go's `%q` writes them: what prints stays, everything else is escaped. */

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x07, '\\a'],
  [0x08, '\\b'],
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0b, '\\v'],
  [0x0c, '\\f'],
  [0x0d, '\\r'],
  [0x22, '\\"'],
  [0x5c, '\\\\'],
]);

/** What Go calls printable: letters, marks, numbers, punctuation, symbols, and the ASCII space. */
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

export function goQuote(text: string): string {
  return goQuoteBytes(Buffer.from(text));
}

/** Bytes that are no UTF-8 become `\xNN`. */
export function goQuoteBytes(bytes: Uint8Array): string {
  let quoted = '"';
  for (let at = 0; at < bytes.length; ) {
    const length = runeLength(bytes, at);
    const byte = bytes[at] ?? 0;
    if (length === 0) {
      quoted += `\\x${byte.toString(16).padStart(2, '0')}`;
      at++;
      continue;
    }
    quoted += quoteRune(Buffer.from(bytes.subarray(at, at + length)).toString());
    at += length;
  }
  return `${quoted}"`;
}

function quoteRune(rune: string): string {
  const code = rune.codePointAt(0) ?? 0;
  const escaped = ESCAPES.get(code);
  if (escaped !== undefined) return escaped;
  if (PRINTABLE.test(rune)) return rune;
  if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code > 0xffff) return `\\U${code.toString(16).padStart(8, '0')}`;
  return `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Bytes of the rune that begins at `at`; 0 where there is no whole one. */
function runeLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length === 0 || first > 0xf4 || at + length > bytes.length) return 0;
  let code = first & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i] ?? 0;
    if ((next & 0xc0) !== 0x80) return 0;
    code = (code << 6) | (next & 0x3f);
  }
  const isTooLong = (length === 3 && code < 0x800) || (length === 4 && code < 0x10000);
  const isSurrogate = code >= 0xd800 && code <= 0xdfff;
  return isTooLong || isSurrogate || code > 0x10ffff ? 0 : length;
}
