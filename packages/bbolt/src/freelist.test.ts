import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { Freelist, PageChanges } from './freelist.ts';

function withFree(ids: readonly number[]): Freelist {
  const freelist = new Freelist(100);
  for (const pgid of ids) freelist.addFree(pgid);
  return freelist;
}

/** Allocates for a transaction that is durable at once. */
function commit(freelist: Freelist, txid: number, work: (changes: PageChanges) => void): void {
  freelist.release(txid - 1);
  const changes = new PageChanges(txid);
  work(changes);
  freelist.commit(changes);
}

test('the lowest run that is long enough is taken', () => {
  const freelist = withFree([3, 5, 6, 9, 10, 11, 12, 20]);
  const changes = new PageChanges(101);
  assert.equal(freelist.allocate(changes, 3), 9);
  assert.equal(freelist.allocate(changes, 2), 5);
  assert.equal(freelist.allocate(changes, 1), 3);
  assert.equal(freelist.allocate(changes, 2), -1);
  assert.equal(freelist.allocate(changes, 1), 12);
  assert.equal(freelist.allocate(changes, 1), 20);
  assert.equal(freelist.allocate(changes, 1), -1);
  freelist.rollback(changes);
  assert.equal(freelist.freeCount, 8);
  assert.equal(freelist.allocate(new PageChanges(101), 1), 3);
});

test('a freed page is free again once its transaction is durable and no older reader is left', () => {
  const freelist = withFree([]);
  freelist.addReader(100);
  commit(freelist, 101, (changes) => assert.ok(freelist.free(changes, 7, 2)));
  freelist.release(100);
  assert.deepEqual([freelist.freeCount, freelist.pendingCount], [0, 2]);
  freelist.release(101);
  assert.deepEqual([freelist.freeCount, freelist.pendingCount], [0, 2]);
  freelist.addReader(101);
  freelist.removeReader(100);
  freelist.release(101);
  assert.deepEqual([freelist.freeCount, freelist.pendingCount], [2, 0]);
});

test('a page written and freed after a reader began does not wait for it', () => {
  const freelist = withFree([7]);
  freelist.addReader(100);
  commit(freelist, 101, (changes) => assert.equal(freelist.allocate(changes, 1), 7));
  commit(freelist, 102, (changes) => {
    assert.ok(freelist.free(changes, 7, 1));
    assert.ok(freelist.free(changes, 8, 1));
  });
  freelist.release(102);
  assert.ok(freelist.isFree(7));
  assert.ok(freelist.isPending(8));
});

test('a page that is free or pending is not freed again', () => {
  const freelist = withFree([7]);
  const changes = new PageChanges(101);
  assert.ok(!freelist.free(changes, 6, 2));
  assert.ok(freelist.free(changes, 8, 1));
  assert.ok(!freelist.free(changes, 8, 1));
  assert.equal(changes.freed.count, 1);
});

test('the tail is trimmed as far as it is free, and a rollback brings it back', () => {
  const freelist = withFree([5, 8, 9]);
  const changes = new PageChanges(101);
  assert.equal(freelist.trimTail(changes, 10), 8);
  assert.equal(freelist.freeCount, 1);
  freelist.rollback(changes);
  assert.equal(freelist.freeCount, 3);
});

test('random transactions and readers: no page is given out that somebody can still see', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const freelist = withFree(Array.from({ length: 50 }, (_, i) => i + 2));
    /** Pages of each state that a reader can be at, by transaction. */
    const states = new Map<number, Set<number>>([[100, new Set()]]);
    const readers: number[] = [];
    let latest = 100;
    for (let round = 0; round < 200; round++) {
      const txid = latest + 1;
      const state = new Set(states.get(latest));
      commit(freelist, txid, (changes) => {
        for (let i = random.below(6); i > 0; i--) {
          const pages = 1 + random.below(3);
          const start = freelist.allocate(changes, pages);
          if (start === -1) continue;
          for (let pgid = start; pgid < start + pages; pgid++) {
            assert.ok(!state.has(pgid), 'in use');
            for (const reader of [latest, ...readers])
              assert.ok(!states.get(reader)!.has(pgid), `seen at ${reader}`);
            state.add(pgid);
          }
        }
        for (const pgid of [...states.get(latest)!]) {
          if (!random.chance(0.3)) continue;
          assert.ok(freelist.free(changes, pgid, 1));
          state.delete(pgid);
        }
      });
      states.set(txid, state);
      latest = txid;
      if (random.chance(0.3)) {
        freelist.addReader(latest);
        readers.push(latest);
      }
      if (random.chance(0.3) && readers.length > 0) {
        const [reader] = readers.splice(random.below(readers.length), 1);
        freelist.removeReader(reader!);
      }
      assert.equal(freelist.freeCount + freelist.pendingCount + state.size, 50);
    }
    for (const reader of readers) freelist.removeReader(reader);
    freelist.release(latest);
    assert.equal(freelist.pendingCount, 0);
  }
});
