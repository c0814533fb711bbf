/**
 * A snapshot brought forward by what changed after it, so that a restore begins with any revision: the changes are done again, each with the
 * revision, the version and the creation that it had. A change that does not go with what is there is of another history, and is refused.
 */
import { truncateSync } from 'node:fs';
import type { LeaseId, Revision } from '@etcd/api';
import { type Event, EventType } from '@etcd/api/mvccpb';
import { type ChangeRecord, revisionOf } from '@etcd/backup';
import { DIGEST_BYTES, hasDigest } from '@etcd/backup/snapshot-digest';
import { SILENT_LOGGER } from '@etcd/base';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { Backend } from '@etcd/storage/backend';
import { Lessor } from '@etcd/storage/lease';
import { Store, type WriteTxn } from '@etcd/storage/mvcc';

/** Of a lease whose grant was never told of, since it was gone before it could be; so are its keys, a little later. */
const UNTOLD_TTL_SECONDS = 60;
/** Changes between two commits: what is done and not committed is in memory. */
const COMMIT_CHANGES = 10_000;

/**
 * Changes the file at `path`, whose digest is gone afterwards. Resolves with the revision that it has come to. Throws what is wrong with the
 * file, or with the changes; then the file is of no use.
 */
export async function applyChanges(path: string, records: AsyncIterable<ChangeRecord>): Promise<Revision> {
  const disk = new NodeDisk();
  const sizeBytes = disk.stat(path)?.sizeBytes ?? 0;
  if (hasDigest(sizeBytes)) truncateSync(path, sizeBytes - DIGEST_BYTES);
  const clock = new NodeClock();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const backend = new Backend({ disk, path, clock, onFatal: (error) => failed.reject(error) });
  const lessor = new Lessor({ backend, clock, logger: SILENT_LOGGER, minTtl: 1 });
  try {
    const store = new Store({ backend, clock, leases: lessor });
    await new Promise<void>((resolve, reject) =>
      store.restoreThen((error) => (error === null ? resolve() : reject(error))),
    );
    const commit = (): Promise<void> =>
      new Promise((resolve, reject) =>
        backend.commitNowThen((error) => (error === null ? resolve() : reject(error))),
      );
    const replay = new Replay(store, lessor);
    let done = 0;
    for await (const record of records) {
      done += replay.apply(record);
      if (done < COMMIT_CHANGES) continue;
      done = 0;
      await Promise.race([commit(), failed.promise]);
    }
    replay.finish();
    await Promise.race([commit(), failed.promise]);
    const { revision } = store;
    store.close();
    return revision;
  } finally {
    lessor.stop();
    // What failed before is what there is to tell.
    await new Promise<void>((resolve) => backend.closeThen(() => resolve()));
  }
}

class Replay {
  readonly #store: Store;
  readonly #lessor: Lessor;
  readonly #ttls = new Map<LeaseId, number>();
  /** Of one revision, which may go on in the next record. */
  #events: Event[] = [];

  constructor(store: Store, lessor: Lessor) {
    this.#store = store;
    this.#lessor = lessor;
  }

  /** Says how many changes it had. */
  apply(record: ChangeRecord): number {
    if (record.kind === 'lease') {
      this.#ttls.set(record.id, record.ttl);
      return 0;
    }
    for (const event of record.events) {
      const [first] = this.#events;
      if (first !== undefined && revisionOf(first) !== revisionOf(event)) this.finish();
      this.#events.push(event);
    }
    return record.events.length;
  }

  /** Does the transaction that has been gathered. */
  finish(): void {
    const events = this.#events;
    this.#events = [];
    const [first] = events;
    if (first === undefined) return;
    const revision = revisionOf(first);
    if (revision <= this.#store.revision) return;
    if (revision !== this.#store.revision + 1) {
      throw new Error(`changes: revision ${revision} does not follow ${this.#store.revision}`);
    }
    const txn = this.#store.beginWrite();
    try {
      for (const event of events) this.#change(txn, event, revision);
    } finally {
      this.#store.endWrite();
    }
  }

  #change(txn: WriteTxn, { type, kv }: Event, revision: Revision): void {
    const { index } = this.#store;
    const key = kv?.key ?? new Uint8Array(0);
    const ref = index.find(key, 0, key.length);
    if (type === EventType.DELETE) {
      if (ref === 0 || !index.isLive(ref))
        throw new Error(`changes: revision ${revision} deletes what is not there`);
      return txn.deleteKey(ref);
    }
    const { value, lease, version, createRevision } = kv!;
    if (lease !== 0n && !this.#lessor.has(lease)) {
      this.#lessor.grant(lease, this.#ttls.get(lease) ?? UNTOLD_TTL_SECONDS);
    }
    txn.put(key, value, 0, value.length, lease);
    const now = index.find(key, 0, key.length);
    if (index.version(now) !== version || index.created(now) !== createRevision) {
      throw new Error(`changes: revision ${revision} is of another history than the backup`);
    }
  }
}
