import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { InvariantError, SeededRandom } from '@etcd/base';
import { PendingRequests, type Waiter, waiterOf } from './waiter.ts';

const { ErrTimeout } = INTERNAL_ERRORS.errors;
const ID_LIMIT = 2 ** 48;

class RecordingWaiter implements Waiter<'put'> {
  readonly kind = 'put';
  readonly request = null;
  failures = 0;

  onApplied(): void {}

  onFailed(): void {
    this.failures++;
  }
}

test('whoever waits is found by id, once, in whatever order, as a Map would find it', () => {
  for (let seed = 1; seed <= 20; seed++) runAgainstMap(seed);
});

function runAgainstMap(seed: number): void {
  const random = new SeededRandom(seed);
  const pending = new PendingRequests();
  const model = new Map<number, { waiter: RecordingWaiter; startMs: number }>();
  // Some runs count over the end of the ids.
  let id = seed % 2 === 0 ? ID_LIMIT - 500 : 1;
  const given: number[] = [];
  for (let nowMs = 0; nowMs < 4000; nowMs++) {
    const dice = random.below(100);
    if (dice < 52) {
      // Ids between may be those of leases, or of nobody.
      id = (id + 1 + (dice < 5 ? random.below(3000) : 0)) % ID_LIMIT;
      const waiter = new RecordingWaiter();
      pending.add(id, waiter, proposalOf(id), nowMs);
      model.set(id, { waiter, startMs: nowMs });
      given.push(id);
    } else if (dice < 99 && given.length > 0) {
      const back = Math.min(given.length, 1 + random.below(40));
      const asked = given[given.length - back]!;
      const expected = model.get(asked)?.waiter ?? null;
      assert.equal(
        pending.take(asked, proposalOf(asked + 1)),
        null,
        `seed ${seed}: the entry of somebody else`,
      );
      assert.equal(pending.take(asked, proposalOf(asked)), expected, `seed ${seed}`);
      model.delete(asked);
    } else {
      expireBoth(pending, model, nowMs - 300);
    }
    assert.equal(pending.count, model.size, `seed ${seed}`);
    const next = (id + 1) % ID_LIMIT;
    assert.equal(pending.take(next, proposalOf(next)), null, `seed ${seed}: an id that is not given yet`);
  }
  expireBoth(pending, model, Number.POSITIVE_INFINITY);
  assert.equal(pending.count, 0);
}

/** Bytes that come back as a copy, as on a follower. */
function proposalOf(id: number): Uint8Array {
  return Buffer.from(`request ${id}`);
}

function expireBoth(
  pending: PendingRequests,
  model: Map<number, { waiter: RecordingWaiter; startMs: number }>,
  beforeMs: number,
): void {
  const due = [...model].filter(([, { startMs }]) => startMs < beforeMs);
  assert.equal(
    pending.expire(beforeMs, () => ErrTimeout),
    due.length,
  );
  for (const [id, { waiter }] of due) {
    assert.equal(waiter.failures, 1);
    model.delete(id);
  }
}

test('after all have been failed the window begins anew', () => {
  const pending = new PendingRequests();
  const second = new RecordingWaiter();
  pending.add(
    7,
    {
      kind: 'txn',
      request: null,
      onApplied() {},
      onFailed: () => assert.equal(pending.count, 0),
    },
    proposalOf(7),
    0,
  );
  pending.failAll(ErrTimeout);
  pending.add(9, second, proposalOf(9), 1);
  assert.equal(pending.take(7, proposalOf(7)), null);
  assert.equal(pending.take(9, proposalOf(9)), second);
});

test('a waiter is answered as what it is, or the process ends', () => {
  const waiter = new RecordingWaiter();
  assert.equal(waiterOf(waiter, 'put'), waiter);
  assert.equal(waiterOf(null, 'put'), null);
  assert.throws(() => waiterOf(waiter, 'txn'), InvariantError);
});

test('a request that was not proposed after all fails alone, and those around it are still waited for', () => {
  const pending = new PendingRequests();
  const waiters = [1, 2, 3].map((id) => {
    const waiter = new RecordingWaiter();
    pending.add(id, waiter, proposalOf(id), 0);
    return waiter;
  });
  pending.fail(2, ErrTimeout);
  pending.fail(2, ErrTimeout);
  pending.fail(7, ErrTimeout);
  assert.deepEqual(
    waiters.map(({ failures }) => failures),
    [0, 1, 0],
  );
  assert.deepEqual(
    [pending.has(1), pending.has(2), pending.has(3), pending.has(7)],
    [true, false, true, false],
  );
  assert.equal(pending.take(3, proposalOf(3)), waiters[2]);
});

test('ids that do not grow end the process: the answer of one request would be given to another', () => {
  const pending = new PendingRequests();
  for (const id of [5, 9]) pending.add(id, new RecordingWaiter(), proposalOf(id), 0);
  for (const id of [9, 7, 5, 4]) {
    assert.throws(
      () => pending.add(id, new RecordingWaiter(), proposalOf(id), 0),
      InvariantError,
      String(id),
    );
  }
});
