import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32c, crc32cUpdate } from './index.ts';

/** One bit at a time, straight from the definition. */
function reference(bytes: Uint8Array): number {
  let state = 0xffff_ffff;
  for (const byte of bytes) {
    state ^= byte;
    for (let bit = 0; bit < 8; bit++) state = state & 1 ? (state >>> 1) ^ 0x82f63b78 : state >>> 1;
  }
  return ~state >>> 0;
}

test('crc32c agrees with the definition for every alignment, length and view', () => {
  const backing = new Uint8Array(400);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(16), fc.nat(16), (bytes, shift, start) => {
      backing.set(bytes, shift);
      const view = backing.subarray(shift, shift + bytes.length);
      const from = Math.min(start, bytes.length);
      assert.equal(crc32cUpdate(0, view, from, view.length), reference(bytes.subarray(from)));
      assert.equal(crc32c(bytes), reference(bytes));
    }),
  );
});
