import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, sizeEntry } from '@etcd/api/raftpb';
import fc from 'fast-check';
import { EntryRing } from './entry-ring.ts';

function entriesAt(first: number, count: number, dataLength = 0): Entry[] {
  return Array.from(
    { length: count },
    (_, i) => new Entry({ index: first + i, term: 1, data: new Uint8Array(dataLength) }),
  );
}

test('a ring is a list of consecutive entries, for any sequence of calls', () => {
  const calls = fc.array(
    fc.record({
      kind: fc.constantFrom('append', 'append', 'truncate', 'drop', 'reset'),
      amount: fc.nat({ max: 150 }),
    }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(calls, (sequence) => {
      const ring = new EntryRing(5);
      let model: Entry[] = [];
      let first = 5;
      for (const { kind, amount } of sequence) {
        const within = Math.min(amount, model.length);
        if (kind === 'append') {
          const added = entriesAt(first + model.length - (amount % 3), amount + (amount % 3));
          ring.append(added, amount % 3);
          model = model.concat(added.slice(amount % 3));
        } else if (kind === 'truncate') {
          ring.truncateFrom(first + model.length - within);
          model = model.slice(0, model.length - within);
        } else if (kind === 'drop') {
          ring.dropBefore(first + within);
          model = model.slice(within);
          first += within;
        } else {
          ring.reset(first + amount);
          model = [];
          first += amount;
        }
        assert.deepEqual(
          [ring.firstIndex, ring.count, ring.nextIndex],
          [first, model.length, first + model.length],
        );
        const lo = first + (amount % (model.length + 1));
        assert.deepEqual(ring.slice(lo, ring.nextIndex), model.slice(lo - first));
        if (model.length > 0) assert.equal(ring.at(first), model[0]);
      }
    }),
    { numRuns: 300 },
  );
});

test('a slice ends before the size is exceeded, but has at least one entry', () => {
  const ring = new EntryRing(1);
  const entries = entriesAt(1, 5, 10);
  ring.append(entries);
  const sizeBytes = sizeEntry(entries[0]!);
  for (const [maxSizeBytes, count] of [
    [0, 1],
    [sizeBytes - 1, 1],
    [sizeBytes, 1],
    [2 * sizeBytes - 1, 1],
    [2 * sizeBytes, 2],
    [5 * sizeBytes, 5],
    [Infinity, 5],
  ] as const) {
    assert.equal(ring.sliceOfSize(1, 6, maxSizeBytes).length, count);
  }
  assert.deepEqual(ring.sliceOfSize(3, 3, 0), []);
});

test('what does not belong into the ring is refused', () => {
  const ring = new EntryRing(5);
  ring.append(entriesAt(5, 3));
  assert.throws(() => ring.append(entriesAt(9, 1)), /not consecutive/);
  assert.throws(() => ring.at(4), /out of range/);
  assert.throws(() => ring.at(8), /out of range/);
  assert.throws(() => ring.slice(4, 6), /out of range/);
  assert.throws(() => ring.slice(7, 6), /out of range/);
  assert.throws(() => ring.truncateFrom(9), /out of range/);
  assert.throws(() => ring.dropBefore(4), /out of range/);
});

test('entries that follow a cut continue what was kept', () => {
  const ring = new EntryRing(1);
  ring.append(entriesAt(1, 100));
  ring.dropBefore(50);
  ring.truncateFrom(60);
  ring.append(entriesAt(60, 1));
  assert.deepEqual(
    ring.slice(50, 61).map(({ index }) => index),
    Array.from({ length: 11 }, (_, i) => 50 + i),
  );
});
