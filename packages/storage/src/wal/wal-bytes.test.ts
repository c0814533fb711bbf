/** The files of a log, byte for byte, as a model lays them out; and that whatever the disk refuses, nothing stays open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfState, Entry, encodeEntry, encodeHardState, HardState } from '@etcd/api/raftpb';
import { encodeSnapshot, Snapshot } from '@etcd/api/walpb';
import { DiskError, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { type DiskOperation, SimClock, SimDisk } from '@etcd/testing';
import { RECORD_ENTRY, RECORD_SNAPSHOT, RECORD_STATE } from './frame.ts';
import {
  createWal,
  EntryList,
  openWal,
  readWal,
  repairWal,
  type Wal,
  WalError,
  type WalOptions,
} from './index.ts';
import { listSegments, segmentName } from './segment-name.ts';
import { HandmadeLog } from './testing/handmade-log.ts';

const DIRECTORY = '/data/wal';
const METADATA = Buffer.from('0801100f', 'hex');
const START = { index: 0, term: 0 };
const SEGMENT_BYTES = 6000;

function options(disk: SimDisk, more: Partial<WalOptions> = {}): WalOptions {
  return { disk, directory: DIRECTORY, clock: new SimClock(), segmentSizeBytes: SEGMENT_BYTES, ...more };
}

function entry(index: number, term: number, sizeBytes: number): Entry {
  return new Entry({ term, index, data: new Uint8Array(sizeBytes).fill((index * 31 + term) & 0xff) });
}

function snapshotAt(index: number, term: number): Snapshot {
  return new Snapshot({ index, term, confState: new ConfState({ voters: [7n] }) });
}

/** What a log should consist of. */
class Model {
  readonly segments: { readonly name: string; readonly log: HandmadeLog }[] = [];
  state = new HardState();
  lastIndex = 0;
  #isStatePending = false;

  constructor() {
    const log = new HandmadeLog().addHead(METADATA).add(RECORD_SNAPSHOT, encodeSnapshot(new Snapshot()));
    this.segments.push({ name: segmentName(0, 0), log });
  }

  get #tail(): HandmadeLog {
    return this.segments.at(-1)!.log;
  }

  /** Returns whether anything is written now. */
  save(state: HardState | null, entries: readonly Entry[]): boolean {
    const isPromise = state !== null && (state.term !== this.state.term || state.vote !== this.state.vote);
    if (state !== null && (isPromise || state.commit !== this.state.commit)) {
      this.state = state;
      this.#isStatePending = true;
    }
    if (entries.length === 0 && !isPromise) return false;
    for (const each of entries) {
      this.#tail.add(RECORD_ENTRY, encodeEntry(each));
      this.lastIndex = each.index;
    }
    this.flush();
    return true;
  }

  snapshot(snapshot: Snapshot): void {
    this.#addState();
    this.#tail.add(RECORD_SNAPSHOT, encodeSnapshot(snapshot));
    this.lastIndex = Math.max(this.lastIndex, snapshot.index);
    this.#cutIfFull();
  }

  received(snapshot: Snapshot, state: HardState): void {
    this.#addState();
    this.#tail.add(RECORD_SNAPSHOT, encodeSnapshot(snapshot));
    this.lastIndex = snapshot.index;
    this.state = state;
    this.#isStatePending = true;
    this.flush();
  }

  flush(): void {
    this.#addState();
    this.#cutIfFull();
  }

  #addState(): void {
    if (this.#isStatePending) this.#tail.add(RECORD_STATE, encodeHardState(this.state));
    this.#isStatePending = false;
  }

  #cutIfFull(): void {
    if (this.#tail.length < SEGMENT_BYTES) return;
    const log = new HandmadeLog(this.#tail.crc).addHead(METADATA);
    if (this.state.term !== 0 || this.state.commit !== 0) log.add(RECORD_STATE, encodeHardState(this.state));
    this.segments.push({ name: segmentName(this.segments.length, this.lastIndex + 1), log });
  }

  /** Every segment has its bytes, and zeros behind them up to its length. */
  check(disk: SimDisk, context: string): void {
    const names = listSegments(disk, DIRECTORY, SILENT_LOGGER).map(({ name }) => name);
    assert.deepEqual(
      names,
      this.segments.map(({ name }) => name),
      context,
    );
    for (const { name, log } of this.segments) {
      const path = disk.join(DIRECTORY, name);
      const length = Math.max(SEGMENT_BYTES, log.length);
      assert.deepEqual([disk.stat(path)!.sizeBytes, disk.stat(path)!.mode], [length, 0o600], context);
      const expected = Buffer.concat([log.bytes(), Buffer.alloc(length - log.length)]);
      assert.ok(Buffer.from(disk.readFile(path)).equals(expected), `${context}: ${name}`);
    }
  }
}

