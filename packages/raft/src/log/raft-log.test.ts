import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, Snapshot, SnapshotMetadata, sizeEntry } from '@etcd/api/raftpb';
import { SILENT_LOGGER } from '@etcd/base';
import fc from 'fast-check';
import { MemoryStorage } from '../memory-storage.ts';
import { TERM_COMPACTED, TERM_UNAVAILABLE } from '../storage.ts';
import { RaftLog } from './raft-log.ts';

function entriesOf(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => new Entry({ index: first + i, term }));
}

function logOver(storage: MemoryStorage, maxApplyingSizeBytes = Infinity): RaftLog {
  return new RaftLog({ storage, logger: SILENT_LOGGER, maxApplyingSizeBytes });
}

/** A log of entries 1, 2, … with these terms, the first `stableCount` of them in storage. */
function logOf(terms: readonly number[], stableCount = 0, maxApplyingSizeBytes = Infinity): RaftLog {
  const storage = new MemoryStorage();
  storage.append(entriesOf(1, ...terms.slice(0, stableCount)));
  const log = logOver(storage, maxApplyingSizeBytes);
  log.append(entriesOf(stableCount + 1, ...terms.slice(stableCount)));
  return log;
}

const idsOf = (entries: readonly Entry[] | null): string | null =>
  entries === null ? null : entries.map(({ term, index }) => `${term}/${index}`).join(' ');

test('the first conflict is the first entry that is not in the log with its term', () => {
  for (const [first, terms, expected] of [
    [1, [], 0],
    [1, [1, 2, 3], 3],
    [2, [2, 3], 2],
    // Behind the end.
    [4, [4], 0],
    [2, [2, 3, 4, 4], 2],
    // Another term.
    [1, [4, 4], 0],
    [2, [1, 4, 4], 0],
    [2, [2, 4, 4], 1],
  ] as const) {
    assert.equal(logOf([1, 2, 3]).findConflict(entriesOf(first, ...terms)), expected);
  }
});

test('the guess where another log ends matching is right whatever that log is', () => {
  const ascending = fc.array(fc.nat({ max: 2 }), { maxLength: 10 }).map((steps) => {
    let term = 1;
    return steps.map((step) => (term += step));
  });
  fc.assert(
    fc.property(ascending, ascending, fc.nat({ max: 12 }), (common, rest, at) => {
      // Another log with a common beginning, as two logs always have.
      const commonCount = Math.min(at, common.length);
      let term = common[commonCount - 1] ?? 1;
      const other = [...common.slice(0, commonCount), ...rest.map((step) => (term += step))];
      const matchedCount = other.findIndex((otherTerm, i) => otherTerm !== common[i]);
      const matchEnd = matchedCount < 0 ? Math.min(other.length, common.length) : matchedCount;
      const log = logOf(common);
      for (const [i, otherTerm] of other.entries()) {
        // Of the other log only one entry is known. The logs can't match beyond the guess up to there.
        const guess = log.findConflictByTerm(Math.min(i + 1, common.length), otherTerm);
        assert.ok(guess >= Math.min(matchEnd, i + 1));
        assert.ok(guess <= i + 1);
      }
    }),
    { numRuns: 500 },
  );
});

test('the guess is the one that a search from the end finds', () => {
  const ascending = fc
    .array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 12 })
    .map((steps) => steps.map((_, i) => 1 + steps.slice(0, i + 1).reduce((sum, step) => sum + step, 0)));
  fc.assert(
    fc.property(
      ascending,
      fc.nat({ max: 12 }),
      fc.nat({ max: 14 }),
      fc.nat({ max: 20 }),
      (terms, compacted, index, term) => {
        const storage = new MemoryStorage();
        storage.append(entriesOf(1, ...terms));
        storage.compact(Math.min(compacted, terms.length));
        const log = logOver(storage);
        let expected = index;
        // A term that is not known is negative.
        while (expected > 0 && log.term(expected) > term) expected--;
        assert.equal(log.findConflictByTerm(index, term), expected);
      },
    ),
    { numRuns: 1000 },
  );
});

test('a log is up to date by its last term, then by its length', () => {
  const log = logOf([1, 2, 3]);
  for (const [term, index, expected] of [
    [4, 2, true],
    [4, 4, true],
    [2, 2, false],
    [2, 9, false],
    [3, 2, false],
    [3, 3, true],
    [3, 4, true],
  ] as const) {
    assert.equal(log.isUpToDate(term, index), expected);
  }
});

