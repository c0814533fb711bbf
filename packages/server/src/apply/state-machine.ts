/**
 * What a member has applied, and what applies it: the store with its watchers, leases, alarms, the quota and the backend behind
 * all of them. A snapshot from the leader replaces the backend and everything that was made from it; who only reads waits
 * until that is done.
 *
 * Invariants: there is an applier, and there are watchers, from the moment when the store is loaded; one snapshot at a time takes the
 * backend's place, and it reaches beyond what was applied; nobody waits to read but while that goes on.
 */
import type { LogIndex, Term } from '@etcd/api';
import type { Entry, Snapshot } from '@etcd/api/raftpb';
import { assert, type Clock, type Disk, type Logger, poisonMemory } from '@etcd/base';
import { AuthStore } from '@etcd/storage/auth';
import type { Backend } from '@etcd/storage/backend';
import { membershipReader, membershipWriter, takeReceivedDatabase } from '@etcd/storage/data';
import { Lessor } from '@etcd/storage/lease';
import {
  compareVersions,
  formatClusterVersion,
  type Membership,
  type MembershipState,
  membershipOfSnapshot,
  mendMembers,
  readMembership,
  recoverMembership,
  type SemanticVersion,
} from '@etcd/storage/membership';
import { RestoreError, type RevisionObserver, type SliceSizes, Store, WatchHub } from '@etcd/storage/mvcc';
import {
  ConsistentIndex,
  createMemberBuckets,
  createMetaBucket,
  detectSchemaVersion,
  migrateSchema,
  readStorageVersion,
  writeConsistentIndex,
} from '@etcd/storage/schema';
import type { Snapshotter } from '@etcd/storage/snap';
import type { Authentication } from '../auth/index.ts';
import type { Config } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import type { PendingRequests, Reader, RequestIds } from '../request/index.ts';
import type { Access } from './access.ts';
import { Alarms } from './alarms.ts';
import { Applier, type ApplierHost } from './applier.ts';
import { AuthAccess } from './auth-access.ts';
import { observeCompactions } from './compaction-metrics.ts';
import { openMemberBackend } from './member-backend.ts';
import { Quota } from './quota.ts';
import { openedProblem, verifyLeft } from './verification.ts';

/** What a data directory gives to the state machine. */
export interface StateMachineParts {
  readonly backend: Backend;
  readonly consistentIndex: ConsistentIndex;
  readonly membership: Membership;
  readonly snapshotter: Snapshotter;
  /** Where the log that raft has begins: everything before is in the backend. */
  readonly snapshotIndex: LogIndex;
  readonly snapshotTerm: Term;
}

export interface StateMachineOptions {
  readonly config: Config;
  readonly parts: StateMachineParts;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  readonly pending: PendingRequests;
  readonly ids: RequestIds;
  readonly host: ApplierHost;
  readonly authentication: Authentication;
  /** Told of every revision that is written. */
  readonly onRevision: RevisionObserver;
  readonly onFatal: (error: Error) => void;
  readonly slices?: SliceSizes | undefined;
}

/** Older databases don't say which release they are for. */
const FIRST_SCHEMA_VERSION: SemanticVersion = { major: 3, minor: 5, patch: 0, preRelease: '' };

export class StateMachine {
  readonly store: Store;
  readonly lessor: Lessor;
  /** Who may do what. */
  readonly access: Access;
  readonly auth: AuthStore;
  readonly #options: StateMachineOptions;
  #backend: Backend;
  #consistentIndex: ConsistentIndex;
  #alarms: Alarms;
  #quota: Quota;
  #applier: Applier | null = null;
  #watches: WatchHub | null = null;
  /** While the backend is being replaced: who wants to read what there is. */
  #readers: Reader[] | null = null;
  #isStopped = false;
  /** All that was applied has been committed. */
  #isWhole = true;

  constructor(options: StateMachineOptions) {
    const { config, parts, clock, logger, metrics, onRevision } = options;
    this.#options = options;
    if (config.verify) poisonMemory();
    this.#backend = parts.backend;
    this.#consistentIndex = parts.consistentIndex;
    this.#quota = this.#newQuota();
    this.#alarms = new Alarms(this.#backend);
    this.lessor = new Lessor({
      backend: parts.backend,
      clock,
      // A lease must outlive an election, or its owner could not keep it alive through one.
      minTtl: Math.ceil((1.5 * config.electionTimeoutMs) / 1000),
      logger: logger.child({ caller: 'storage/lease' }),
      persistsCheckpoints: () => this.#persistsCheckpoints,
    });
    const { authentication } = options;
    this.auth = new AuthStore({
      backend: parts.backend,
      logger: logger.child({ caller: 'storage/auth' }),
      listener: authentication,
      hashPassword: (...args) => authentication.passwords.hashOfOldEntry(...args),
    });
    this.access = new AuthAccess(this.auth, this.lessor);
    this.store = new Store({
      backend: parts.backend,
      clock,
      leases: this.lessor,
      logger: logger.child({ caller: 'storage/mvcc' }),
      compactionBatchLimit: config.compactionBatchLimit,
      compactionSleepMs: config.compactionSleepIntervalMs,
      compactionObserver: observeCompactions(metrics),
      onRevision,
      slices: options.slices,
    });
    this.lessor.setStore(this.store);
  }

