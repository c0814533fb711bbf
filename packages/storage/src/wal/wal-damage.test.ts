/** Changed bytes: found, located, and never made worse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfState, Entry, EntryType, HardState } from '@etcd/api/raftpb';
import { Snapshot } from '@etcd/api/walpb';
import { type Disk, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { SimClock, SimDisk } from '@etcd/testing';
import fc from 'fast-check';
import { RECORD_ENTRY } from './frame.ts';
import {
  createWal,
  EntryList,
  openWal,
  readWal,
  repairWal,
  validSnapshots,
  WalError,
  type WalOptions,
} from './index.ts';
import { listSegments } from './segment-name.ts';

const DIRECTORY = '/wal';
const METADATA = Buffer.from('08e7a8b2c19af38be0771089d7b5f1cdbfa3d36b', 'hex');
const START = { index: 0, term: 0 };
/** 1 flips every byte: `WAL_FLIP_STRIDE=1` in the environment. */
const STRIDE = Number(process.env['WAL_FLIP_STRIDE'] ?? 16);
const MEMBER = 0x77e0_8bf3_9ac1_b2e7n;

function options(disk: Disk): WalOptions {
  return { disk, directory: DIRECTORY, clock: new SimClock(), segmentSizeBytes: 4096 };
}

interface Sample {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Of the last segment: where each batch begins, and where the records end. */
  readonly batchOffsets: readonly number[];
  readonly lastBatchOffset: number;
  readonly endOffset: number;
  readonly entryCount: number;
}

/** A log as one voter writes it: every batch brings entries and the commit index of the one before. */
function sample(seed: number): Sample {
  const random = new SeededRandom(seed);
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  let index = 0;
  for (let batch = 0; batch < 24; batch++) {
    const entries: Entry[] = [];
    const count = 1 + random.below(3);
    for (let i = 0; i < count; i++) {
      const data = new Uint8Array(random.below(700));
      // Values full of zeros look like sectors that were never written.
      if (random.chance(0.5)) for (let j = 0; j < data.length; j++) data[j] = random.uint32() & 0xff;
      const type = random.chance(0.1) ? EntryType.EntryConfChange : EntryType.EntryNormal;
      entries.push(new Entry({ term: 3, index: index + 1 + i, type, data }));
    }
    wal.save(new HardState({ term: 3, vote: MEMBER, commit: index }), entries);
    index += count;
    if (batch % 7 === 6) {
      wal.saveSnapshot(
        new Snapshot({ index: index - 1, term: 3, confState: new ConfState({ voters: [MEMBER] }) }),
      );
    }
  }
  wal.close();
  const files = contents(disk);
  const last = [...files.values()].at(-1)!;
  return { files, ...batchesOf(last), entryCount: index };
}

function batchesOf(segment: Uint8Array): Pick<Sample, 'batchOffsets' | 'lastBatchOffset' | 'endOffset'> {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.length);
  const batchOffsets: number[] = [];
  let previousType = 0;
  for (let at = 0; ; ) {
    const sizeBytes = at + 8 > segment.length ? 0 : view.getUint32(at, true);
    if (sizeBytes === 0) return { batchOffsets, lastBatchOffset: batchOffsets.at(-1) ?? 0, endOffset: at };
    const type = segment[at + 9]!;
    if (previousType !== RECORD_ENTRY && type === RECORD_ENTRY) batchOffsets.push(at);
    previousType = type;
    at += 8 + Math.ceil(sizeBytes / 8) * 8;
  }
}

function contents(disk: SimDisk): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const { name } of listSegments(disk, DIRECTORY, SILENT_LOGGER)) {
    files.set(name, disk.readFile(disk.join(DIRECTORY, name)));
  }
  return files;
}

function diskWith(files: ReadonlyMap<string, Uint8Array>): SimDisk {
  const disk = new SimDisk();
  disk.makeDirectory(DIRECTORY, 0o700);
  for (const [name, content] of files) {
    const file = disk.openFile(disk.join(DIRECTORY, name), { access: 'readwrite', create: true });
    file.write(content, 0, content.length, 0);
    file.close();
  }
  return disk;
}

/** Opens; null if that works. */
function openError(disk: SimDisk): WalError | null {
  try {
    openWal(options(disk), START, new EntryList()).wal.close();
    return null;
  } catch (error) {
    assert.ok(error instanceof WalError, String(error));
    return error;
  }
}

function assertUnchanged(disk: SimDisk, files: ReadonlyMap<string, Uint8Array>): void {
  const names = [...files.keys()];
  assert.deepEqual(disk.readDirectory(DIRECTORY), names);
  for (const name of names) {
    assert.ok(Buffer.compare(disk.readFile(disk.join(DIRECTORY, name)), files.get(name)!) === 0, name);
  }
}

