/** What the records of a log mean, from records that were laid out by hand: those that no writer of ours writes, too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfState, Entry, encodeEntry, encodeHardState, HardState } from '@etcd/api/raftpb';
import { encodeSnapshot, Snapshot } from '@etcd/api/walpb';
import { EMPTY_BYTES, SeededRandom } from '@etcd/base';
import { SimDisk } from '@etcd/testing';
import { RECORD_CRC, RECORD_ENTRY, RECORD_METADATA, RECORD_SNAPSHOT, RECORD_STATE } from './frame.ts';
import {
  EntryList,
  type LogContents,
  newestSnapshot,
  readWal,
  validSnapshots,
  verifyWal,
  WalError,
} from './index.ts';
import { HandmadeLog, putFiles } from './testing/handmade-log.ts';

const DIRECTORY = '/wal';
const NAME = '0000000000000000-0000000000000000.wal';
const METADATA = Buffer.from('0801', 'hex');

type Step =
  | { readonly kind: 'entry'; readonly index: number; readonly term: number; readonly type?: number }
  | { readonly kind: 'state'; readonly term: number; readonly commit: number }
  | { readonly kind: 'snapshot'; readonly index: number; readonly term: number }
  | { readonly kind: 'raw'; readonly type: number; readonly data: Uint8Array };

const entry = (index: number, term = 1, type = 0): Step => ({ kind: 'entry', index, term, type });
const state = (term: number, commit: number): Step => ({ kind: 'state', term, commit });
const snapshot = (index: number, term = 1): Step => ({ kind: 'snapshot', index, term });
const raw = (type: number, data: Uint8Array): Step => ({ kind: 'raw', type, data });

function addStep(log: HandmadeLog, step: Step): void {
  switch (step.kind) {
    case 'entry':
      log.add(
        RECORD_ENTRY,
        encodeEntry(new Entry({ ...step, data: Buffer.from(`${step.index}.${step.term}`) })),
      );
      return;
    case 'state':
      log.add(RECORD_STATE, encodeHardState(new HardState({ ...step, vote: 7n })));
      return;
    case 'snapshot':
      log.add(
        RECORD_SNAPSHOT,
        encodeSnapshot(new Snapshot({ ...step, confState: new ConfState({ voters: [1n] }) })),
      );
      return;
    case 'raw':
      log.add(step.type, step.data);
  }
}

interface Made {
  readonly disk: SimDisk;
  readonly log: HandmadeLog;
}

/** A log of one segment with these records behind its head and the initial snapshot. */
function made(steps: readonly Step[]): Made {
  const log = new HandmadeLog().addHead(METADATA).add(RECORD_SNAPSHOT, encodeSnapshot(new Snapshot()));
  for (const step of steps) addStep(log, step);
  const disk = new SimDisk();
  putFiles(disk, DIRECTORY, new Map([[NAME, Buffer.concat([log.bytes(), Buffer.alloc(800)])]]));
  return { disk, log };
}

interface Read extends LogContents {
  /** `index.term` */
  readonly entries: string[];
}

function read(disk: SimDisk, index = 0, term = 0): Read {
  const list = new EntryList();
  const contents = readWal({ disk, directory: DIRECTORY }, { index, term }, list);
  for (const { index: at, term: of, data } of list.entries) {
    assert.equal(Buffer.from(data).toString(), `${at}.${of}`);
  }
  const checked = verifyWal({ disk, directory: DIRECTORY }, { index, term });
  assert.deepEqual({ ...checked }, { ...contents.hardState });
  assert.deepEqual(disk.openPaths(), []);
  return { ...contents, entries: list.entries.map(({ index: at, term: of }) => `${at}.${of}`) };
}

/** The error, which blames record number `record`, the head being the first two, or no place at all. */
function refused(steps: readonly Step[], record: number | null, index = 0, term = 0): string {
  const { disk, log } = made(steps);
  try {
    read(disk, index, term);
  } catch (error) {
    assert.ok(error instanceof WalError, String(error));
    assert.equal(error.path, `${DIRECTORY}/${NAME}`);
    assert.equal(error.offset, record === null ? -1 : log.offsets[record]);
    assert.deepEqual(disk.openPaths(), []);
    return `${error.code}: ${error.message}`;
  }
  assert.fail('it was read');
}

