import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { SILENT_LOGGER } from '@etcd/base';
import { Unstable } from './unstable.ts';

/** Entries from `first` on with these terms. */
function entriesOf(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => new Entry({ index: first + i, term }));
}

function snapshotAt(index: number, term: number): Snapshot {
  return new Snapshot({ metadata: new SnapshotMetadata({ index, term }) });
}

function unstableWith(offset: number, ...terms: number[]): Unstable {
  const unstable = new Unstable(offset, SILENT_LOGGER);
  if (terms.length > 0) unstable.truncateAndAppend(entriesOf(offset, ...terms), 0);
  return unstable;
}

const idsOf = (entries: readonly Entry[]): string =>
  entries.map(({ term, index }) => `${term}/${index}`).join(' ');

test('last index and terms come from entries first, then from the snapshot', () => {
  const empty = unstableWith(5);
  assert.deepEqual([empty.lastIndex(), empty.term(4), empty.term(5)], [-1, -1, -1]);

  const entries = unstableWith(5, 1, 2);
  assert.deepEqual(
    [4, 5, 6, 7].map((index) => entries.term(index)),
    [-1, 1, 2, -1],
  );
  assert.equal(entries.lastIndex(), 6);

  const snapshot = unstableWith(5);
  snapshot.restore(snapshotAt(4, 1));
  assert.deepEqual(
    [snapshot.lastIndex(), snapshot.offset, snapshot.term(4), snapshot.term(3)],
    [4, 5, 1, -1],
  );
  snapshot.truncateAndAppend(entriesOf(5, 2), 0);
  assert.deepEqual([snapshot.lastIndex(), snapshot.term(4), snapshot.term(5)], [5, 1, 2]);
});

test('what was handed out is not handed out again', () => {
  const unstable = unstableWith(5, 1, 1);
  assert.equal(idsOf(unstable.nextEntries()), '1/5 1/6');
  unstable.acceptInProgress();
  assert.equal(unstable.hasNextEntries, false);
  unstable.truncateAndAppend(entriesOf(7, 1), 0);
  assert.equal(idsOf(unstable.nextEntries()), '1/7');

  unstable.restore(snapshotAt(10, 2));
  assert.equal(unstable.nextSnapshot()?.metadata.index, 10);
  unstable.acceptInProgress();
  assert.equal(unstable.nextSnapshot(), null);
  assert.equal(unstable.snapshot?.metadata.index, 10);
  unstable.stableSnapTo(9);
  assert.equal(unstable.snapshot?.metadata.index, 10);
  unstable.stableSnapTo(10);
  assert.equal(unstable.snapshot, null);
});

test('entries leave when they are stable, unless others have taken their place', () => {
  for (const [term, index, offset] of [
    // Not here: before, behind.
    [1, 4, 5],
    [1, 8, 5],
    // Replaced by one of another term.
    [2, 5, 5],
    [1, 5, 6],
    [1, 6, 7],
    [2, 7, 8],
  ] as const) {
    const unstable = unstableWith(5, 1, 1, 2);
    unstable.acceptInProgress();
    unstable.stableTo(term, index);
    assert.equal(unstable.offset, offset, `${term}/${index}`);
    assert.equal(unstable.nextIndex, 8);
  }
});

test('a confirmation of a snapshot is not one of an entry', () => {
  const unstable = unstableWith(5);
  unstable.restore(snapshotAt(7, 1));
  unstable.truncateAndAppend(entriesOf(8, 1), 0);
  unstable.stableTo(1, 7);
  assert.equal(unstable.offset, 8);
  assert.equal(unstable.count, 1);
});

test('entries are appended, or replace what they conflict with, also what is being written', () => {
  for (const [first, terms, expected, offset, inProgress] of [
    [8, [2], '1/5 1/6 1/7 2/8', 5, 7],
    [7, [2, 2], '1/5 1/6 2/7 2/8', 5, 7],
    [6, [2], '1/5 2/6', 5, 6],
    [5, [2, 2], '2/5 2/6', 5, 5],
    [4, [2, 2, 2], '2/4 2/5 2/6', 4, 4],
  ] as const) {
    const unstable = unstableWith(5, 1, 1);
    unstable.acceptInProgress();
    unstable.truncateAndAppend(entriesOf(7, 1), 0);
    unstable.truncateAndAppend(entriesOf(first, ...terms), 0);
    assert.equal(idsOf(unstable.sliceOfSize(unstable.offset, unstable.nextIndex, Infinity)), expected);
    assert.deepEqual([unstable.offset, unstable.offsetInProgress], [offset, inProgress]);
  }
});

test('a gap is a broken invariant', () => {
  assert.throws(() => unstableWith(5, 1).truncateAndAppend(entriesOf(7, 1), 0), /leave a gap/);
});