test('S17 any single changed bit is found, located and left alone', () => {
  const { files, lastBatchOffset, endOffset } = sample(1);
  const names = [...files.keys()];
  assert.ok(names.length >= 4);
  const random = new SeededRandom(7);
  for (const [at, name] of names.entries()) {
    const original = files.get(name)!;
    const isLast = at === names.length - 1;
    const disk = diskWith(files);
    const file = disk.openFile(disk.join(DIRECTORY, name), { access: 'readwrite' });
    const used = isLast ? endOffset : original.length;
    // Every byte of the head, where all kinds of records are; a part of what follows.
    for (let position = 0; position < used; position += position < 200 ? 1 : 1 + random.below(STRIDE)) {
      const bits = position < 200 ? [0, 1, 2, 3, 4, 5, 6, 7] : [random.below(8)];
      for (const bit of bits) {
        const changed = Uint8Array.of(original[position]! ^ (1 << bit));
        file.write(changed, 0, 1, position);
        const error = openError(disk);
        const where = `${name}, byte ${position}, bit ${bit}`;
        assert.ok(error !== null, `${where}: not found`);
        const path = disk.join(DIRECTORY, name);
        const blamed = [
          path,
          disk.join(DIRECTORY, names[at - 1] ?? name),
          disk.join(DIRECTORY, names[at + 1] ?? name),
        ];
        assert.ok(blamed.includes(error.path), `${where}: ${error.message}`);
        // A changed checksum that nothing precedes shows at the next record.
        const isLocated =
          error.path !== path ||
          error.offset <= Math.max(position, 16) ||
          error.code === 'slice-out-of-range';
        assert.ok(isLocated, `${where}: ${error.message}`);
        const mayBeTorn = isLast && position >= lastBatchOffset - 64;
        assert.ok(mayBeTorn || error.code !== 'torn', `${where}: ${error.message}`);
        file.write(original, position, 1, position);
      }
    }
    file.close();
    assertUnchanged(disk, files);
  }
});

test('an incomplete last batch is dropped by a repair, and kept in a copy', () => {
  let repairs = 0;
  for (let seed = 10; seed < 30; seed++) {
    const { files, batchOffsets, lastBatchOffset, endOffset, entryCount } = sample(seed);
    if (batchOffsets.length === 0) continue;
    const name = [...files.keys()].at(-1)!;
    for (let sector = Math.ceil(lastBatchOffset / 512) * 512; sector < endOffset; sector += 512) {
      const torn = Uint8Array.from(files.get(name)!);
      torn.fill(0, sector, sector + 512);
      const disk = diskWith(new Map([...files, [name, torn]]));
      const before = contents(disk);
      const error = openError(disk);
      // Nothing stood there but zeros, or nothing stands behind it.
      if (error === null) continue;
      assert.equal(error.code, 'torn', error.message);
      assertUnchanged(disk, before);
      const repair = repairWal(options(disk))!;
      assert.equal(repair.offset, error.offset);
      assert.ok(repair.offset >= lastBatchOffset);
      assert.ok(Buffer.compare(disk.readFile(repair.brokenPath), torn) === 0);
      assert.equal(repairWal(options(disk)), null);
      const list = new EntryList();
      const { wal } = openWal(options(disk), START, list);
      assert.ok(list.entries.length <= entryCount && list.entries.length >= entryCount - 3);
      wal.save(null, [new Entry({ term: 3, index: list.entries.length + 1 })]);
      wal.close();
      assert.equal(openError(disk), null);
      repairs++;
    }
  }
  assert.ok(repairs > 10);
});

test('a hole in what was acknowledged is not mistaken for an interrupted write', () => {
  let holes = 0;
  for (let seed = 10; seed < 30; seed++) {
    const { files, batchOffsets } = sample(seed);
    const name = [...files.keys()].at(-1)!;
    // Two whole batches behind the hole prove it; of what is behind the last but one, the format can't tell.
    for (let sector = 512; sector + 512 < (batchOffsets.at(-2) ?? 0); sector += 512) {
      const holed = Uint8Array.from(files.get(name)!);
      holed.fill(0, sector, sector + 512);
      const changed = new Map([...files, [name, holed]]);
      const disk = diskWith(changed);
      const error = openError(disk);
      if (error === null) continue;
      assert.equal(error.code, 'corrupt', error.message);
      assert.ok(error.offset < sector + 512 && error.offset > sector - 1024);
      assert.throws(() => repairWal(options(disk)), { code: 'corrupt' });
      assertUnchanged(disk, changed);
      holes++;
    }
  }
  assert.ok(holes > 10);
});