test('entries that are no raft entries, and hard states that are none, are refused where they stand', () => {
  const good = [entry(1), entry(2)];
  for (const bad of [
    entry(0),
    entry(3, 0),
    entry(3, 1, 3),
    entry(3, 1, -1),
    entry(2 ** 53),
    entry(3, 2 ** 53),
    raw(RECORD_ENTRY, Buffer.from('ff', 'hex')),
  ]) {
    assert.match(refused([...good, bad], 5), /^corrupt: /, JSON.stringify(bad));
  }
  for (const type of [0, 1, 2]) assert.equal(read(made([...good, entry(3, 1, type)]).disk).lastIndex, 3);
  const states = [state(3, 1), state(3, 2)];
  for (const bad of [
    state(2, 2),
    state(2 ** 53, 2),
    state(3, 2 ** 53),
    raw(RECORD_STATE, Buffer.from('0803100718022001', 'hex')),
    raw(RECORD_STATE, Buffer.from('08', 'hex')),
  ]) {
    assert.match(refused([...states, bad], 5), /^corrupt: /, JSON.stringify(bad));
  }
  const { hardState } = read(made([...states, state(4, 1)]).disk);
  assert.deepEqual([hardState.term, hardState.vote, hardState.commit], [4, 7n, 1]);
});

test('a term that falls along the log is refused, one that is overwritten by an older term is not', () => {
  assert.match(refused([entry(1, 3), entry(2, 2)], 4), /^corrupt: .*entry 2 has term 2 behind term 3/);
  assert.deepEqual(read(made([entry(1, 1), entry(2, 5), entry(2, 3), entry(3, 3)]).disk).entries, [
    '1.1',
    '2.3',
    '3.3',
  ]);
  assert.match(refused([entry(1, 1), entry(2, 5), entry(2, 3), entry(3, 2)], 6), /^corrupt: /);
});

test('an entry that leaves a gap is refused, and where it should have been is said', () => {
  const gap = /^slice-out-of-range: .*entry 4 of term 2 where 3 is next/;
  assert.match(refused([entry(1), entry(2), entry(4, 2)], 5), gap);
  assert.match(refused([snapshot(2, 2), entry(4, 2)], 4, 2, 2), gap);
  assert.deepEqual(read(made([snapshot(2, 2), entry(3, 2), entry(4, 2)]).disk, 2, 2).entries, ['3.2', '4.2']);
});

test('a record of a type that there is none of, and a second metadata that differs, are refused', () => {
  for (const type of [0, 6, 127]) {
    assert.match(refused([raw(type, EMPTY_BYTES)], 3), new RegExp(`^unknown-record: .*type ${type} `));
  }
  assert.match(refused([raw(RECORD_METADATA, Buffer.from('0802', 'hex'))], 3), /^metadata: /);
  const again = read(made([raw(RECORD_METADATA, METADATA), entry(1)]).disk);
  assert.deepEqual([again.lastIndex, Buffer.from(again.metadata)], [1, METADATA]);
  assert.match(refused([raw(RECORD_CRC, EMPTY_BYTES)], 3), /^corrupt: /);
});

test('a snapshot that the log does not have, or has in another term, can not be begun from', () => {
  const steps = [entry(1), entry(2), snapshot(2, 1), snapshot(5, 3)];
  assert.match(refused(steps, null, 3, 1), /^snapshot-not-found: .*index 3, term 1/);
  assert.match(refused(steps, 5, 2, 2), /^snapshot-mismatch: .*index 2 has term 1, not 2/);
  assert.match(refused([snapshot(2 ** 53)], 3), /^corrupt: /);
  assert.match(refused([snapshot(1, 2 ** 53)], 3), /^corrupt: /);
  assert.match(refused([raw(RECORD_SNAPSHOT, Buffer.from('08', 'hex'))], 3), /^corrupt: /);
  const { lastIndex, snapshotIndex, entries } = read(made(steps).disk, 2, 1);
  assert.deepEqual([lastIndex, snapshotIndex, entries], [5, 5, []]);
  assert.deepEqual(read(made([...steps.slice(0, 3), snapshot(1)]).disk).snapshotIndex, 2);
});

test('a log that has no entry where its snapshot stands keeps those that came before its record', () => {
  const { entries, lastIndex } = read(made([entry(6, 3), entry(7, 3), snapshot(5, 3)]).disk, 5, 3);
  assert.deepEqual([entries, lastIndex], [['6.3', '7.3'], 7]);
});

