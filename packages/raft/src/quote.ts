/**
 * Bytes as a quoted string in Go's syntax (its `%q` verb): text as it is, everything else escaped.
 */

const ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
};

export function quoteBytes(bytes: Uint8Array): string {
  let text = '"';
  for (let i = 0; i < bytes.length; ) {
    const length = sequenceLength(bytes, i);
    if (length === 0) {
      text += `\\x${hex(bytes[i]!, 2)}`;
      i++;
      continue;
    }
    text += quoteRune(decodeRune(bytes, i, length));
    i += length;
  }
  return `${text}"`;
}

function quoteRune(rune: number): string {
  const character = String.fromCodePoint(rune);
  const escaped = ESCAPES[character];
  if (escaped !== undefined) return escaped;
  // What Go calls printable: letters, marks, numbers, punctuation, symbols, and of the spaces the ASCII one.
  if (character === ' ' || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)) return character;
  if (rune < 0x80) return `\\x${hex(rune, 2)}`;
  return rune > 0xffff ? `\\U${hex(rune, 8)}` : `\\u${hex(rune, 4)}`;
}

/** The length of the UTF-8 sequence at `i`; 0 if it is not a valid one. */
function sequenceLength(bytes: Uint8Array, i: number): number {
  const first = bytes[i]!;
  if (first < 0x80) return 1;
  const length = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (first < 0xc2 || i + length > bytes.length) return 0;
  for (let j = 1; j < length; j++) if ((bytes[i + j]! & 0xc0) !== 0x80) return 0;
  const rune = decodeRune(bytes, i, length);
  const isOverlong = (length === 3 && rune < 0x800) || (length === 4 && rune < 0x1_0000);
  const isSurrogate = rune >= 0xd800 && rune < 0xe000;
  return isOverlong || isSurrogate || rune > 0x10_ffff ? 0 : length;
}

function decodeRune(bytes: Uint8Array, i: number, length: number): number {
  const first = bytes[i]!;
  if (length === 1) return first;
  let rune = first & (0xff >> (length + 1));
  for (let j = 1; j < length; j++) rune = (rune << 6) | (bytes[i + j]! & 0x3f);
  return rune;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
