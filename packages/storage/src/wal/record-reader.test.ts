/** Reading records at every edge: of chunks, of segments, of files that end anywhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_BYTES, SeededRandom } from '@etcd/base';
import { type DiskOperation, SimDisk } from '@etcd/testing';
import { RECORD_ENTRY, RECORD_METADATA, RECORD_STATE } from './frame.ts';
import { RecordReader } from './record-reader.ts';
import { HandmadeLog, putFiles } from './testing/handmade-log.ts';
import { WalError } from './wal-error.ts';

const MIB = 1024 * 1024;

interface Logged {
  readonly type: number;
  readonly data: Uint8Array;
}

function reader(files: readonly Uint8Array[], keepData: boolean, disk = new SimDisk()): RecordReader {
  const named = files.map((content, i) => [`${i}`, content] as const);
  putFiles(disk, '/wal', new Map(named));
  const segments = named.map(([name]) => ({ path: `/wal/${name}`, file: null }));
  return new RecordReader(disk, segments, { keepData });
}

/** What `next` throws, or null at the end of the log. */
function outcome(from: RecordReader): WalError | null {
  try {
    while (from.next());
    return null;
  } catch (error) {
    assert.ok(error instanceof WalError, String(error));
    return error;
  } finally {
    from.close();
  }
}

function bytesOf(random: SeededRandom, length: number): Uint8Array {
  return new Uint8Array(length).fill(1 + random.below(255));
}

test('records of any size come out as they were laid out, with their places and checksums, over the edges of chunks and segments', () => {
  const sizes = [0, 1, 100, 5000, MIB / 4, MIB / 2, MIB - 40, MIB - 16, MIB, MIB + 77];
  const random = new SeededRandom(1);
  const segments: { readonly log: HandmadeLog; readonly records: Logged[] }[] = [];
  let crc = 77;
  for (let segment = 0; segment < 3; segment++) {
    const log = new HandmadeLog(crc).addHead();
    const records: Logged[] = [];
    for (let i = 0; i < 6; i++) {
      const data = bytesOf(random, random.pick(sizes));
      const type = random.pick([RECORD_ENTRY, RECORD_STATE]);
      log.add(type, data);
      records.push({ type, data });
    }
    crc = log.crc;
    segments.push({ log, records });
  }
  const tails = [0, 8, random.below(2 * MIB)];
  const files = segments.map(({ log }, i) => Buffer.concat([log.bytes(), Buffer.alloc(tails[i]!)]));
  for (const keepData of [false, true]) {
    const from = reader(files, keepData);
    const kept: Uint8Array[] = [];
    for (const [i, { log, records }] of segments.entries()) {
      for (const [record, offset] of log.offsets.entries()) {
        assert.ok(from.next());
        assert.deepEqual([from.path, from.recordOffset], [`/wal/${i}`, offset]);
        assert.equal(from.endOffset, log.offsets[record + 1] ?? log.length);
        const known = records[record - 2];
        if (known === undefined) continue;
        const data = from.data();
        assert.ok(from.type === known.type && Buffer.from(data).equals(known.data));
        assert.ok(from.bytes.subarray(from.dataStart, from.dataEnd).byteOffset === data.byteOffset);
        kept.push(data);
      }
      assert.equal(from.crc, log.crc);
    }
    assert.equal(from.next(), false);
    assert.equal(from.next(), false);
    from.close();
    from.close();
    if (!keepData) continue;
    const all = segments.flatMap(({ records }) => records);
    for (const [i, data] of kept.entries())
      assert.ok(Buffer.from(data).equals(all[i]!.data), 'kept views stay');
  }
});

test('a log that ends at any byte is whole between two records, and torn within one; in its head it is damaged', () => {
  const log = new HandmadeLog(3).addHead();
  for (const size of [0, 3, 50, 700]) log.add(RECORD_ENTRY, new Uint8Array(size).fill(9));
  const whole = log.bytes();
  const disk = new SimDisk();
  const outcomeOf = (length: number, zeros: number): readonly [string, number] | null => {
    const file = Buffer.concat([whole.subarray(0, length), Buffer.alloc(zeros)]);
    const error = outcome(reader([file], false, disk));
    return error === null ? null : [error.code, error.offset];
  };
  for (let length = 0; length <= whole.length; length++) {
    const records = log.offsets.filter((offset) => offset < length).length;
    const isBetween = length === whole.length || log.offsets.includes(length);
    if (isBetween && records > 0) {
      const code = records < 2 ? 'corrupt' : 'torn';
      assert.equal(outcomeOf(length, 0), null);
      for (let zeros = 1; zeros < 8; zeros++) assert.deepEqual(outcomeOf(length, zeros), [code, length]);
      for (const zeros of [8, 9, 600]) assert.equal(outcomeOf(length, zeros), null);
    } else {
      const last = Math.max(0, records - 1);
      assert.deepEqual(
        outcomeOf(length, 0),
        [last < 2 ? 'corrupt' : 'torn', log.offsets[last]],
        `${length} bytes`,
      );
    }
  }
  assert.deepEqual(disk.openPaths(), []);
});