/** What is left behind `position`, told record by record. */
function expected(
  steps: readonly Step[],
  index: number,
  term: number,
): Omit<Read, 'metadata' | 'hardState'> | null {
  let found = index === 0;
  /** Of the whole log, from 1 on; 0 where no entry is. */
  let terms: number[] = [];
  let last = index;
  let newest = index;
  for (const step of steps) {
    if (step.kind === 'entry') {
      while (terms.length < step.index - 1) terms.push(0);
      terms = [...terms.slice(0, step.index - 1), step.term];
      last = Math.max(index, step.index);
    } else if (step.kind === 'snapshot') {
      last = Math.max(last, step.index);
      newest = Math.max(newest, step.index);
      if (step.index !== index) continue;
      const known = terms[index - 1] ?? 0;
      // Another term at its place: the leader's, in the place of all that there was.
      if (!found && known !== 0 && known !== term) {
        terms = [...terms.slice(0, index - 1), term];
        last = index;
      }
      found = true;
    }
  }
  const entries = terms.flatMap((of, at) => (at + 1 > index ? [`${at + 1}.${of}`] : []));
  return found ? { entries, lastIndex: last, snapshotIndex: newest } : null;
}

test('a log of any entries and snapshots gives, from each of its snapshots, what its records say in their order', () => {
  let reads = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const random = new SeededRandom(seed);
    const steps: Step[] = [];
    let last = 0;
    let term = 1;
    let snapped = 0;
    for (let i = 0; i < 12; i++) {
      if (random.chance(0.2)) term++;
      const what = random.below(10);
      if (what < 7) {
        const back = random.chance(0.3) ? random.below(4) : 0;
        // What a snapshot covers is committed, and not written over.
        last = Math.max(snapped + 1, last + 1 - back);
        steps.push(entry(last, term));
      } else if (last > snapped) {
        snapped += 1 + random.below(last - snapped);
        if (random.chance(0.7)) steps.push(snapshot(snapped, termAt(steps, snapped)));
        else {
          // From a leader of a later term, who has something else there, and nothing of what stands behind.
          steps.push(snapshot(snapped, ++term));
          last = snapped;
        }
      }
    }
    const { disk } = made(steps);
    for (const step of [snapshot(0, 0), ...steps]) {
      if (step.kind !== 'snapshot') continue;
      const { metadata: _metadata, hardState: _hardState, ...got } = read(disk, step.index, step.term);
      assert.deepEqual(
        got,
        expected(steps, step.index, step.term),
        `seed ${seed}: ${JSON.stringify([step, steps])}`,
      );
      reads++;
    }
  }
  assert.ok(reads > 600, `${reads} reads`);
});

function termAt(steps: readonly Step[], index: number): number {
  let term = 0;
  for (const step of steps) {
    if (step.kind !== 'entry') continue;
    if (step.index === index) term = step.term;
  }
  return term;
}

test('snapshots are valid up to the commit index of the last hard state, in the order of their records', () => {
  const steps = [
    entry(1),
    snapshot(1),
    state(1, 5),
    snapshot(7, 2),
    snapshot(5, 2),
    state(2, 6),
    snapshot(6, 2),
  ];
  const { disk } = made(steps);
  const indices = (): number[] => validSnapshots({ disk, directory: DIRECTORY }).map(({ index }) => index);
  assert.deepEqual(indices(), [0, 1, 5, 6]);
  assert.equal(newestSnapshot({ disk, directory: DIRECTORY }).index, 6);
  const { disk: older } = made([state(1, 9), snapshot(7, 2), snapshot(5, 2)]);
  assert.equal(newestSnapshot({ disk: older, directory: DIRECTORY }).index, 7);
  const { disk: twice } = made([state(1, 9), snapshot(7, 2), snapshot(7, 3)]);
  assert.equal(
    newestSnapshot({ disk: twice, directory: DIRECTORY }).term,
    3,
    'the one that was recorded last',
  );
  const { disk: none } = made([entry(1)]);
  assert.deepEqual({ ...newestSnapshot({ disk: none, directory: DIRECTORY }) }, { ...new Snapshot() });
  assert.deepEqual(disk.openPaths(), []);
});
