import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EntryPhases } from './entry-phases.ts';

test('the moments of an entry are those of the batches that it was in', () => {
  const phases = new EntryPhases();
  phases.saved(3, 10, 11);
  phases.saved(7, 20, 25);
  phases.committed(5, 30);
  phases.committed(7, 40);
  assert.deepEqual(phases.of(3), { savingMs: 10, savedMs: 11, committedMs: 30 });
  assert.deepEqual(phases.of(4), { savingMs: 20, savedMs: 25, committedMs: 30 });
  assert.deepEqual(phases.of(7), { savingMs: 20, savedMs: 25, committedMs: 40 });
  assert.equal(phases.of(8), null, 'it has not come yet');
});

test('what a new leader has replaced counts from then on', () => {
  const phases = new EntryPhases();
  phases.saved(9, 1, 2);
  phases.saved(6, 5, 6);
  phases.saved(8, 7, 8);
  phases.committed(8, 9);
  assert.equal(phases.of(7)?.savingMs, 7);
});

test('what is long past is forgotten, not mixed up', () => {
  const phases = new EntryPhases();
  for (let index = 1; index <= 10_000; index++) {
    phases.saved(index, index, index);
    phases.committed(index, index);
  }
  assert.equal(phases.of(1), null);
  assert.equal(phases.of(10_000 - 5000), null);
  assert.equal(phases.of(9_999)?.savedMs, 9_999);
});

test('4096 batches are remembered, of the oldest of them only what another tells apart', () => {
  const phases = new EntryPhases();
  const add = (batch: number): void => {
    phases.saved(10 * batch, batch, batch + 0.5);
    phases.committed(10 * batch, batch + 0.75);
  };
  for (let batch = 1; batch <= 4096; batch++) add(batch);
  assert.deepEqual(phases.of(1), { savingMs: 1, savedMs: 1.5, committedMs: 1.75 });
  assert.deepEqual(phases.of(11), { savingMs: 2, savedMs: 2.5, committedMs: 2.75 });
  add(4097);
  assert.equal(phases.of(10), null);
  assert.equal(phases.of(20), null, 'it may have been in one that is forgotten');
  assert.equal(phases.of(21)?.savingMs, 3);
  assert.equal(phases.of(40_970)?.savingMs, 4097);
  assert.equal(phases.of(40_971), null);
  assert.equal(new EntryPhases().of(0), null);
});