test('what is behind the records is zeros, as far as four megabytes are looked at', () => {
  const log = new HandmadeLog(3).addHead().add(RECORD_ENTRY, bytesOf(new SeededRandom(1), 1000));
  const at = log.length;
  const stray = (position: number, sizeBytes: number): WalError | null => {
    const file = Buffer.concat([log.bytes(), Buffer.alloc(sizeBytes)]);
    file[at + position] = 1;
    return outcome(reader([file], false));
  };
  for (const position of [8, 9, MIB, 4 * MIB - 1]) {
    const error = stray(position, 4 * MIB + 9);
    assert.deepEqual([error?.code, error?.offset], ['torn', at], `${position}`);
  }
  assert.equal(stray(4 * MIB, 4 * MIB + 9), null, 'an older write may lie there');
  assert.equal(stray(99, 100)?.code, 'torn', 'the last byte of the file');
});

test('a segment begins with its checksum and the metadata, once, and goes on where the one before ended', () => {
  const entry = Buffer.from('x');
  const good = (): HandmadeLog => new HandmadeLog(5).addHead().add(RECORD_ENTRY, entry);
  const cases: readonly (readonly [string, HandmadeLog, number])[] = [
    ['no checksum', new HandmadeLog(0).add(RECORD_METADATA, entry), 0],
    ['no metadata', new HandmadeLog(5).addCrc().add(RECORD_ENTRY, entry), 1],
    ['another checksum', good().addCrc(), 3],
    ['a checksum instead of the metadata', new HandmadeLog(5).addCrc().addCrc(), 1],
    ['a checksum with data', new HandmadeLog(5).add(4, entry).add(RECORD_METADATA, entry), 0],
  ];
  for (const [name, log, record] of cases) {
    for (const isLast of [true, false]) {
      const next = new HandmadeLog(log.crc).addHead();
      const files = isLast ? [log.bytes()] : [log.bytes(), next.bytes()];
      const error = outcome(reader(files, false));
      assert.deepEqual(
        [error?.code, error?.path, error?.offset],
        ['corrupt', '/wal/0', log.offsets[record]],
        name,
      );
    }
  }
  const first = good();
  const continued = new HandmadeLog(first.crc).addHead().add(RECORD_ENTRY, entry);
  assert.equal(outcome(reader([first.bytes(), continued.bytes()], false)), null);
  const other = new HandmadeLog(first.crc + 1).addHead();
  const error = outcome(reader([Buffer.concat([first.bytes(), Buffer.alloc(64)]), other.bytes()], false));
  assert.deepEqual([error?.code, error?.path, error?.offset], ['corrupt', '/wal/0', first.length]);
  const empty = outcome(reader([first.bytes(), EMPTY_BYTES, continued.bytes()], false));
  assert.deepEqual([empty?.code, empty?.path, empty?.offset], ['corrupt', '/wal/1', 0]);
});

test('damage in a segment that is not the last is never torn', () => {
  const first = new HandmadeLog(5).addHead().add(RECORD_ENTRY, bytesOf(new SeededRandom(1), 2000));
  const cut = first.bytes();
  cut.fill(0, 1024, 1536);
  const next = new HandmadeLog(first.crc).addHead();
  assert.equal(outcome(reader([cut, next.bytes()], false))?.code, 'corrupt');
  assert.equal(outcome(reader([cut], false))?.code, 'torn');
  // Its end is missing: what follows does not continue it.
  assert.equal(
    outcome(reader([first.bytes().subarray(0, first.offsets[2]), next.bytes()], false))?.code,
    'corrupt',
  );
});

test('padding that is not zero, and a checksum that is wrong, are damage where they stand', () => {
  const log = new HandmadeLog(5)
    .addHead()
    .add(RECORD_ENTRY, Buffer.from('ab'))
    .add(RECORD_ENTRY, Buffer.from('cd'));
  for (const position of [log.offsets[3]! - 1, log.offsets[2]! + 12]) {
    const file = log.bytes();
    file[position]! ^= 1;
    const error = outcome(reader([file], false));
    assert.deepEqual([error?.code, error?.offset], ['corrupt', log.offsets[2]]);
  }
});

test('what a reader opened it closes, one file at a time, and not what it was given', () => {
  const disk = new SimDisk();
  const first = new HandmadeLog(5).addHead();
  const second = new HandmadeLog(first.crc).addHead();
  const from = reader([first.bytes(), second.bytes()], false, disk);
  const opened: string[][] = [];
  while (from.next()) opened.push(disk.openPaths());
  assert.deepEqual(opened, [['/wal/0'], ['/wal/0'], ['/wal/1'], ['/wal/1']]);
  from.close();
  assert.deepEqual(disk.openPaths(), []);
  const file = disk.openFile('/wal/0', { access: 'read' });
  const given = new RecordReader(disk, [{ path: '/wal/0', file }], { keepData: false });
  assert.equal(outcome(given), null);
  assert.deepEqual(disk.openPaths(), ['/wal/0']);
  file.close();
});

test('a log is read once, in chunks of a megabyte', () => {
  const reads: DiskOperation[] = [];
  const disk = new SimDisk({
    onOperation: (operation) => operation.kind === 'read' && reads.push(operation),
  });
  const log = new HandmadeLog(5).addHead();
  for (let i = 0; i < 50; i++) log.add(RECORD_ENTRY, new Uint8Array(100_000).fill(1));
  const from = reader([log.bytes()], false, disk);
  assert.equal(outcome(from), null);
  const bytes = reads.reduce((total, read) => total + read.bytes, 0);
  assert.equal(bytes, log.length);
  assert.ok(reads.length <= Math.ceil(log.length / (MIB - 100_100)), `${reads.length} reads`);
});
