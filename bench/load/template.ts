/**
 * A request that is encoded once and has the number of its key written over in place: what varies between requests
 * must not cost the generator an encoding, or it would be the bottleneck.
 */
import { KEY_DIGITS, type KeySpace } from './job.ts';

const PLACEHOLDER = '#'.repeat(KEY_DIGITS);
const ZERO = 0x30;

export class Template {
  readonly #bytes: Buffer;
  readonly #positions: number[] = [];

  /** `bytes` is a message that has the key of {@link placeholderKey} somewhere, at least once. */
  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
    for (let at = this.#bytes.indexOf(PLACEHOLDER); at >= 0; at = this.#bytes.indexOf(PLACEHOLDER, at + 1)) {
      this.#positions.push(at);
    }
  }

  /** The message with key number `index`; overwritten by the next call. */
  with(index: number): Uint8Array {
    for (const position of this.#positions) writeDigits(this.#bytes, position, index);
    return this.#bytes;
  }
}

export function placeholderKey(space: KeySpace): Buffer {
  return Buffer.from(fullPrefix(space) + PLACEHOLDER);
}

/** Key number `index` of a key space. */
export function keyOf(space: KeySpace, index: number): Buffer {
  const key = placeholderKey(space);
  writeDigits(key, key.length - KEY_DIGITS, index);
  return key;
}

/** The end of the range in which all keys of the space lie. */
export function endOf(space: KeySpace): Buffer {
  const end = Buffer.from(fullPrefix(space));
  end[end.length - 1]!++;
  return end;
}

function fullPrefix(space: KeySpace): string {
  return space.prefix.padEnd((space.keyBytes ?? 0) - KEY_DIGITS, '/');
}

function writeDigits(target: Uint8Array, position: number, index: number): void {
  for (let at = position + KEY_DIGITS - 1; at >= position; at--) {
    target[at] = ZERO + (index % 10);
    index = Math.floor(index / 10);
  }
}
