import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DeleteRangeRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { Event, EventType, KeyValue } from '@etcd/api/mvccpb';
import type { ChangeRecord } from '@etcd/backup';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { Backend } from '@etcd/storage/backend';
import { Lessor } from '@etcd/storage/lease';
import { deleteRange, put, Store } from '@etcd/storage/mvcc';
import { applyChanges } from './apply-changes.ts';
import { verifySnapshotFile } from './index.ts';

const root = mkdtempSync(join(tmpdir(), 'apply-changes-'));
after(() => rmSync(root, { recursive: true }));

/** A database of its own, with what `fill` writes. */
async function database(path: string, fill: (store: Store, lessor: Lessor) => void): Promise<void> {
  const clock = new NodeClock();
  const onFatal = (error: Error): void => {
    throw error;
  };
  const backend = new Backend({ disk: new NodeDisk(), path, clock, onFatal });
  const lessor = new Lessor({ backend, clock, minTtl: 1 });
  const store = new Store({ backend, clock, leases: lessor });
  await new Promise<void>((resolve) => store.restoreThen(() => resolve()));
  fill(store, lessor);
  lessor.stop();
  store.close();
  await new Promise<void>((resolve) => backend.closeThen(() => resolve()));
}

const key = Buffer.from;

function putOf(
  name: string,
  modRevision: number,
  createRevision: number,
  version: number,
  lease = 0n,
): Event {
  const pair = {
    key: key(name),
    value: key(`${name}${modRevision}`),
    modRevision,
    createRevision,
    version,
    lease,
  };
  return new Event({ type: EventType.PUT, kv: new KeyValue(pair) });
}

const deletionOf = (name: string, modRevision: number): Event =>
  new Event({ type: EventType.DELETE, kv: new KeyValue({ key: key(name), modRevision }) });

const write = (store: Store, name: string, revision: number, lease = 0n): void =>
  void put(store, new PutRequest({ key: key(name), value: key(`${name}${revision}`), lease }));

async function* records(...lists: Event[][]): AsyncGenerator<ChangeRecord, void, void> {
  yield { kind: 'lease', timeMs: 0, id: 7n, ttl: 60 };
  for (const events of lists) yield { kind: 'events', timeMs: 0, events };
}

test('changes done again come to the database that was there, hash for hash', async () => {
  const base = join(root, 'base.db');
  await database(base, (store) => {
    write(store, 'a', 2);
    write(store, 'b', 3);
  });
  const whole = join(root, 'whole.db');
  copyFileSync(base, whole);
  await database(whole, (store, lessor) => {
    write(store, 'a', 4);
    deleteRange(store, new DeleteRangeRequest({ key: key('b') }));
    lessor.grant(7n, 60);
    write(store, 'c', 6, 7n);
    const txn = store.beginWrite();
    txn.put(key('d'), key('d7'), 0, 2, 0n);
    txn.put(key('e'), key('e7'), 0, 2, 0n);
    store.endWrite();
    write(store, 'b', 8);
  });
  // The first is in the base already; a transaction is split between two records.
  const revision = await applyChanges(
    base,
    records(
      [putOf('b', 3, 3, 1), putOf('a', 4, 2, 2)],
      [deletionOf('b', 5), putOf('c', 6, 6, 1, 7n), putOf('d', 7, 7, 1)],
      [putOf('e', 7, 7, 1), putOf('b', 8, 8, 1)],
    ),
  );
  assert.equal(revision, 8);
  const facts = async (path: string) => {
    const { verifyFile } = await import('./verify-file.ts');
    const tool = {
      disk: new NodeDisk(),
      clock: new NodeClock(),
      logger: { ...(await import('@etcd/base')).SILENT_LOGGER },
    };
    return verifyFile(tool, path, { skipsDigest: true, timeoutMs: 0, hashRevision: 0, hash: 'taken' });
  };
  assert.deepEqual(await facts(base), await facts(whole));
  assert.equal((await facts(base)).leases, 1);
  // Its digest went with the first change.
  await assert.rejects(verifySnapshotFile(base, 0), /hash/);
});

test('changes with a gap, or of another history, are refused', async () => {
  for (const [events, problem] of [
    [[putOf('a', 4, 2, 2)], /revision 4 does not follow 2/],
    [[putOf('a', 3, 3, 1)], /revision 3 is of another history/],
    [[deletionOf('z', 3)], /revision 3 deletes what is not there/],
  ] as const) {
    const path = join(root, 'other.db');
    rmSync(path, { force: true });
    await database(path, (store) => write(store, 'a', 2));
    await assert.rejects(applyChanges(path, records([...events])), problem);
  }
});
