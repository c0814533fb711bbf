import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompactedError } from '../errors.ts';
import type { KV } from '../kv/kv.ts';
import type { HeldLease } from '../lease/held-lease.ts';
import type { Leases } from '../lease/leases.ts';
import { Election } from './election.ts';
import { Lock } from './lock.ts';
import { type Store, waitForTurn } from './queue.ts';

const KEY = Buffer.from('queue/1');

/** A store that answers transactions and ranges with what it is given, one after the other. */
function scripted(answers: {
  txn?: (() => unknown)[];
  get?: unknown[];
  watch?: (() => AsyncIterable<unknown>)[];
}) {
  const { txn = [], get = [], watch = [] } = answers;
  const builder = {
    when: () => builder,
    do: () => builder,
    otherwise: () => builder,
    commit: async () => txn.shift()!(),
  };
  const kv = { txn: () => builder, get: async () => get.shift(), delete: async () => {} };
  return { kv: kv as unknown as KV, watch: () => watch.shift()!() } as unknown as Store;
}

function fails(): never {
  throw new Error('no answer');
}

function ownLease() {
  const lease = { id: 1n, isReleased: false, isRevoked: false };
  const held = {
    id: lease.id,
    release: () => {
      lease.isReleased = true;
    },
    [Symbol.asyncDispose]: async () => {
      lease.isRevoked = true;
    },
  };
  return { lease, held: held as unknown as HeldLease };
}

test('a lock whose release had no answer can be released again, and its lease ends', async () => {
  const { lease, held } = ownLease();
  const lock = new Lock(scripted({ txn: [fails, () => ({})] }), held, held, KEY, 5, 5);
  await assert.rejects(lock.release(), /no answer/);
  assert.equal(lease.isRevoked, false);
  await lock.release();
  assert.equal(lease.isRevoked, true);
});

test('a lock that can not be released is no longer kept alive once it is disposed of', async () => {
  const { lease, held } = ownLease();
  const lock = new Lock(scripted({ txn: [fails, fails] }), held, held, KEY, 5, 5);
  await assert.rejects(lock.release(), /no answer/);
  await lock[Symbol.asyncDispose]();
  assert.equal(lease.isReleased, true);
});

test('who waits in a queue looks again where what he has waited for is compacted', async () => {
  const before = { header: { revision: 7 }, kvs: [{ key: KEY }] };
  const gone = { header: { revision: 90 }, kvs: [] };
  const compacted = async function* () {
    yield* [];
    throw new CompactedError(50);
  };
  const store = scripted({ get: [before, gone], watch: [compacted] });
  await waitForTurn(store, Buffer.from('queue/'), 8, undefined);
});

test('a campaign whose key is gone when its turn comes does not lead', async () => {
  const { lease, held } = ownLease();
  const store = scripted({
    txn: [() => ({ header: { revision: 8 }, succeeded: true, responses: [{}] })],
    get: [
      { header: { revision: 9 }, kvs: [] },
      { header: { revision: 9 }, kvs: [] },
    ],
  });
  const leases = { hold: async () => held } as unknown as Leases;
  const election = new Election({ ...store, leases }, 'service');
  await assert.rejects(election.campaign('me'), /the lease of the campaign has expired/);
  assert.equal(lease.isRevoked, true);
});
