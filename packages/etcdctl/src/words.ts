/**
 * Words of the command line are bytes, which need not be UTF-8: a key may be anything. Node decodes them and loses what is
 * not. So where something was lost, the words are read again from where the kernel keeps them; a byte that is no
 * UTF-8 becomes a lone surrogate, from which {@link bytesOf} makes the byte again.
 */
import { readFileSync } from 'node:fs';

const REPLACEMENT = '\ufffd';
/** The surrogate that stands for byte 0. */
const FIRST_SURROGATE = 0xdc00;

/** The command line without Node and the program. */
export function wordsOfProcess(argv: readonly string[]): readonly string[] {
  const words = argv.slice(2);
  if (!words.some((word) => word.includes(REPLACEMENT))) return words;
  try {
    const raw = splitWords(readFileSync('/proc/self/cmdline'));
    return raw.slice(raw.length - words.length).map(wordOf);
  } catch {
    return words;
  }
}

function splitWords(bytes: Buffer): Buffer[] {
  const words: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    words.push(bytes.subarray(at, end < 0 ? bytes.length : end));
    at = end < 0 ? bytes.length : end + 1;
  }
  return words;
}

/** Bytes as a word. */
export function wordOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString();
  if (!text.includes(REPLACEMENT)) return text;
  let word = '';
  for (let at = 0; at < bytes.length; ) {
    let length = 1;
    let piece = '';
    for (; length <= 4 && at + length <= bytes.length; length++) {
      piece = Buffer.from(bytes.subarray(at, at + length)).toString();
      if (!piece.includes(REPLACEMENT) || isReplacement(bytes, at, length)) break;
      piece = '';
    }
    if (piece === '') {
      word += String.fromCharCode(FIRST_SURROGATE + (bytes[at] ?? 0));
      at++;
    } else {
      word += piece;
      at += length;
    }
  }
  return word;
}

function isReplacement(bytes: Uint8Array, at: number, length: number): boolean {
  return length === 3 && bytes[at] === 0xef && bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd;
}

/** The bytes of a word. */
export function bytesOf(word: string): Uint8Array {
  if (!/[\udc80-\udcff]/.test(word)) return Buffer.from(word);
  const parts = word.split(/(?<![\ud800-\udbff])([\udc80-\udcff])/);
  return Buffer.concat(
    parts.map((part, i) =>
      i % 2 === 0 ? Buffer.from(part) : Buffer.from([part.charCodeAt(0) - FIRST_SURROGATE]),
    ),
  );
}
