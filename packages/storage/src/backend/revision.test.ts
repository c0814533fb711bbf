import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareBytes } from '@etcd/base';
import fc from 'fast-check';
import {
  isRevision,
  mainOf,
  REVISION_BYTES,
  revisionBytes,
  subOf,
  TOMBSTONE_REVISION_BYTES,
  writeRevision,
} from './revision.ts';

const main = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.constantFrom(0xff, 0x100, 0xffff_ffff, 2 ** 32, 2 ** 52, 2 ** 53 - 1),
);
const sub = fc.oneof(fc.nat(300), fc.constantFrom(0xff_ffff, 0x100_0000, 0x7fff_ffff));

/** As the format says it. */
function described(mainRevision: number, subRevision: number, isTombstone: boolean): Buffer {
  const bytes = Buffer.alloc(isTombstone ? 18 : 17);
  bytes.writeBigUInt64BE(BigInt(mainRevision), 0);
  bytes.write('_', 8);
  bytes.writeBigUInt64BE(BigInt(subRevision), 9);
  if (isTombstone) bytes.write('t', 17);
  return bytes;
}

test('a revision is written as the format says, at its place alone, and read again', () => {
  fc.assert(
    fc.property(main, sub, fc.boolean(), fc.nat(20), (m, s, isTombstone, at) => {
      const target = new Uint8Array(at + TOMBSTONE_REVISION_BYTES + 3).fill(0xee);
      const length = writeRevision(target, m, s, isTombstone, at);
      const end = at + length;
      assert.equal(length, isTombstone ? TOMBSTONE_REVISION_BYTES : REVISION_BYTES);
      assert.deepEqual(Buffer.from(target.subarray(at, end)), described(m, s, isTombstone));
      const outside = [...target.subarray(0, at), ...target.subarray(at + TOMBSTONE_REVISION_BYTES)];
      assert.ok(outside.every((byte) => byte === 0xee));
      assert.deepEqual([mainOf(target, at), subOf(target, at)], [m, s]);
      assert.ok(isRevision(target, at, end));
      for (const other of [16, 17, 18, 19])
        assert.equal(isRevision(target, at, at + other), other === length || other === 17 || other === 18);
    }),
  );
  assert.deepEqual(Buffer.from(revisionBytes(7)), described(7, 0, false));
  assert.deepEqual(Buffer.from(revisionBytes(7, 9)), described(7, 9, false));
});

test('keys come in the order of their revisions, a tombstone behind the put of the same one', () => {
  fc.assert(
    fc.property(main, sub, main, sub, (aMain, aSub, bMain, bSub) => {
      const order = Math.sign(aMain - bMain || aSub - bSub);
      const compared = compareBytes(revisionBytes(aMain, aSub), revisionBytes(bMain, bSub));
      assert.equal(Math.sign(compared), order);
      const tombstone = new Uint8Array(TOMBSTONE_REVISION_BYTES);
      writeRevision(tombstone, aMain, aSub, true);
      assert.ok(compareBytes(revisionBytes(aMain, aSub), tombstone) < 0);
    }),
  );
});

test('S17 a key that no revision has, or one that can not be counted with, is none', () => {
  const put = described(2 ** 53 - 1, 0x7fff_ffff, false);
  const tombstone = described(5, 3, true);
  assert.ok(isRevision(put, 0, 17) && isRevision(tombstone, 0, 18));
  const changed = (from: Buffer, at: number, byte: number): boolean => {
    const copy = Buffer.from(from);
    copy[at] = byte;
    return isRevision(copy, 0, copy.length);
  };
  // A main revision of 2^53, then 2^56; no separator; a sub revision of 2^31, then 2^32 and 2^56; no mark.
  for (const [at, byte] of [
    [1, 0x20],
    [0, 1],
    [8, 0x5e],
    [8, 0x60],
    [13, 0x80],
    [12, 1],
    [9, 1],
  ] as const) {
    assert.ok(!changed(put, at, byte), `byte ${at} is ${byte}`);
    assert.ok(at === 13 || !changed(tombstone, at, byte), `byte ${at} is ${byte}`);
  }
  assert.ok(!changed(tombstone, 17, 0x75));
  const shifted = Buffer.concat([Buffer.alloc(5, 0xff), put, Buffer.alloc(5, 0xff)]);
  assert.ok(isRevision(shifted, 5, 22));
  assert.ok(!isRevision(shifted, 4, 21) && !isRevision(shifted, 6, 23));
  assert.ok(!isRevision(shifted, 5, 21) && !isRevision(shifted, 5, 23));
});
