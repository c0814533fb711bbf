/**
 * The client. One object for a cluster, shared by everything in a process: calls go over one connection per endpoint, watches
 * share a stream, leases another.
 */
import { Auth } from './admin/auth.ts';
import { Cluster } from './admin/cluster.ts';
import { Maintenance } from './admin/maintenance.ts';
import { Election, type ElectionOptions } from './concurrency/election.ts';
import { Lock, type LockOptions } from './concurrency/lock.ts';
import { type Bytes, concatBytes, toBytes } from './keys.ts';
import { KV } from './kv/kv.ts';
import { LeaseKeeper } from './lease/lease-keeper.ts';
import { Leases } from './lease/leases.ts';
import type { ClientOptions } from './options.ts';
import { Caller } from './rpc/caller.ts';
import { Watches, watchedRange } from './watch/watch.ts';
import type { Watcher, WatchOptions } from './watch/watcher.ts';

/** Keys, leases, locks: of the whole store, or of a part of it whose keys share a prefix that is not seen inside. */
export class Namespace {
  readonly kv: KV;
  readonly leases: Leases;
  readonly #caller: Caller;
  readonly #keeper: LeaseKeeper;
  readonly #watches: Watches;
  readonly #prefix: Uint8Array;

  constructor(caller: Caller, keeper: LeaseKeeper, watches: Watches, prefix: Uint8Array) {
    this.#caller = caller;
    this.#keeper = keeper;
    this.#watches = watches;
    this.#prefix = prefix;
    this.kv = new KV(caller, prefix);
    this.leases = new Leases(caller, keeper, prefix.length);
  }

  /** Events of a key or a range, from now or an earlier revision on. Begins at once. */
  watch(key: Bytes, options: WatchOptions = {}): Watcher {
    return this.#watches.start(watchedRange(this.#prefix, key, options), this.#prefix.length, options);
  }

  /** The keys that begin with `prefix`, seen without it. Namespaces nest. */
  namespace(prefix: Bytes): Namespace {
    const whole = concatBytes(this.#prefix, toBytes(prefix));
    return new Namespace(this.#caller, this.#keeper, this.#watches, whole);
  }

  /** Waits for the lock `name`; see {@link Lock}. */
  lock(name: Bytes, options: LockOptions = {}): Promise<Lock> {
    return Lock.acquire(this, name, options);
  }

  election(name: Bytes, options: ElectionOptions = {}): Election {
    return new Election(this, name, options);
  }
}

export class EtcdClient extends Namespace {
  readonly auth: Auth;
  readonly cluster: Cluster;
  readonly maintenance: Maintenance;
  readonly #parts: Parts;

  constructor(options: ClientOptions) {
    const parts = new Parts(options);
    super(parts.caller, parts.keeper, parts.watches, new Uint8Array(0));
    this.#parts = parts;
    this.auth = new Auth(parts.caller);
    this.cluster = new Cluster(parts.caller);
    this.maintenance = new Maintenance(parts.caller);
  }

  get endpoints(): readonly string[] {
    return this.#parts.caller.balancer.endpoints;
  }

  /** Connections to endpoints that stay are kept, those to others end. */
  setEndpoints(endpoints: readonly string[]): void {
    this.#parts.caller.balancer.setEndpoints(endpoints);
  }

  /** Replaces the endpoints by what the cluster's members advertise. */
  async syncEndpoints(): Promise<void> {
    const { members } = await this.cluster.memberList();
    const urls = members.filter(({ name, isLearner }) => name !== '' && !isLearner);
    const endpoints = urls.flatMap(({ clientUrls }) => clientUrls);
    if (endpoints.length > 0) this.setEndpoints(endpoints);
  }

  /** Gets a token now instead of before the first call; nothing where no credentials were given. */
  async authenticate(): Promise<void> {
    const { caller } = this.#parts;
    if (!caller.tokens.isReady) await caller.refreshToken();
  }

  /** Ends everything at once: open calls fail, watches end, leases are no longer kept alive. */
  close(): void {
    this.#parts.watches.close();
    this.#parts.keeper.close();
    this.#parts.caller.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

class Parts {
  readonly caller: Caller;
  readonly keeper: LeaseKeeper;
  readonly watches: Watches;

  constructor(options: ClientOptions) {
    this.caller = new Caller(options);
    this.keeper = new LeaseKeeper(this.caller);
    this.watches = new Watches(this.caller);
  }
}