/** One log and its model, through saves of all kinds. */
class Run {
  readonly random: SeededRandom;
  readonly disk = new SimDisk({ schedule: (_operation, complete) => this.#pending.push(complete) });
  readonly model = new Model();
  readonly #pending: (() => void)[] = [];
  /** What {@link WalOptions.onWrite} was told. */
  written = 0;
  #wal: Wal;
  #term = 0;
  #vote = 0n;
  #commit = 0;
  #snapped = START;
  /** Of each entry, by its index. */
  #terms: number[] = [0];

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.#wal = createWal(this.#options(), METADATA);
  }

  #options(): WalOptions {
    return options(this.disk, { onWrite: (bytes) => (this.written += bytes) });
  }

  step(): void {
    const { random, model } = this;
    const what = random.below(20);
    if (what < 14) this.#save();
    else if (what === 14) this.#snapshot();
    else if (what === 15) this.#received();
    else if (what === 16) {
      this.#wal.sync();
      model.flush();
    } else if (what === 17) this.#reopen();
    else this.#settle();
    assert.equal(this.#wal.lastIndex, model.lastIndex);
    assert.equal(this.#wal.isSaving, false);
  }

  end(): void {
    this.#wal.close();
    this.model.flush();
    this.#settle();
  }

  #save(): void {
    const { random, model } = this;
    const hasState = random.chance(0.8);
    if (hasState && random.chance(0.15)) {
      this.#term++;
      this.#vote = BigInt(random.below(2));
    }
    const entries: Entry[] = [];
    const count = this.#term === 0 ? 0 : random.below(4);
    let index = model.lastIndex + 1 - (random.chance(0.2) ? random.below(3) : 0);
    index = Math.max(index, this.#commit + 1);
    // Sizes that fill a segment to the byte come, too.
    const sizes = [0, 1, 100, 400, 2000, 2 * SEGMENT_BYTES];
    for (let i = 0; i < count; i++) entries.push(entry(index + i, this.#term, random.pick(sizes)));
    const last = count > 0 ? index - 1 : model.lastIndex;
    if (hasState && random.chance(0.5) && last > this.#commit)
      this.#commit += random.below(last - this.#commit + 1);
    for (const each of entries) this.#terms = [...this.#terms.slice(0, each.index), each.term];
    const state = hasState
      ? new HardState({ term: this.#term, vote: this.#vote, commit: this.#commit })
      : null;
    const isWritten = model.save(state, entries);
    if (random.chance(0.5)) this.#wal.save(state, entries);
    else this.#await(isWritten, (done) => this.#wal.saveThen(state, entries, done));
  }

  #snapshot(): void {
    const index = this.#commit;
    if (index <= this.#snapped.index) return;
    this.#snapped = { index, term: this.#terms[index]! };
    const snapshot = snapshotAt(index, this.#snapped.term);
    this.model.snapshot(snapshot);
    if (this.random.chance(0.5)) this.#wal.saveSnapshot(snapshot);
    else this.#await(true, (done) => this.#wal.saveSnapshotThen(snapshot, done));
  }

  #received(): void {
    const index = this.#commit + 1 + this.random.below(4);
    this.#term++;
    this.#vote = 0n;
    this.#commit = index;
    this.#snapped = { index, term: this.#term };
    this.#terms.length = index;
    this.#terms.push(this.#term);
    const snapshot = snapshotAt(index, this.#term);
    const state = new HardState({ term: this.#term, vote: 0n, commit: index });
    this.model.received(snapshot, state);
    this.#await(true, (done) => this.#wal.saveReceivedSnapshotThen(snapshot, state, done));
  }

  #reopen(): void {
    this.end();
    this.#wal = openWal(this.#options(), this.#snapped, new EntryList()).wal;
  }

  #await(isWritten: boolean, save: (done: (error: DiskError | null) => void) => unknown): void {
    let isDone = false;
    const began = save((error) => {
      assert.equal(error, null);
      isDone = true;
    });
    if (began !== undefined) assert.equal(began, isWritten);
    assert.equal(this.#wal.isSaving, isWritten);
    while (isWritten && !isDone) this.#pending.shift()!();
    if (!isWritten) assert.ok(!isDone);
  }

  #settle(): void {
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) next();
  }
}

test('a log has the bytes that its saves come to, however they were made, and is told how many', () => {
  let segments = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const run = new Run(seed);
    for (let i = 0; i < 60; i++) run.step();
    run.end();
    run.model.check(run.disk, `seed ${seed}`);
    assert.deepEqual(run.disk.openPaths(), []);
    const total = run.model.segments.reduce((sum, { log }) => sum + log.length, 0);
    const head = run.model.segments[0]!.log.offsets[3] ?? run.model.segments[0]!.log.length;
    assert.equal(run.written, total - head, 'all but what making the log writes');
    segments += run.model.segments.length;
  }
  assert.ok(segments > 100, `${segments} segments`);
});

test('a segment that is full to the byte is followed by the next, one byte less is not', () => {
  for (const missing of [8, 0]) {
    const disk = new SimDisk();
    const wal = createWal(options(disk), METADATA);
    const model = new Model();
    const state = new HardState({ term: 1, vote: 1n, commit: 0 });
    const probe = new HandmadeLog()
      .add(RECORD_ENTRY, encodeEntry(entry(1, 1, 3000)))
      .add(RECORD_STATE, encodeHardState(state));
    const head = model.segments[0]!.log.length;
    // The second entry fills what the first one leaves.
    const rest = SEGMENT_BYTES - head - probe.length - missing;
    let sizeBytes = rest - 60;
    const frameOf = (bytes: number): number =>
      new HandmadeLog(0xffff_ffff).add(RECORD_ENTRY, encodeEntry(entry(2, 1, bytes))).length;
    while (frameOf(sizeBytes + 8) <= rest) sizeBytes += 8;
    for (const each of [entry(1, 1, 3000), entry(2, 1, sizeBytes)]) {
      wal.save(state, [each]);
      model.save(state, [each]);
    }
    wal.close();
    model.check(disk, `${missing} bytes less`);
    assert.equal(model.segments[0]!.log.length, SEGMENT_BYTES - missing);
    assert.equal(model.segments.length, missing === 0 ? 2 : 1);
  }
});

/** A disk on which the operation with this number fails, of those that change something or open a file. */
function failingDisk(failing: number): SimDisk {
  let left = failing;
  return new SimDisk({
    schedule: (_operation, complete) => complete(),
    onOperation: ({ kind, path }: DiskOperation) => {
      if (left-- !== 0) return;
      throw new DiskError('EIO', path, `EIO: ${kind}`);
    },
  });
}

/** Makes a log, uses it, opens it again, repairs it: everything that has a file open for a while. */
function live(disk: SimDisk): void {
  disk.makeDirectory('/data', 0o700);
  const use = (wal: Wal, from: number): void => {
    try {
      const state = new HardState({ term: 1, vote: 1n, commit: from - 1 });
      for (let i = 0; i < 4; i++) wal.save(state, [entry(from + i, 1, 1800)]);
      let failed: DiskError | null = null;
      wal.saveThen(null, [entry(from + 4, 1, 9000)], (error) => (failed = error));
      if (failed !== null) throw failed;
      wal.releaseTo(from + 3);
    } finally {
      wal.close();
    }
  };
  use(createWal(options(disk), METADATA), 1);
  readWal(options(disk), START, new EntryList());
  use(openWal(options(disk), START, new EntryList()).wal, 6);
  const name = listSegments(disk, DIRECTORY, SILENT_LOGGER).at(-1)!.name;
  const file = disk.openFile(disk.join(DIRECTORY, name), { access: 'readwrite' });
  try {
    file.write(Buffer.from('torn'), 0, 4, 5000);
  } finally {
    file.close();
  }
  assert.equal(repairWal(options(disk))?.path, disk.join(DIRECTORY, name));
  assert.equal(repairWal(options(disk)), null);
}

test('whichever operation of the disk fails, it is reported, and no file stays open', () => {
  let failures = 0;
  for (let failing = 0; ; failing++) {
    const disk = failingDisk(failing);
    let error: unknown = null;
    try {
      live(disk);
    } catch (thrown) {
      error = thrown;
    }
    assert.deepEqual(disk.openPaths(), [], `operation ${failing}`);
    if (error === null && disk.operationCount < failing) break;
    if (error !== null) {
      assert.ok(error instanceof DiskError, String(error));
      failures++;
    }
  }
  assert.ok(failures > 50, `${failures} failures`);
});

test('a log that is damaged, locked or not there leaves no file open', () => {
  const disk = new SimDisk();
  createWal(options(disk), METADATA).close();
  const path = disk.join(DIRECTORY, segmentName(0, 0));
  const file = disk.openFile(path, { access: 'readwrite' });
  file.write(Buffer.from([0xff]), 0, 1, 12);
  for (const open of [
    () => openWal(options(disk), START, new EntryList()),
    () => readWal(options(disk), START, new EntryList()),
    () => repairWal(options(disk)),
    () => createWal(options(disk), METADATA),
    () => openWal(options(disk, { directory: '/data/other' }), START, new EntryList()),
  ]) {
    assert.throws(open, WalError);
    assert.deepEqual(disk.openPaths(), [path]);
  }
  assert.equal(file.tryLock('ofd'), true);
  assert.throws(() => openWal(options(disk), START, new EntryList()), { code: 'locked' });
  assert.deepEqual(disk.openPaths(), [path]);
});
