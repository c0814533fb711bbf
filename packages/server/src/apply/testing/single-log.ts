/**
 * Applied state behind a log that has one member and takes no time, for tests: what is proposed is applied before `propose`
 * returns, by the production applier, on a simulated disk. A test may put its own {@link Access} in the place of the open one.
 */
import type { InternalError } from '@etcd/api';
import {
  type ConfChange,
  ConfChangeType,
  ConfState,
  Entry,
  EntryType,
  encodeConfChange,
} from '@etcd/api/raftpb';
import { type Logger, SILENT_LOGGER } from '@etcd/base';
import { AuthStore, type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import { Backend } from '@etcd/storage/backend';
import { Lessor } from '@etcd/storage/lease';
import { type Membership, newCluster } from '@etcd/storage/membership';
import { type SliceSizes, Store } from '@etcd/storage/mvcc';
import { ConsistentIndex, createMemberBuckets, createMetaBucket } from '@etcd/storage/schema';
import { SimClock, SimDisk } from '@etcd/testing';
import type { Authentication } from '../../auth/index.ts';
import { testAuthentication } from '../../auth/testing/test-authentication.ts';
import { createHandles, type MetricHandles } from '../../metrics/metric-table.ts';
import {
  type Kind,
  PendingRequests,
  RequestEncoder,
  RequestIds,
  type RequestOf,
  type ResultOf,
} from '../../request/index.ts';
import { type Access, OPEN_ACCESS } from '../access.ts';
import { Alarms } from '../alarms.ts';
import { Applier, type ApplierHost } from '../applier.ts';
import { AuthAccess } from '../auth-access.ts';
import { Quota } from '../quota.ts';

export interface SingleLogOptions {
  readonly quotaBytes?: number;
  /** Peer URLs of the founding members by name; the first is this one. */
  readonly members?: ReadonlyMap<string, readonly string[]>;
  /** Users and roles count, once authentication is enabled: {@link SingleLog.rules} are theirs. */
  readonly hasUsers?: boolean;
  readonly slices?: SliceSizes;
  readonly logger?: Logger;
}

/** What came of a request: one of the two. */
export type Outcome<K extends Kind> =
  | { readonly result: ResultOf<K>; readonly error?: undefined }
  | { readonly result?: undefined; readonly error: InternalError };

const TERM = 2;

export class SingleLog implements ApplierHost {
  readonly clock = new SimClock();
  readonly disk = new SimDisk({ schedule: (_operation, complete) => this.clock.defer(complete) });
  readonly metrics: MetricHandles = createHandles();
  readonly backend: Backend;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly auth: AuthStore;
  readonly authentication: Authentication;
  readonly alarms: Alarms;
  readonly quota: Quota;
  readonly membership: Membership;
  readonly memberId: bigint;
  readonly ids: RequestIds;
  readonly pending = new PendingRequests();
  /** What was put into the log. */
  readonly entries: Uint8Array[] = [];
  /** What the applier told its host. */
  readonly told: string[] = [];
  /** Judges as {@link rules} do: the same object all the time. */
  readonly access: Access = this.#currentAccess();
  rules: Access = OPEN_ACCESS;
  readonly #encoder: RequestEncoder;
  readonly #applier: Applier;
  #confState: ConfState;

  constructor(options: SingleLogOptions = {}) {
    const { clock, disk, metrics } = this;
    const onFatal = (error: Error): never => {
      throw error;
    };
    this.backend = new Backend({ disk, clock, path: '/db', onFatal });
    createMetaBucket(this.backend);
    createMemberBuckets(this.backend);
    this.authentication = testAuthentication(clock);
    this.auth = new AuthStore({ backend: this.backend, listener: this.authentication });
    const log = this;
    this.authentication.attach({
      get appliedIndex(): number {
        return log.appliedIndex;
      },
      requestTimeoutMs: 0,
      whenApplied: (_index, _timeoutMs, done) => done(false),
    });
    this.alarms = new Alarms(this.backend);
    this.quota = new Quota(this.backend, options.quotaBytes ?? Number.POSITIVE_INFINITY);
    this.membership = newCluster('token', options.members ?? new Map([['m1', ['http://localhost:2380']]]));
    this.memberId = this.membership.members()[0]!.id;
    this.#confState = new ConfState({ voters: this.membership.members().map(({ id }) => id) });
    this.ids = new RequestIds(this.memberId, 1);
    this.#encoder = new RequestEncoder(this.ids);
    this.lessor = new Lessor({ backend: this.backend, clock, minTtl: 1 });
    this.store = new Store({ backend: this.backend, clock, leases: this.lessor, slices: options.slices });
    if (options.hasUsers === true) this.rules = new AuthAccess(this.auth, this.lessor);
    this.lessor.setStore(this.store);
    this.store.restoreThen((error) => {
      if (error !== null) throw error;
    });
    clock.advanceUntil(() => this.store.isReady, 1000);
    const consistentIndex = new ConsistentIndex(this.backend);
    consistentIndex.attach(this.backend);
    this.#applier = new Applier({
      backend: this.backend,
      store: this.store,
      lessor: this.lessor,
      alarms: this.alarms,
      quota: this.quota,
      access: this.access,
      auth: this.auth,
      tokens: this.authentication.tokens,
      membership: this.membership,
      consistentIndex,
      pending: this.pending,
      ids: this.ids,
      clock,
      logger: options.logger ?? SILENT_LOGGER,
      metrics,
      warningApplyDurationMs: 100,
      host: this,
      appliedIndex: 0,
      appliedTerm: 0,
    });
  }

  get appliedIndex(): number {
    return this.#applier.appliedIndex;
  }

  get appliedTerm(): number {
    return this.#applier.appliedTerm;
  }

  /** Applies `data` as the next entry of the log. */
  append(data: Uint8Array, type: number = EntryType.EntryNormal): void {
    this.entries.push(data);
    this.#applier.apply([new Entry({ type, term: TERM, index: this.appliedIndex + 1, data })]);
  }

  applyEntries(entries: readonly Entry[]): void {
    this.#applier.apply(entries);
  }

  appendConfChange(change: ConfChange): void {
    this.append(encodeConfChange(change), EntryType.EntryConfChange);
  }

  /** Applies a request that nobody here waits for, as one of another member. */
  replay<K extends Kind>(kind: K, request: RequestOf<K>, identity: Identity = NO_IDENTITY): void {
    const ids = new RequestIds(this.memberId + 1n, this.appliedIndex);
    this.append(new RequestEncoder(ids).encode(kind, request, identity, ids.next()));
  }

  /** Applies a request of this member; null while whoever waits has to go on waiting. */
  propose<K extends Kind>(
    kind: K,
    request: RequestOf<K>,
    identity: Identity = NO_IDENTITY,
  ): Outcome<K> | null {
    let outcome: Outcome<K> | null = null;
    const idSuffix = this.ids.next();
    const data = this.#encoder.encode(kind, request, identity, idSuffix);
    const waiter = {
      kind,
      request: null,
      onApplied: (result: ResultOf<K>) => {
        outcome = { result };
      },
      onFailed: (error: InternalError) => {
        outcome = { error };
      },
    };
    this.pending.add(idSuffix, waiter, data, this.clock.now());
    this.append(data);
    return outcome;
  }

  // --- the applier's host

  /** Raft's configuration, as far as changes of one member at a time go. */
  applyConfChange({ type, nodeId }: ConfChange): ConfState {
    this.told.push(`conf change for ${nodeId.toString(16)}`);
    if (nodeId !== 0n && type !== ConfChangeType.ConfChangeUpdateNode) {
      const voters = this.#confState.voters.filter((id) => id !== nodeId);
      const learners = this.#confState.learners.filter((id) => id !== nodeId);
      if (type === ConfChangeType.ConfChangeAddNode) voters.push(nodeId);
      if (type === ConfChangeType.ConfChangeAddLearnerNode) learners.push(nodeId);
      this.#confState = new ConfState({ voters, learners });
    }
    return this.#confState;
  }

  onMemberChange(): void {
    this.told.push('member change');
  }

  onFirstCommitInTerm(): void {
    this.told.push('first commit in term');
  }

  onClusterVersion(): void {
    this.told.push('cluster version');
  }

  onV2Request(): void {
    this.told.push('v2 request');
  }

  onNoSpace(then: () => void): void {
    this.told.push('no space');
    then();
  }

  onApplied(): void {}

  /** Asks whichever {@link rules} there are at the moment. */
  #currentAccess(): Access {
    const current = (): Access => this.rules;
    return {
      get isEnabled(): boolean {
        return current().isEnabled;
      },
      user: (...asked) => current().user(...asked),
      admin: (...asked) => current().admin(...asked),
      range: (...asked) => current().range(...asked),
      put: (...asked) => current().put(...asked),
      deleteRange: (...asked) => current().deleteRange(...asked),
      txn: (...asked) => current().txn(...asked),
      leaseKeys: (...asked) => current().leaseKeys(...asked),
      hasRole: (...asked) => current().hasRole(...asked),
      allLeaseKeys: (...asked) => current().allLeaseKeys(...asked),
    };
  }
}
