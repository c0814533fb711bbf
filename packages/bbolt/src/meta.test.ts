import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fnv1a64 } from './fnv1a.ts';
import { decodeMeta, encodeMeta, isMetaFault, META_BYTES, type Meta, NO_FREELIST } from './meta.ts';

function hash(text: string): string {
  const { high, low } = fnv1a64(Buffer.from(text), 0, text.length);
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}

test('FNV-1a agrees with the vectors of its authors', () => {
  assert.equal(hash(''), 'cbf29ce484222325');
  assert.equal(hash('a'), 'af63dc4c8601ec8c');
  assert.equal(hash('b'), 'af63df4c8601f1a5');
  assert.equal(hash('foobar'), '85944171f73967e8');
});

test('FNV-1a agrees with the definition in big integers', () => {
  const bytes = Buffer.alloc(500);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7919) >>> 3;
  let expected = 0xcbf29ce484222325n;
  for (const byte of bytes) expected = ((expected ^ BigInt(byte)) * 0x100000001b3n) % 2n ** 64n;
  const { high, low } = fnv1a64(bytes, 0, bytes.length);
  assert.equal((BigInt(high) << 32n) | BigInt(low), expected);
});

const META: Meta = {
  pageSizeBytes: 4096,
  rootPgid: 77,
  rootSequence: 2n ** 64n - 3n,
  freelistPgid: NO_FREELIST,
  highWaterPgid: 5_000_000,
  txid: 2 ** 52 + 1,
};

function encoded(meta: Meta): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(META_BYTES);
  const view = new DataView(bytes.buffer);
  encodeMeta(bytes, view, 0, meta, 1);
  return { bytes, view };
}

test('a meta page says what was written', () => {
  for (const meta of [META, { ...META, freelistPgid: 12, txid: 0, rootSequence: 0n }]) {
    const { bytes, view } = encoded(meta);
    assert.deepEqual(decodeMeta(bytes, view, 0), meta);
  }
});

test('a meta page with any bit changed is refused', () => {
  const { bytes, view } = encoded(META);
  for (let bit = 16 * 8; bit < META_BYTES * 8; bit++) {
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
    assert.ok(isMetaFault(decodeMeta(bytes, view, 0)), `bit ${bit}`);
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
  }
});

test('a meta page with a right checksum over wrong figures is refused', () => {
  const wrong: [Partial<Meta>, string][] = [
    [{ pageSizeBytes: 4095 }, 'page-size'],
    [{ pageSizeBytes: 512 }, 'page-size'],
    [{ rootPgid: 1 }, 'corrupt'],
    [{ freelistPgid: 0 }, 'corrupt'],
    [{ highWaterPgid: 2 ** 31 }, 'too-large'],
    [{ txid: Number.MAX_SAFE_INTEGER }, 'too-large'],
  ];
  for (const [change, code] of wrong) {
    const { bytes, view } = encoded({ ...META, ...change });
    const result = decodeMeta(bytes, view, 0);
    assert.equal(isMetaFault(result) && result.code, code);
  }
});
