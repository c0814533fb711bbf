import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfState, Entry, HardState, Snapshot, SnapshotMetadata, sizeEntry } from '@etcd/api/raftpb';
import fc from 'fast-check';
import { MemoryStorage } from './memory-storage.ts';
import { TERM_COMPACTED, TERM_UNAVAILABLE } from './storage.ts';

function entriesOf(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => new Entry({ index: first + i, term }));
}

function storageOf(...terms: number[]): MemoryStorage {
  const storage = new MemoryStorage();
  storage.append(entriesOf(1, ...terms));
  return storage;
}

const termsIn = (storage: MemoryStorage): number[] =>
  (storage.firstIndex() > storage.lastIndex()
    ? []
    : storage.entries(storage.firstIndex(), storage.lastIndex() + 1, Infinity)!
  ).map(({ term }) => term);

test('a new storage is empty', () => {
  const storage = new MemoryStorage();
  assert.deepEqual([storage.firstIndex(), storage.lastIndex(), storage.term(0)], [1, 0, 0]);
  const { hardState, confState } = storage.initialState();
  assert.equal(hardState, null);
  assert.deepEqual(confState.voters, []);
});

test('appended entries replace those that they overlap with', () => {
  for (const [first, terms, expected] of [
    [4, [5], [3, 4, 5, 5]],
    [2, [6, 6], [3, 6, 6]],
    [3, [6, 6, 6], [3, 4, 6, 6, 6]],
    [1, [9], [9]],
  ] as const) {
    const storage = storageOf(3, 4, 5);
    storage.append(entriesOf(first, ...terms));
    assert.deepEqual(termsIn(storage), expected);
  }
  const storage = storageOf(1);
  assert.throws(() => storage.append(entriesOf(3, 1)), /missing log entry \[last: 1, append at: 3\]/);
});

test('entries that are compacted away already are not appended again', () => {
  const storage = storageOf(1, 2, 3, 4);
  storage.compact(3);
  storage.append(entriesOf(1, 1, 2));
  assert.deepEqual(termsIn(storage), [4]);
  storage.append(entriesOf(2, 2, 3, 7, 7));
  assert.deepEqual(termsIn(storage), [7, 7]);
});

test('compaction keeps the term of the last entry that it drops', () => {
  const storage = storageOf(3, 4, 5);
  assert.equal(storage.compact(2), true);
  assert.equal(storage.compact(2), false);
  assert.equal(storage.compact(1), false);
  assert.deepEqual([storage.firstIndex(), storage.lastIndex()], [3, 3]);
  assert.deepEqual(
    [1, 2, 3, 4].map((index) => storage.term(index)),
    [TERM_COMPACTED, 4, 5, TERM_UNAVAILABLE],
  );
  assert.equal(storage.entries(2, 4, Infinity), null);
  assert.throws(() => storage.compact(4), /out of bound/);
  assert.equal(storage.compact(3), true);
  assert.deepEqual([storage.firstIndex(), storage.lastIndex(), storage.term(3)], [4, 3, 5]);
});

test('entries are cut off at the size, never before the first', () => {
  const storage = storageOf(1, 1, 1);
  const sizeBytes = sizeEntry(entriesOf(1, 1)[0]!);
  assert.deepEqual(
    [0, sizeBytes, 2 * sizeBytes - 1, 2 * sizeBytes, Infinity].map(
      (maxSizeBytes) => storage.entries(1, 4, maxSizeBytes)!.length,
    ),
    [1, 1, 1, 2, 3],
  );
  assert.throws(() => storage.entries(1, 5, Infinity), /out of bound/);
});

test('the array of entries is the caller’s', () => {
  const storage = storageOf(1, 2, 3);
  storage.entries(1, 4, Infinity)!.length = 0;
  assert.deepEqual(termsIn(storage), [1, 2, 3]);
});

test('a snapshot is of the log as it is, and never older than the last', () => {
  const storage = storageOf(3, 4, 5);
  const confState = new ConfState({ voters: [1n] });
  const snapshot = storage.createSnapshot(2, confState, Uint8Array.of(7))!;
  assert.deepEqual([snapshot.metadata.index, snapshot.metadata.term], [2, 4]);
  assert.equal(storage.createSnapshot(2, null, Uint8Array.of()), null);
  const next = storage.createSnapshot(3, null, Uint8Array.of())!;
  assert.deepEqual(next.metadata.confState.voters, [1n]);
  assert.equal(snapshot.metadata.index, 2);
  assert.throws(() => storage.createSnapshot(4, null, Uint8Array.of()), /out of bound/);
});

test('a snapshot of another member replaces everything that is older', () => {
  const storage = storageOf(3, 4, 5);
  storage.setHardState(new HardState({ term: 5, vote: 1n, commit: 3 }));
  const snapshot = new Snapshot({ metadata: new SnapshotMetadata({ index: 8, term: 6 }) });
  assert.equal(storage.applySnapshot(snapshot), true);
  assert.deepEqual([storage.firstIndex(), storage.lastIndex(), storage.term(8)], [9, 8, 6]);
  assert.equal(storage.snapshot(), snapshot);
  assert.equal(storage.applySnapshot(snapshot), false);
  storage.append(entriesOf(9, 6));
  assert.deepEqual(termsIn(storage), [6]);
});

test('any sequence of appends and compactions leaves the log that a list would hold', () => {
  const calls = fc.array(
    fc.record({ back: fc.nat({ max: 5 }), count: fc.nat({ max: 80 }), compact: fc.nat({ max: 60 }) }),
  );
  fc.assert(
    fc.property(calls, (sequence) => {
      const storage = new MemoryStorage();
      let model: Entry[] = [];
      let compacted = 0;
      for (const [term, { back, count, compact }] of sequence.entries()) {
        const last = compacted + model.length;
        const first = Math.max(compacted + 1, last + 1 - back);
        const added = entriesOf(first, ...new Array<number>(count).fill(term));
        storage.append(added);
        if (count > 0) model = model.slice(0, first - compacted - 1).concat(added);
        const until = Math.min(compacted + compact, compacted + model.length);
        assert.equal(storage.compact(until), until > compacted);
        model = model.slice(until - compacted);
        compacted = until;
        assert.deepEqual(
          [storage.firstIndex(), storage.lastIndex()],
          [compacted + 1, compacted + model.length],
        );
        assert.deepEqual(
          termsIn(storage),
          model.map((entry) => entry.term),
        );
      }
    }),
    { numRuns: 200 },
  );
});
