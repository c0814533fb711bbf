import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { SnapshotDigest } from './snapshot-digest.ts';

const body = randomBytes(512 * 3);
const whole = Buffer.concat([body, createHash('sha256').update(body).digest()]);

/** Each piece's memory is somebody else's as soon as it has been taken. */
function verdictOf(bytes: Buffer, cuts: readonly number[]): string {
  const digest = new SnapshotDigest();
  const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
  let at = 0;
  for (const end of ends) {
    const piece = Buffer.from(bytes.subarray(at, end));
    digest.update(piece);
    piece.fill(0xff);
    at = end;
  }
  assert.equal(digest.byteCount, bytes.length);
  return digest.verdict();
}

test('a snapshot is judged by its digest, however it is cut into pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(whole.length)), fc.nat(whole.length - 1), (cuts, changed) => {
      assert.equal(verdictOf(whole, cuts), 'good');
      const damaged = Buffer.from(whole);
      damaged[changed]! ^= 1;
      assert.equal(verdictOf(damaged, cuts), 'wrong');
      assert.equal(verdictOf(whole.subarray(0, -1), cuts), 'missing');
      assert.equal(verdictOf(whole.subarray(0, -512), cuts), 'wrong');
    }),
    { numRuns: 200 },
  );
  assert.equal(verdictOf(Buffer.alloc(0), []), 'missing');
  assert.equal(verdictOf(body, []), 'missing');
});

test('the hash of the whole goes with the check', () => {
  const body = Buffer.alloc(512 * 3, 'x');
  const whole = Buffer.concat([body, createHash('sha256').update(body).digest()]);
  const digest = new SnapshotDigest();
  for (let at = 0; at < whole.length; at += 100) digest.update(whole.subarray(at, at + 100));
  assert.equal(digest.verdict(), 'good');
  assert.equal(digest.sha256(), createHash('sha256').update(whole).digest('hex'));
});