test('entries are appended across the border between storage and memory', () => {
  for (const [first, terms, expected, unstableFrom] of [
    [3, [2], '1/1 2/2 2/3', 3],
    [1, [2], '2/1', 1],
    [2, [3, 3], '1/1 3/2 3/3', 2],
  ] as const) {
    const log = logOf([1, 2], 2);
    assert.equal(log.append(entriesOf(first, ...terms)), first + terms.length - 1);
    assert.equal(idsOf(log.entriesFrom(1, Infinity)), expected);
    assert.equal(log.unstable.offset, unstableFrom);
  }
});

test('what is committed is never overwritten', () => {
  const log = logOf([1, 2, 3]);
  log.commitTo(2);
  assert.throws(() => log.append(entriesOf(2, 4)), /after\(1\) is out of range \[committed\(2\)\]/);
});

test('the commit index moves forward only, and not beyond the log', () => {
  const log = logOf([1, 2, 3]);
  log.commitTo(2);
  log.commitTo(1);
  assert.equal(log.committed, 2);
  assert.throws(() => log.commitTo(4), /tocommit\(4\) is out of range \[lastIndex\(3\)\]/);
});

test('a leader commits entries of its own term only', () => {
  const log = logOf([1, 2, 3]);
  assert.equal(log.maybeCommit(3, 2), false);
  assert.equal(log.maybeCommit(0, 3), false);
  assert.equal(log.maybeCommit(3, 4), false);
  assert.equal(log.maybeCommit(3, Infinity), false);
  assert.equal(log.maybeCommit(3, 3), true);
  assert.equal(log.maybeCommit(3, 3), false);
  assert.equal(log.committed, 3);
});

test('terms are known from the entry before the first to the last', () => {
  const storage = new MemoryStorage();
  storage.append(entriesOf(1, 1, 1, 2, 2));
  storage.compact(2);
  const log = logOver(storage);
  log.append(entriesOf(5, 3));
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6].map((index) => log.term(index)),
    [TERM_COMPACTED, TERM_COMPACTED, 1, 2, 2, 3, TERM_UNAVAILABLE],
  );
  assert.equal(log.termOrZero(0), 0);
  assert.equal(log.matchTerm(0, 0), false);
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.lastTerm()], [3, 5, 3]);
});

test('with a snapshot waiting, storage counts no more', () => {
  const storage = new MemoryStorage();
  storage.append(entriesOf(1, 1, 1, 1));
  const log = logOver(storage);
  log.restore(new Snapshot({ metadata: new SnapshotMetadata({ index: 10, term: 2 }) }));
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.committed], [11, 10, 10]);
  assert.deepEqual([log.term(9), log.term(10), log.term(11)], [TERM_COMPACTED, 2, TERM_UNAVAILABLE]);
  assert.equal(log.entriesFrom(2, Infinity), null);
  assert.equal(log.snapshot()?.metadata.index, 10);
  assert.equal(log.hasNextCommittedEntries(true), false);
  assert.throws(
    () => log.restore(new Snapshot({ metadata: new SnapshotMetadata({ index: 10, term: 2 }) })),
    /older than the committed/,
  );
});

test('a slice is the same wherever the border between storage and memory is', () => {
  const terms = [1, 1, 2, 2, 3, 3];
  const sizeBytes = sizeEntry(entriesOf(1, 1)[0]!);
  fc.assert(
    fc.property(
      fc.nat({ max: 6 }),
      fc.integer({ min: 1, max: 7 }),
      fc.nat({ max: 7 }),
      fc.nat({ max: 7 * sizeBytes }),
      (stableCount, lo, length, maxSizeBytes) => {
        const hi = Math.min(7, lo + length);
        if (lo > hi) return;
        const expected = logOf(terms).slice(lo, hi, maxSizeBytes);
        assert.equal(idsOf(logOf(terms, stableCount).slice(lo, hi, maxSizeBytes)), idsOf(expected));
        const count = Math.max(Math.min(1, hi - lo), Math.min(hi - lo, Math.floor(maxSizeBytes / sizeBytes)));
        assert.equal(expected?.length, count);
      },
    ),
    { numRuns: 500 },
  );
});

test('a slice beyond the log is a broken invariant, one that is compacted away a value', () => {
  const storage = new MemoryStorage();
  storage.append(entriesOf(1, 1, 1, 1));
  storage.compact(2);
  const log = logOver(storage);
  assert.equal(log.slice(2, 4, Infinity), null);
  assert.throws(() => log.slice(3, 5, Infinity), /out of bound/);
  assert.throws(() => log.slice(4, 3, Infinity), /invalid slice/);
  assert.deepEqual(log.entriesFrom(9, Infinity), []);
});

