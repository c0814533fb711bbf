/**
 * A lock that only one client holds at a time:
 *
 *     await using lock = await client.lock('jobs/nightly', { ttlSeconds: 10 });
 *     await client.kv.txn().when(lock.isOwner()).do(op.put('state', 'running')).commit();
 *
 * A holder that stalls for longer than its lease lives loses the lock without noticing in time. So whatever the lock protects
 * must be able to refuse it: in this store by {@link Lock.isOwner} in each transaction, elsewhere by
 * {@link Lock.revision}, a fencing token: refuse whoever comes with a smaller one than was seen before.
 */
import { contenderKey, queuePrefix } from '@etcd/api';
import type { Compare } from '@etcd/api/etcdserverpb';
import { ClientError } from '../errors.ts';
import { type Bytes, toBytes } from '../keys.ts';
import { compare } from '../kv/compare.ts';
import { op } from '../kv/operations.ts';
import type { HeldLease } from '../lease/held-lease.ts';
import type { Leases } from '../lease/leases.ts';
import type { CallOptions } from '../options.ts';
import { anySignal, type LeaseLike, type Store, waitForTurn } from './queue.ts';

export const DEFAULT_SESSION_TTL_SECONDS = 60;

/** `timeoutMs` is for each call; to wait for the turn takes as long as it takes, until `signal` ends it. */
export interface LockOptions extends CallOptions {
  /** Life of the lease that is made for the lock. */
  readonly ttlSeconds?: number | undefined;
  /** A lease that is there already, and stays; several locks may share one. */
  readonly lease?: LeaseLike | undefined;
}

export class Lock {
  readonly #store: Store;
  readonly #ownLease: HeldLease | null;
  readonly #lease: LeaseLike;
  readonly key: Uint8Array;
  /** The fencing token: grows from holder to holder. */
  readonly revision: number;
  /** The store's revision when the lock was acquired. */
  readonly acquiredRevision: number;
  #isReleased = false;

  /** Callers use {@link Lock.acquire}. */
  constructor(
    store: Store,
    lease: LeaseLike,
    ownLease: HeldLease | null,
    key: Uint8Array,
    revision: number,
    acquiredRevision: number,
  ) {
    this.#store = store;
    this.#lease = lease;
    this.#ownLease = ownLease;
    this.key = key;
    this.revision = revision;
    this.acquiredRevision = acquiredRevision;
  }

  /** Waits for its turn. */
  static async acquire(
    store: Store & { readonly leases: Leases },
    name: Bytes,
    options: LockOptions = {},
  ): Promise<Lock> {
    const lock = await Lock.#acquire(store, name, options, true);
    if (lock === null) throw new ClientError('not-owner', 'the lock was not acquired');
    return lock;
  }

  /** Null where somebody else holds it. */
  static tryAcquire(
    store: Store & { readonly leases: Leases },
    name: Bytes,
    options: LockOptions = {},
  ): Promise<Lock | null> {
    return Lock.#acquire(store, name, options, false);
  }

  static async #acquire(
    store: Store & { readonly leases: Leases },
    name: Bytes,
    options: LockOptions,
    waits: boolean,
  ): Promise<Lock | null> {
    const { signal, timeoutMs } = options;
    const ttlSeconds = options.ttlSeconds ?? DEFAULT_SESSION_TTL_SECONDS;
    const ownLease =
      options.lease === undefined ? await store.leases.hold(ttlSeconds, { signal, timeoutMs }) : null;
    const lease = options.lease ?? ownLease;
    if (lease === null) throw new ClientError('lease-lost', 'a lock needs a lease');
    const prefix = queuePrefix(toBytes(name));
    const key = contenderKey(prefix, lease.id);
    try {
      const { revision, isFirst, atRevision } = await enter(store, prefix, key, lease.id, {
        signal,
        timeoutMs,
      });
      const lock = new Lock(store, lease, ownLease, key, revision, atRevision);
      if (isFirst) return lock;
      if (!waits) {
        await lock.release();
        return null;
      }
      await waitForTurn(store, prefix, revision, anySignal(signal, lease.signal));
      // The lease may have expired while we waited, and the key with it.
      const { header, kvs } = await store.kv.get(key, { signal, timeoutMs });
      if (kvs[0]?.createRevision !== revision) {
        throw new ClientError('lease-lost', 'the lease of the lock has expired');
      }
      return new Lock(store, lease, ownLease, key, revision, header?.revision ?? revision);
    } catch (error) {
      // Whoever gives up must not stand in the queue; with its own lease the key goes too.
      if (ownLease !== null) await ownLease[Symbol.asyncDispose]();
      else await store.kv.delete(key).catch(() => {});
      throw error;
    }
  }

  /** Aborts when the lease is lost, and the lock with it. */
  get signal(): AbortSignal | undefined {
    return this.#lease.signal;
  }

  get leaseId(): bigint {
    return this.#lease.id;
  }

  /** The condition under which the lock is still held, for a transaction. */
  isOwner(): Compare {
    return compare.createRevision(this.key, '=', this.revision);
  }

  /** Lets the next one have it. */
  async release(options: CallOptions = {}): Promise<void> {
    if (this.#isReleased) return;
    // Only what is ours: the key may be of a later holder with the same lease.
    await this.#store.kv.txn().when(this.isOwner()).do(op.delete(this.key)).commit(options);
    // After a failure it can be tried again, and the lease is given up at the latest when the lock is disposed of.
    this.#isReleased = true;
    if (this.#ownLease !== null) await this.#ownLease[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What can't be released goes when the lease does.
    await this.release().catch(() => this.#ownLease?.release());
  }
}

/** Puts the contender's key, and says whether it is the first. */
async function enter(
  store: Store,
  prefix: Uint8Array,
  key: Uint8Array,
  lease: bigint,
  options: CallOptions,
): Promise<{ readonly revision: number; readonly isFirst: boolean; readonly atRevision: number }> {
  const first = op.get(prefix, { prefix: true, sortBy: 'create', order: 'ascend', limit: 1 });
  const { header, succeeded, responses } = await store.kv
    .txn()
    .when(compare.notExists(key))
    .do(op.put(key, '', { lease }), first)
    .otherwise(op.get(key), first)
    .commit(options);
  const own = responses[0]?.responseRange?.kvs[0];
  const revision = succeeded ? (header?.revision ?? 0) : (own?.createRevision ?? 0);
  const owner = responses[1]?.responseRange?.kvs[0];
  const isFirst = owner === undefined || owner.createRevision === revision;
  return { revision, isFirst, atRevision: header?.revision ?? revision };
}
