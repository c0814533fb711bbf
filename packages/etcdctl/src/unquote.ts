/** Reads a string of Go: in double quotes with escapes, or between backquotes as it is. */
import { wordOf } from './words.ts';

const SIMPLE: Readonly<Record<string, number>> = {
  a: 0x07,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
  v: 0x0b,
  '\\': 0x5c,
  '"': 0x22,
};

const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/gsy;

/** The string that begins at `at`, and the position behind it; null where there is none. */
export function unquoteAt(
  source: string,
  at: number,
): { readonly text: string; readonly end: number } | null {
  if (source[at] === '`') {
    const end = source.indexOf('`', at + 1);
    return end < 0 ? null : { text: source.slice(at + 1, end), end: end + 1 };
  }
  if (source[at] !== '"') return null;
  const parts: Buffer[] = [];
  let hasBytes = false;
  let position = at + 1;
  while (position < source.length) {
    const character = source[position] ?? '';
    if (character === '"') {
      const whole = Buffer.concat(parts);
      return { text: hasBytes ? wordOf(whole) : whole.toString(), end: position + 1 };
    }
    if (character === '\n') return null;
    if (character !== '\\') {
      const rune = String.fromCodePoint(source.codePointAt(position) ?? 0);
      parts.push(Buffer.from(rune));
      position += rune.length;
      continue;
    }
    ESCAPE.lastIndex = position;
    const match = ESCAPE.exec(source);
    const bytes = match === null ? null : escapedBytes(match);
    if (match === null || bytes === null) return null;
    hasBytes ||= match[1] !== undefined || match[2] !== undefined;
    parts.push(bytes);
    position = ESCAPE.lastIndex;
  }
  return null;
}

function escapedBytes([, hex, octal, short, long, simple]: readonly (string | undefined)[]): Buffer | null {
  if (hex !== undefined) return Buffer.from([Number.parseInt(hex, 16)]);
  if (octal !== undefined) {
    const value = Number.parseInt(octal, 8);
    return value > 0xff ? null : Buffer.from([value]);
  }
  const rune = short ?? long;
  if (rune !== undefined) {
    const code = Number.parseInt(rune, 16);
    return code > 0x10ffff ? null : Buffer.from(String.fromCodePoint(code));
  }
  const byte = SIMPLE[simple ?? ''];
  return byte === undefined ? null : Buffer.from([byte]);
}
