/** The operating system's random numbers as a {@link Random}. */
import { randomFillSync } from 'node:crypto';
import { assert } from '../assert.ts';
import type { Random } from '../random.ts';

const POOL_WORDS = 256;

export class NodeRandom implements Random {
  readonly #pool = new Uint32Array(POOL_WORDS);
  #next = POOL_WORDS;

  uint32(): number {
    if (this.#next === POOL_WORDS) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    return this.#pool[this.#next++]!;
  }

  below(limit: number): number {
    assert(limit > 0 && limit <= 0x1_0000_0000, 'below: limit out of range');
    return Math.floor((this.uint32() / 0x1_0000_0000) * limit);
  }
}
