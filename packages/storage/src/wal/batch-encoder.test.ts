import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, encodeEntry, encodeHardState, HardState } from '@etcd/api/raftpb';
import { encodeRecord, encodeSnapshot, Record, Snapshot } from '@etcd/api/walpb';
import { crc32cUpdate, EMPTY_BYTES } from '@etcd/base';
import fc from 'fast-check';
import { BatchEncoder } from './batch-encoder.ts';
import {
  BAD_LENGTH,
  paddingOf,
  parseLengthWord,
  parseRecord,
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
  RecordFields,
} from './frame.ts';

const counter = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const entry = fc
  .record({ term: counter, index: counter, type: fc.nat(2), data: fc.uint8Array({ maxLength: 400 }) })
  .map((fields) => new Entry(fields));
const state = fc
  .record({ term: counter, vote: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), commit: counter })
  .map((fields) => new HardState(fields));

/** A record as the generated codec writes it, framed by the description of the format. */
function framed(type: number, data: Uint8Array, crc: number): Buffer {
  const record = encodeRecord(new Record({ type, crc, data }));
  const padding = (8 - (record.length % 8)) % 8;
  const frame = Buffer.alloc(8 + record.length + padding);
  frame.writeUInt32LE(record.length, 0);
  frame[7] = padding === 0 ? 0 : 0x80 | padding;
  frame.set(record, 8);
  return frame;
}

test('records are laid out as the codec writes them, with a checksum that runs on', () => {
  const record = fc.oneof(entry, state, fc.uint8Array({ maxLength: 40 }), fc.constant(null));
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), fc.array(record, { maxLength: 20 }), (seed, records) => {
      const encoder = new BatchEncoder(seed);
      const expected: Buffer[] = [];
      let crc = seed;
      const expect = (type: number, data: Uint8Array): void => {
        crc = crc32cUpdate(crc, data, 0, data.length);
        expected.push(framed(type, data, crc));
      };
      for (const item of records) {
        if (item === null) {
          encoder.addCrc();
          expect(RECORD_CRC, EMPTY_BYTES);
        } else if (item instanceof Entry) {
          encoder.addEntry(item);
          expect(RECORD_ENTRY, encodeEntry(item));
        } else if (item instanceof HardState) {
          encoder.addState(item);
          expect(RECORD_STATE, encodeHardState(item));
        } else {
          encoder.addRecord(RECORD_METADATA, item);
          expect(RECORD_METADATA, item);
        }
        assert.equal(encoder.crc, crc);
      }
      assert.deepEqual(Buffer.from(encoder.bytes()), Buffer.concat(expected));
    }),
    { numRuns: 300 },
  );
});

test('a batch may be larger than the buffer was, and the buffer is given back', () => {
  const encoder = new BatchEncoder(0);
  const data = new Uint8Array(3_000_000).fill(7);
  for (let index = 1; index <= 3; index++) encoder.addEntry(new Entry({ term: 1, index, data }));
  assert.ok(encoder.length > 9_000_000 && encoder.length % 8 === 0);
  encoder.clear();
  assert.equal(encoder.length, 0);
  assert.ok(encoder.bytes().buffer.byteLength < 1_000_000);
});

test('a buffer of up to four megabytes is kept for the next batch', () => {
  const MIB = 1024 * 1024;
  const encoder = new BatchEncoder(0);
  const keptAfter = (sizeBytes: number): number => {
    encoder.addRecord(RECORD_METADATA, new Uint8Array(sizeBytes));
    encoder.clear();
    encoder.addRecord(RECORD_METADATA, EMPTY_BYTES);
    const kept = encoder.bytes().buffer.byteLength;
    encoder.clear();
    return kept;
  };
  const least = keptAfter(1);
  assert.ok(least <= MIB);
  for (const sizeBytes of [400_000, 900_000, 2 * MIB - 100, 3 * MIB]) keptAfter(sizeBytes);
  assert.equal(keptAfter(1), 4 * MIB, 'it grows to twice its length');
  assert.equal(keptAfter(4 * MIB), least);
  assert.equal(keptAfter(4 * MIB), least, 'what is needed, where that is more than twice');
});

test('an initial snapshot record is four bytes of zeros and tags, as etcd writes it', () => {
  const encoder = new BatchEncoder(0);
  encoder.addRecord(RECORD_SNAPSHOT, encodeSnapshot(new Snapshot()));
  const bytes = Buffer.from(encoder.bytes());
  assert.equal(bytes.subarray(8 + 8, 8 + 14).toString('hex'), '1a0408001000');
});

test('length words and records that no writer writes are told from those that one does', () => {
  const view = new DataView(new ArrayBuffer(8));
  const parse = (size: number, top: number): number => {
    view.setUint32(0, size, true);
    view.setUint32(4, top << 24, true);
    return parseLengthWord(view, 0);
  };
  for (let size = 0; size < 40; size++) {
    const padding = paddingOf(size);
    for (let top = 0; top < 256; top++) {
      const expected = top === (padding === 0 ? 0 : 0x80 | padding) ? size : BAD_LENGTH;
      assert.equal(parse(size, top), expected, `${size} ${top}`);
    }
  }
  const fields = new RecordFields();
  const good = [8, 2, 16, 0x80, 1, 0x1a, 2, 5, 6];
  assert.equal(parseRecord(Buffer.from(good), 0, 9, fields), true);
  assert.deepEqual({ ...fields }, { type: 2, crc: 128, dataStart: 7, dataEnd: 9 });
  for (const bad of [
    [8, 2, 16, 0x80],
    [16, 0, 8, 2],
    [8, 2, 16, 0, 0x1a, 3, 5, 6],
    [8, 2, 16, 0, 0x1a, 1, 5, 6],
    [8, 2, 16, 0, 0x20, 1],
    [8, 0x82, 1, 16, 0],
    [8, 2, 16, 0xff, 0xff, 0xff, 0xff, 0x7f],
  ]) {
    assert.equal(parseRecord(Buffer.from(bad), 0, bad.length, fields), false, bad.join());
  }
});
