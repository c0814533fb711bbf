import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { xxhash32 } from './xxhash32.ts';

const SEED = 32;

test('hashes of XXH32 that others have published', () => {
  const published: readonly [string, number, number][] = [
    ['', 0, 0x02cc5d05],
    ['a', 0, 0x550d7456],
    ['abc', 0, 0x32d153ff],
    ['Nobody inspects the spammish repetition', 0, 0xe2293b2f],
  ];
  for (const [text, seed, hash] of published) {
    const bytes = Buffer.from(text);
    assert.equal(xxhash32(bytes, 0, bytes.length, seed), hash, text);
  }
});

test('the place in an array does not matter, every bit of the bytes does', () => {
  const random = new SeededRandom(SEED);
  for (let length = 0; length < 80; length++) {
    const bytes = Uint8Array.from({ length }, () => random.below(256));
    const hash = xxhash32(bytes, 0, length, 7);
    const elsewhere = new Uint8Array(new ArrayBuffer(length + 20), 3);
    elsewhere.set(bytes, 5);
    assert.equal(xxhash32(elsewhere, 5, 5 + length, 7), hash);
    assert.notEqual(xxhash32(bytes, 0, length, 8), hash);
    for (let bit = 0; bit < length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      assert.notEqual(xxhash32(bytes, 0, length, 7), hash, `bit ${bit} of ${length} bytes`);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  }
});