test('committed entries are handed out once, and in storage first where that is wanted', () => {
  const log = logOf([1, 1, 1, 1], 2);
  log.commitTo(3);
  assert.equal(idsOf(log.nextCommittedEntries(false)), '1/1 1/2');
  assert.equal(idsOf(log.nextCommittedEntries(true)), '1/1 1/2 1/3');
  log.acceptApplying(3, 0, true);
  assert.equal(log.hasNextCommittedEntries(true), false);
  assert.deepEqual(log.nextCommittedEntries(true), []);
  assert.deepEqual([log.applying, log.applied], [3, 0]);
  log.appliedTo(3, 0);
  assert.deepEqual([log.applying, log.applied], [3, 3]);
});

test('what is handed out and not yet applied has a bound', () => {
  const sizeBytes = sizeEntry(entriesOf(1, 1)[0]!);
  const log = logOf([1, 1, 1, 1], 0, 2 * sizeBytes);
  log.commitTo(4);
  assert.equal(idsOf(log.nextCommittedEntries(true)), '1/1 1/2');
  log.acceptApplying(2, 2 * sizeBytes, true);
  assert.equal(log.hasNextCommittedEntries(true), false);
  log.appliedTo(1, sizeBytes);
  assert.equal(idsOf(log.nextCommittedEntries(true)), '1/3');
  log.acceptApplying(3, sizeBytes, true);
  log.appliedTo(3, 2 * sizeBytes);
  assert.equal(idsOf(log.nextCommittedEntries(true)), '1/4');
});

test('applying follows committing', () => {
  const log = logOf([1, 1, 1]);
  log.commitTo(2);
  assert.throws(() => log.acceptApplying(3, 0, true), /applying\(3\) is out of range/);
  assert.throws(() => log.appliedTo(3, 0), /applied\(3\) is out of range/);
  log.appliedTo(2, 0);
  assert.throws(() => log.appliedTo(1, 0), /applied\(1\) is out of range/);
});

test('a scan reads page by page, ends at the first match, and takes what is gone for one', () => {
  const storage = new MemoryStorage();
  storage.append(entriesOf(1, 1, 1, 1, 1));
  const log = logOver(storage);
  const seen: number[] = [];
  const look = (until: number) => (entry: Entry) => {
    seen.push(entry.index);
    return entry.index === until;
  };
  assert.equal(log.someEntry(1, 5, 1, look(9)), false);
  assert.deepEqual(seen.splice(0), [1, 2, 3, 4]);
  assert.equal(log.someEntry(1, 5, 1, look(2)), true);
  assert.deepEqual(seen.splice(0), [1, 2]);
  assert.equal(log.someEntry(3, 3, 1, look(3)), false);
  storage.compact(2);
  assert.equal(log.someEntry(1, 5, 1, look(9)), true);
});

test('handing out pauses at the bound of what is being applied, to the byte, and goes on below it', () => {
  const log = logOf([1, 1, 1, 1], 4, 100);
  log.commitTo(2);
  const isPaused = (): boolean => !log.hasNextCommittedEntries(true) && log.applied < log.committed;
  log.acceptApplying(2, 99, true);
  log.commitTo(4);
  assert.equal(isPaused(), false);
  log.acceptApplying(3, 0, true);
  assert.equal(isPaused(), true, 'the last hand-out was cut short');
  log.appliedTo(1, 0);
  assert.equal(isPaused(), false, '99 bytes are under way');
  log.acceptApplying(4, 1, true);
  log.commitTo(4);
  assert.deepEqual(log.nextCommittedEntries(true), []);
  const full = logOf([1, 1, 1], 3, 100);
  full.commitTo(2);
  full.acceptApplying(2, 100, true);
  full.commitTo(3);
  assert.equal(full.hasNextCommittedEntries(true), false, '100 of 100 bytes');
  full.appliedTo(1, 0);
  assert.equal(full.hasNextCommittedEntries(true), false);
  full.appliedTo(2, 1);
  assert.equal(full.hasNextCommittedEntries(true), true, '99 bytes');
});

test('a slice ends where its size does, though an entry behind would fit', () => {
  const storage = new MemoryStorage();
  const small = [1, 3].map((index) => new Entry({ index, term: 1 }));
  storage.append([small[0]!, new Entry({ index: 2, term: 1, data: new Uint8Array(1000) })]);
  const log = logOver(storage);
  log.append([small[1]!]);
  const both = sizeEntry(small[0]!) + sizeEntry(small[1]!);
  assert.equal(idsOf(log.slice(1, 4, both)), '1/1');
  assert.equal(idsOf(log.slice(1, 4, 1000 + 3 * both)), '1/1 1/2 1/3');
});