  // --- life

  /** Loads the store. Nothing is applied, watched or read before `done`. */
  restoreThen(done: (error: RestoreError | null) => void): void {
    assert(this.#applier === null, 'state machine: loaded twice');
    this.store.restoreThen((error) => {
      if (this.#isStopped) return;
      if (error === null) {
        const { snapshotIndex, snapshotTerm } = this.#options.parts;
        this.#watches = new WatchHub(this.store);
        this.#begin(snapshotIndex, snapshotTerm);
      }
      if (error === null && this.#options.config.verify) return done(this.#verifyOpened());
      done(error);
    });
  }

  #verifyOpened(): RestoreError | null {
    const { store, lessor } = this;
    const logger = this.#options.logger.child({ caller: 'server/verify' });
    const problem = openedProblem({ backend: this.#backend, logger, store, lessor });
    return problem === null ? null : new RestoreError(problem);
  }

  /** No timers and no watchers any more; what was applied stays to be committed. */
  stop(): void {
    this.#isStopped = true;
    this.lessor.stop();
    this.#watches?.close();
  }

  /** After {@link stop}: commits what was applied, and lets the file go. */
  closeThen(done: () => void): void {
    assert(this.#isStopped, 'state machine: closed before it is stopped');
    this.store.close();
    this.#backend.closeThen((error) => {
      if (error !== null) this.#options.logger.error('failed to close the database', { error });
      this.#isWhole &&= error === null;
      done();
    });
  }

  /** After {@link closeThen}, and with the log closed: looks at what is left behind, if that is wanted. A fault ends the process. */
  verifyLeft(): void {
    const { config, disk } = this.#options;
    // In the middle of a replacement, memory and file are not of one state.
    const isLoaded = this.#applier !== null && this.#readers === null;
    if (!config.verify || !this.#isWhole || !isLoaded || this.#alarms.hasCorrupt) return;
    const logger = this.#options.logger.child({ caller: 'server/verify' });
    verifyLeft({ config, disk, logger, store: this.store, lessor: this.lessor });
  }

  // --- facts

  get backend(): Backend {
    return this.#backend;
  }

  get alarms(): Alarms {
    return this.#alarms;
  }

  get quota(): Quota {
    return this.#quota;
  }

  /** All watchers; there from the moment when the store is loaded. */
  get watches(): WatchHub {
    assert(this.#watches !== null, 'member: watched before its store is loaded');
    return this.#watches;
  }

  get appliedIndex(): LogIndex {
    return this.#applier?.appliedIndex ?? this.#options.parts.snapshotIndex;
  }

  /** Term of the last applied entry. */
  get appliedTerm(): Term {
    return this.#applier?.appliedTerm ?? 0;
  }

  // --- work

  apply(entries: readonly Entry[]): void {
    assert(this.#applier !== null, 'state machine: entries before the store is loaded');
    this.#applier.apply(entries);
  }

  /** Puts the position of the last applied entry among what is committed next, even if the entry has changed nothing else. */
  writePosition(): void {
    const { index, term } = this.#consistentIndex;
    writeConsistentIndex(this.#backend, { index, term });
  }

  /** Tells `reader` at once, unless the backend is being replaced: then afterwards. */
  readLocally(reader: Reader): void {
    if (this.#readers === null) reader.onReadable();
    else this.#readers.push(reader);
  }

  /**
   * Goes on with the database that came with `snapshot`, which is durable and named by the log. The membership is the new one
   * when this returns.
   */
  replaceThen(snapshot: Snapshot, done: () => void): void {
    const { onFatal } = this.#options;
    const { index, term } = snapshot.metadata;
    assert(this.#readers === null, 'state machine: two snapshots at a time');
    assert(index > this.appliedIndex, 'state machine: a snapshot of what is applied');
    this.#readers = [];
    this.#options.metrics.applySnapshotInProgress.set(1);
    try {
      this.#replaceBackend(snapshot);
    } catch (error) {
      // A database that is not there, or is none: the log says that it was, so there is no way back.
      return onFatal(error as Error);
    }
    this.store.replaceThen(this.#backend, (error) => {
      if (this.#isStopped) return;
      if (error !== null) return onFatal(error);
      this.#begin(index, term);
      this.watches.onStoreReplaced();
      this.#options.metrics.applySnapshotInProgress.set(0);
      const readers = this.#readers;
      assert(readers !== null, 'state machine: a snapshot has taken its place twice');
      this.#readers = null;
      done();
      for (const reader of readers) reader.onReadable();
    });
  }

  /** Whether the database is for a later release than the cluster. */
  isAheadOf({ major, minor }: SemanticVersion): boolean {
    const current = readStorageVersion(this.#backend);
    return current !== null && (current.major - major || current.minor - minor) > 0;
  }

  /** Brings the database to the cluster's version. */
  followClusterVersion(version: SemanticVersion): void {
    if (compareVersions(version, FIRST_SCHEMA_VERSION) < 0) return;
    let current = detectSchemaVersion(this.#backend);
    if (current === null) {
      // A database without a version is known by the term in it, which a new one, and one of etcd 3.4, has from its first commit on.
      this.writePosition();
      current = detectSchemaVersion(this.#backend);
    }
    if (current === null) return;
    const { major, minor } = version;
    if (current.major === major && current.minor === minor) return;
    migrateSchema(this.#backend, { major, minor });
    const text = formatClusterVersion(version);
    this.#options.logger
      .child({ caller: 'server/member' })
      .info('updated storage version', { 'new-storage-version': text, 'cluster-version': text });
  }

  #replaceBackend(snapshot: Snapshot): void {
    const { config, clock, disk, logger, metrics, parts, onFatal } = this.#options;
    takeReceivedDatabase(config, disk, parts.snapshotter, snapshot.metadata.index);
    const old = this.#backend;
    const backend = openMemberBackend({ config, clock, disk, logger, metrics, onBackendFatal: onFatal });
    old.setPreCommitHook(null);
    old.retire();
    createMetaBucket(backend);
    createMemberBuckets(backend);
    this.#backend = backend;
    this.#consistentIndex = new ConsistentIndex(backend);
    this.#quota = this.#newQuota();
    this.#alarms = new Alarms(backend);
    this.lessor.recover(backend);
    this.auth.recover(backend);
    parts.membership.restore(this.#membershipOf(backend, snapshot));
  }

  /** What counts is what the snapshot says; the database is made to agree, unless it is further. */
  #membershipOf(backend: Backend, { data, metadata }: Snapshot): MembershipState {
    const database = readMembership(membershipReader(backend));
    const base = membershipOfSnapshot(data, metadata.confState, database);
    if (base === null || this.#consistentIndex.index > metadata.index) return database;
    const { membership } = this.#options.parts;
    const { maxLearners } = this.#options.config;
    const { clusterId } = membership;
    const state = recoverMembership({ clusterId, maxLearners, base, entries: [], database });
    for (const finding of mendMembers(database, state, membershipWriter(backend))) {
      this.#options.logger.warn('mended the members in the database', { finding });
    }
    return state;
  }

  /** From here on entries are applied, and commits say how far. */
  #begin(appliedIndex: LogIndex, appliedTerm: Term): void {
    const { config, parts, clock, logger, metrics, pending, ids, host } = this.#options;
    const consistentIndex = this.#consistentIndex;
    if (consistentIndex.index === appliedIndex) consistentIndex.set(appliedIndex, appliedTerm);
    consistentIndex.attach(this.#backend);
    this.#applier = new Applier({
      backend: this.#backend,
      store: this.store,
      lessor: this.lessor,
      alarms: this.#alarms,
      quota: this.#quota,
      access: this.access,
      auth: this.auth,
      tokens: this.#options.authentication.tokens,
      membership: parts.membership,
      consistentIndex,
      pending,
      ids,
      clock,
      logger: logger.child({ caller: 'server/apply' }),
      metrics,
      warningApplyDurationMs: config.warningApplyDurationMs,
      host,
      appliedIndex,
      appliedTerm,
    });
  }

  #newQuota(): Quota {
    const { quotaBackendBytes } = this.#options.config;
    return new Quota(this.#backend, quotaBackendBytes < 0 ? Number.POSITIVE_INFINITY : quotaBackendBytes);
  }

  /** As in etcd: from cluster version 3.6 on always, before it when asked to. */
  get #persistsCheckpoints(): boolean {
    const { config, parts } = this.#options;
    const { version } = parts.membership;
    const isNew = version !== null && (version.major > 3 || (version.major === 3 && version.minor >= 6));
    return isNew || config.featureGates.LeaseCheckpointPersist;
  }
}