test('a value that holds a log does not make an interrupted write look like damage', () => {
  const inner = [...sample(4).files.values()].at(-1)!;
  const disk = new SimDisk();
  const big: WalOptions = { ...options(disk), segmentSizeBytes: 64_000 };
  const wal = createWal(big, METADATA);
  wal.save(null, [new Entry({ term: 1, index: 1 })]);
  for (let shift = 0; shift < 8; shift++) {
    const data = new Uint8Array(4000);
    data.set(inner.subarray(0, 3000), 1000 - shift);
    wal.save(null, [new Entry({ term: 1, index: 2 + shift, data })]);
  }
  wal.close();
  const path = disk.join(DIRECTORY, listSegments(disk, DIRECTORY, SILENT_LOGGER)[0]!.name);
  const content = disk.readFile(path);
  const { lastBatchOffset } = batchesOf(content);
  const file = disk.openFile(path, { access: 'readwrite' });
  file.write(new Uint8Array(512), 0, 512, Math.ceil(lastBatchOffset / 512) * 512 + 1536);
  file.close();
  assert.throws(() => openWal(big, START, new EntryList()), { code: 'torn' });
});

test('S17 a log of any bytes gives an error or a log, and costs no more than it is long', () => {
  const { files } = sample(5);
  const names = [...files.keys()];
  const name = names.at(-1)!;
  const original = files.get(name)!;
  const chunk = fc.record({
    at: fc.nat(original.length - 1),
    bytes: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(700))),
  });
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 4 }), fc.nat(original.length), (chunks, length) => {
      const bytes = Uint8Array.from(original);
      for (const { at, bytes: patch } of chunks) bytes.set(patch.subarray(0, bytes.length - at), at);
      const changed = new Map([...files, [name, bytes.subarray(0, length)]]);
      const disk = diskWith(changed);
      for (const read of [
        () => readWal(options(disk), START, new EntryList()),
        () => validSnapshots(options(disk)),
        () => openWal(options(disk), START, new EntryList()).wal.close(),
        () => repairWal(options(disk)),
      ]) {
        try {
          read();
        } catch (error) {
          assert.ok(error instanceof WalError, String(error));
        }
      }
    }),
    { numRuns: 400 },
  );
});

test('S17 a log of random bytes is refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const files = new Map([['0000000000000000-0000000000000000.wal', bytes]]);
      const disk = diskWith(files);
      const error = openError(disk);
      assert.ok(error !== null && error.code === 'corrupt');
      assert.throws(() => repairWal(options(disk)), { code: 'corrupt' });
      assertUnchanged(disk, files);
    }),
  );
});

test('a segment without records is damage, wherever it stands', () => {
  const { files } = sample(8);
  for (const name of files.keys()) {
    for (const length of [0, 7, 8, 4096]) {
      const changed = new Map([...files, [name, new Uint8Array(length)]]);
      const disk = diskWith(changed);
      const error = openError(disk);
      assert.equal(error?.code, 'corrupt', `${name}, ${length} bytes`);
      assertUnchanged(disk, changed);
    }
  }
});

test('S17 a length that points far away allocates nothing', () => {
  const { files } = sample(6);
  const name = [...files.keys()].at(-1)!;
  const bytes = Uint8Array.from(files.get(name)!);
  // The third record claims 2^52 bytes.
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (let i = 0; i < 2; i++) at += 8 + Math.ceil(view.getUint32(at, true) / 8) * 8;
  view.setUint32(at, 0, true);
  view.setUint32(at + 4, 0x0010_0000, true);
  const error = openError(diskWith(new Map([...files, [name, bytes]])));
  assert.equal(error?.code, 'corrupt');
  assert.equal(error.offset, at);
});

test('a record of a later version is named, not skipped', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  wal.save(null, [new Entry({ term: 1, index: 1 })]);
  wal.close();
  const path = disk.join(DIRECTORY, listSegments(disk, DIRECTORY, SILENT_LOGGER)[0]!.name);
  const content = disk.readFile(path);
  const { lastBatchOffset } = batchesOf(content);
  const file = disk.openFile(path, { access: 'readwrite' });
  file.write(Uint8Array.of(9), 0, 1, lastBatchOffset + 9);
  file.close();
  const error = openError(disk);
  assert.equal(error?.code, 'unknown-record');
  assert.equal(error.offset, lastBatchOffset);
  assert.match(error.message, /unexpected block type 9.*Start the version that wrote it/);
});
