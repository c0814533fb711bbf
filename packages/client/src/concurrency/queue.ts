/**
 * The queue behind locks and elections, as etcd's own recipe has it, so that clients of any kind can wait in one: under a shared
 * prefix each contender puts a key named after its lease, attached to the lease. Whose key was created first owns the place.
 * That key's create revision only grows from owner to owner: it is the fencing token.
 */

import type { RangeResponse } from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import { EventType } from '@etcd/api/mvccpb';
import { ClientError, CompactedError } from '../errors.ts';
import type { Bytes } from '../keys.ts';
import type { KV } from '../kv/kv.ts';
import type { CallOptions } from '../options.ts';
import type { Watcher, WatchOptions } from '../watch/watcher.ts';

/** Whose presence a contender's key depends on: a {@link HeldLease}, or just an id. */
export interface LeaseLike {
  readonly id: bigint;
  /** Aborts when the lease is lost. */
  readonly signal?: AbortSignal | undefined;
}

/** What the queue needs of a client. */
export interface Store {
  readonly kv: KV;
  watch(key: Bytes, options: WatchOptions): Watcher;
}

/** The pair that owns the place, or null. */
export async function firstInQueue(
  store: Store,
  prefix: Uint8Array,
  options: CallOptions = {},
): Promise<{ readonly pair: KeyValue | null; readonly response: RangeResponse }> {
  const response = await store.kv.get(prefix, {
    ...options,
    prefix: true,
    sortBy: 'create',
    order: 'ascend',
    limit: 1,
  });
  return { pair: response.kvs[0] ?? null, response };
}

/** Resolves when every contender that came before `revision` is gone. */
export async function waitForTurn(
  store: Store,
  prefix: Uint8Array,
  revision: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (;;) {
    const response = await store.kv.get(prefix, {
      prefix: true,
      sortBy: 'create',
      order: 'descend',
      limit: 1,
      maxCreateRevision: revision - 1,
      keysOnly: true,
      signal,
    });
    const before = response.kvs[0];
    if (before === undefined) return;
    await waitForDelete(store, before.key, (response.header?.revision ?? 0) + 1, signal);
  }
}

/** Resolves when `key` is deleted at or after `revision`, or may have been: where that is compacted, one has to look again. */
async function waitForDelete(
  store: Store,
  key: Uint8Array,
  revision: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const watch = store.watch(key, { startRevision: revision, noPut: true, signal });
  try {
    for await (const { events } of watch) {
      if (events.some((event) => event.type === EventType.DELETE)) return;
    }
  } catch (error) {
    if (error instanceof CompactedError) return;
    throw error;
  }
  throw new ClientError('closed', 'the watch for a lock has ended');
}

/** One signal for all; undefined for none. */
export function anySignal(...signals: readonly (AbortSignal | undefined)[]): AbortSignal | undefined {
  const present = signals.filter((signal) => signal !== undefined);
  return present.length < 2 ? present[0] : AbortSignal.any(present);
}
