/**
 * An election: contenders wait in a queue, the first of them leads and can say something to everybody.
 *
 *     const election = client.election('service');
 *     await using leadership = await election.campaign('host-a');
 *     for await (const { pair } of election.observe()) console.log(pair.value);
 */
import { contenderKey, queuePrefix } from '@etcd/api';
import type { Compare, ResponseHeader } from '@etcd/api/etcdserverpb';
import { EventType, type KeyValue } from '@etcd/api/mvccpb';
import { equalBytes } from '@etcd/base';
import { ClientError, CompactedError } from '../errors.ts';
import { type Bytes, toBytes } from '../keys.ts';
import { compare } from '../kv/compare.ts';
import { op } from '../kv/operations.ts';
import type { HeldLease } from '../lease/held-lease.ts';
import type { Leases } from '../lease/leases.ts';
import type { CallOptions } from '../options.ts';
import { DEFAULT_SESSION_TTL_SECONDS } from './lock.ts';
import { anySignal, firstInQueue, type LeaseLike, type Store, waitForTurn } from './queue.ts';

/** Who leads, and what he says. */
export interface ObservedLeader {
  readonly pair: KeyValue;
  readonly header: ResponseHeader | null;
}

export interface ElectionOptions {
  /** Life of the lease that is made for a campaign. */
  readonly ttlSeconds?: number | undefined;
  /** A lease that is there already, and stays. */
  readonly lease?: LeaseLike | undefined;
}

type ElectionStore = Store & { readonly leases: Leases };

export class Election {
  readonly #store: ElectionStore;
  readonly #prefix: Uint8Array;
  readonly #options: ElectionOptions;

  constructor(store: ElectionStore, name: Bytes, options: ElectionOptions = {}) {
    this.#store = store;
    this.#prefix = queuePrefix(toBytes(name));
    this.#options = options;
  }

