/** The operating system's random numbers as a {@link Random}. */
import fs from 'node:fs';
import { assert } from '../assert.ts';
import type { Random } from '../random.ts';

const POOL_WORDS = 256;

export class NodeRandom implements Random {
  readonly #pool = new Uint32Array(POOL_WORDS);
  #next = POOL_WORDS;

  uint32(): number {
    if (this.#next === POOL_WORDS) {
      fill(this.#pool);
      this.#next = 0;
    }
    return this.#pool[this.#next++]!;
  }

  below(limit: number): number {
    assert(limit > 0 && limit <= 0x1_0000_0000, 'below: limit out of range');
    return Math.floor((this.uint32() / 0x1_0000_0000) * limit);
  }
}

/** From the device where there is one: `node:crypto` takes ten milliseconds to load, and nothing else at a start needs it. */
function fill(words: Uint32Array): void {
  if (!fillFromDevice(words)) globalThis.crypto.getRandomValues(words);
}

/** False: there is none, or a signal came, behind which older kernels give less than was asked for. */
function fillFromDevice(words: Uint32Array): boolean {
  const device = openDevice();
  if (device === null) return false;
  try {
    return fs.readSync(device, words) === words.byteLength;
  } finally {
    fs.closeSync(device);
  }
}

function openDevice(): number | null {
  try {
    return fs.openSync('/dev/urandom', 'r');
  } catch {
    return null;
  }
}
