import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { compressed, decompressed } from './compression.ts';
import { collect } from './content.ts';
import { PIECE_BYTES } from './stream-sizes.ts';

const NOISE = randomBytes(PIECE_BYTES);

test('a source is let go when its reader gives up, also one that has let it wait', async () => {
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    for (const isCompressed of [true, false]) {
      const packed = await collect(compressed([NOISE] as never, compression), 2 * PIECE_BYTES);
      let [made, isReleased] = [0, false];
      const source = async function* (): AsyncGenerator<Uint8Array, void, void> {
        try {
          // Several files in one are one, for both.
          for (; made < 100; made++) yield isCompressed ? packed : NOISE;
        } finally {
          isReleased = true;
        }
      };
      const content = (isCompressed ? decompressed : compressed)(source(), compression);
      for await (const piece of content) {
        assert.ok(piece.length > 0);
        let before: number;
        do {
          before = made;
          await pause(20);
        } while (made !== before);
        break;
      }
      assert.ok(isReleased, `${compression} ${isCompressed}`);
    }
  }
});