  /** Resolves once this contender leads. */
  async campaign(value: Bytes, options: CallOptions = {}): Promise<Leadership> {
    const store = this.#store;
    const { signal, timeoutMs } = options;
    const ttlSeconds = this.#options.ttlSeconds ?? DEFAULT_SESSION_TTL_SECONDS;
    const ownLease =
      this.#options.lease === undefined ? await store.leases.hold(ttlSeconds, { signal, timeoutMs }) : null;
    const lease = this.#options.lease ?? ownLease;
    if (lease === null) throw new ClientError('lease-lost', 'a campaign needs a lease');
    const key = contenderKey(this.#prefix, lease.id);
    try {
      const leadership = await this.#enter(key, value, lease, ownLease, { signal, timeoutMs });
      await waitForTurn(store, this.#prefix, leadership.revision, anySignal(signal, lease.signal));
      lease.signal?.throwIfAborted();
      // The lease may have expired while we waited, and the key with it.
      const { kvs } = await store.kv.get(key, { signal, timeoutMs, keysOnly: true });
      if (kvs[0]?.createRevision !== leadership.revision) {
        throw new ClientError('lease-lost', 'the lease of the campaign has expired');
      }
      return leadership;
    } catch (error) {
      if (ownLease !== null) await ownLease[Symbol.asyncDispose]();
      else await store.kv.delete(key).catch(() => {});
      throw error;
    }
  }

  /** The leader's pair, or null where nobody leads. */
  async leader(options: CallOptions = {}): Promise<KeyValue | null> {
    return (await firstInQueue(this.#store, this.#prefix, options)).pair;
  }

  /** The leader, whenever somebody comes to lead or says something new. May skip what is outdated. */
  async *observe(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<ObservedLeader> {
    const { signal } = options;
    for (;;) {
      const { pair, response } = await firstInQueue(this.#store, this.#prefix, { signal });
      const { header } = response;
      const revision = header?.revision ?? 0;
      try {
        const leader = pair === null ? await this.#firstPut(revision + 1, signal) : { pair, header };
        yield leader;
        const from = pair === null ? leader.pair.modRevision : revision;
        yield* this.#proclamations(leader.pair.key, from + 1, signal);
      } catch (error) {
        // What has happened meanwhile is gone: who leads now is looked up.
        if (!(error instanceof CompactedError)) throw error;
      }
    }
  }

  /** Puts the contender's key, or takes over the one that a former campaign under the same lease has left. */
  async #enter(
    key: Uint8Array,
    value: Bytes,
    lease: LeaseLike,
    ownLease: HeldLease | null,
    options: CallOptions,
  ): Promise<Leadership> {
    const bytes = toBytes(value);
    const { header, succeeded, responses } = await this.#store.kv
      .txn()
      .when(compare.notExists(key))
      .do(op.put(key, bytes, { lease: lease.id }))
      .otherwise(op.get(key))
      .commit(options);
    const own = responses[0]?.responseRange?.kvs[0];
    const revision = succeeded ? (header?.revision ?? 0) : (own?.createRevision ?? 0);
    const leadership = new Leadership(this.#store, lease, ownLease, key, revision);
    if (own !== undefined && !equalBytes(own.value, bytes)) await leadership.proclaim(bytes, options);
    return leadership;
  }

  async #firstPut(startRevision: number, signal: AbortSignal | undefined): Promise<ObservedLeader> {
    const watch = this.#store.watch(this.#prefix, { prefix: true, startRevision, noDelete: true, signal });
    for await (const { events, response } of watch) {
      const pair = events[0]?.kv;
      if (pair !== null && pair !== undefined) return { pair, header: response.header };
    }
    throw new ClientError('closed', 'the watch of an election has ended');
  }

  /** What the leader says until it leads no more. */
  async *#proclamations(
    key: Uint8Array,
    startRevision: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ObservedLeader> {
    for await (const { events, response } of this.#store.watch(key, { startRevision, signal })) {
      for (const { type, kv } of events) {
        if (type === EventType.DELETE) return;
        if (kv !== null) yield { pair: kv, header: response.header };
      }
    }
  }
}

/** The place at the head of an election, until it is resigned or the lease is lost. */
export class Leadership {
  readonly #store: Store;
  readonly #lease: LeaseLike;
  readonly #ownLease: HeldLease | null;
  readonly key: Uint8Array;
  /** The fencing token: grows from leader to leader. */
  readonly revision: number;
  #isOver = false;

  constructor(store: Store, lease: LeaseLike, ownLease: HeldLease | null, key: Uint8Array, revision: number) {
    this.#store = store;
    this.#lease = lease;
    this.#ownLease = ownLease;
    this.key = key;
    this.revision = revision;
  }

  /** Aborts when the lease is lost, and the leadership with it. */
  get signal(): AbortSignal | undefined {
    return this.#lease.signal;
  }

  get leaseId(): bigint {
    return this.#lease.id;
  }

  /** The condition under which this one still leads, for a transaction. */
  isLeader(): Compare {
    return compare.createRevision(this.key, '=', this.revision);
  }

  /** Says something new. */
  async proclaim(value: Bytes, options: CallOptions = {}): Promise<void> {
    const put = op.put(this.key, value, { lease: this.#lease.id });
    const { succeeded } = await this.#store.kv.txn().when(this.isLeader()).do(put).commit(options);
    if (!succeeded) throw new ClientError('not-owner', 'election: not leader');
  }

  /** Lets the next one lead. */
  async resign(options: CallOptions = {}): Promise<void> {
    if (this.#isOver) return;
    await this.#store.kv.txn().when(this.isLeader()).do(op.delete(this.key)).commit(options);
    // After a failure it can be tried again, and the lease is given up at the latest when the leadership is disposed of.
    this.#isOver = true;
    if (this.#ownLease !== null) await this.#ownLease[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resign().catch(() => this.#ownLease?.release());
  }
}
