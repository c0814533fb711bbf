/**
 * A member without its network: the log, raft, the state machine and what runs in the background, assembled from an opened
 * data directory. RPCs, and the simulator, drive it through its methods; it answers through {@link Waiter}s and
 * {@link Reader}s. Everything happens on one thread, in turns of the event loop; time comes from the injected clock.
 *
 *   propose ──> RaftLoop ──> log ──> Applier ──> store, lessor, alarms, membership ──> waiter
 *   read    ──> LinearizableReads ──> RaftLoop ──> reader
 */
import { GrpcCode, INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { AlarmAction, AlarmRequest, AlarmType, encodeAlarmRequest } from '@etcd/api/etcdserverpb';
import type { ConfChange, ConfState, Entry, Message } from '@etcd/api/raftpb';
import { assert, type Clock, type Disk, type DiskError, type Logger, type Random } from '@etcd/base';
import type { BoltError } from '@etcd/bbolt';
import { RaftState, type ReadState, type SoftState } from '@etcd/raft';
import { Lessor } from '@etcd/storage/lease';
import {
  type ConfChangeEffect,
  formatClusterVersion,
  formatId,
  type ReconfigurationFacts,
} from '@etcd/storage/membership';
import { Store, WatchHub } from '@etcd/storage/mvcc';
import { memberPurgeTargets, PurgeLoop } from '@etcd/storage/snap';
import { Alarms } from '../apply/alarms.ts';
import { Applier, type ApplierHost } from '../apply/applier.ts';
import { Quota } from '../apply/quota.ts';
import { type Config, requestTimeoutMs, snapDirectory, urlTexts, walDirectory } from '../config/index.ts';
import type { Metrics } from '../metrics/index.ts';
import { AutoCompactor } from './auto-compactor.ts';
import type { MemberParts } from './bootstrap.ts';
import { ClusterAttributes } from './cluster-attributes.ts';
import { LeaseRevoker } from './lease-revoker.ts';
import { LinearizableReads, type Reader } from './linearizable-reads.ts';
import { LogKeeper } from './log-keeper.ts';
import { RaftLoop, type RaftLoopHost } from './raft-loop.ts';
import { RequestEncoder, RequestField } from './raft-request.ts';
import { RequestIds } from './request-ids.ts';
import { PendingRequests, type Waiter } from './waiter.ts';

const { ErrStopped, ErrTimeout, ErrTimeoutDueToLeaderFail, ErrTooManyRequests, ErrRequestTooLarge } =
  INTERNAL_ERRORS.errors;

export interface EtcdServerOptions {
  readonly config: Config;
  readonly parts: MemberParts;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The answers of a turn are all given: they may leave. */
  readonly onTurnEnd: () => void;
  /** The member is known to its cluster and may serve clients. */
  readonly onReady: () => void;
  /** The member can't go on: its process ends. */
  readonly onFatal: (error: Error) => void;
}

/** Raft's own refusal, which etcd passes on as it is. */
const PROPOSAL_DROPPED: InternalError = {
  name: 'raft.ErrProposalDropped',
  message: 'raft proposal dropped',
  rpc: { name: 'ErrProposalDropped', code: GrpcCode.Unknown, message: 'raft proposal dropped' },
};

/** Entries may be committed this far ahead of the applied one before requests are refused. */
const MAX_GAP_COMMIT_APPLY = 5000;
/** How often a member that is held back by its database looks whether it may go on. */
const HELD_BACK_CHECK_MS = 2;

export class EtcdServer implements RaftLoopHost, ApplierHost {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly ids: RequestIds;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly alarms: Alarms;
  readonly quota: Quota;
  readonly pending = new PendingRequests();
  readonly requestTimeoutMs: number;
  readonly #options: EtcdServerOptions;
  readonly #raftLogger: Logger;
  readonly #parts: MemberParts;
  readonly #encoder: RequestEncoder;
  readonly #loop: RaftLoop;
  readonly #reads: LinearizableReads;
  readonly #revoker: LeaseRevoker;
  readonly #attributes: ClusterAttributes;
  readonly #keeper: LogKeeper;
  readonly #purge: PurgeLoop;
  readonly #compactor: AutoCompactor | null;
  #applier: Applier | null = null;
  #watches: WatchHub | null = null;
  #confState: ConfState;
  #isHeldBackTimerSet = false;
  /** When the leader that is known now was first heard of. */
  #leaderSinceMs = Number.NEGATIVE_INFINITY;
  #lead = 0n;
  /** Nobody has led since this process started. */
  #mayCampaign = true;
  #isStopped = false;

  constructor(options: EtcdServerOptions) {
    const { config, parts, clock, disk, logger, metrics } = options;
    this.#options = options;
    this.#parts = parts;
    this.config = config;
    this.clock = clock;
    this.random = options.random;
    this.logger = logger.child({ caller: 'server/member' });
    this.#raftLogger = logger.child({ caller: 'raft', logger: 'raft' });
    this.metrics = metrics;
    this.memberId = parts.memberId;
    this.clusterId = parts.clusterId;
    this.requestTimeoutMs = requestTimeoutMs(config);
    this.ids = new RequestIds(parts.memberId, clock.wallNow());
    this.#encoder = new RequestEncoder(this.ids);
    this.#confState = parts.confState;
    this.quota = new Quota(
      parts.backend,
      config.quotaBackendBytes < 0 ? Number.POSITIVE_INFINITY : config.quotaBackendBytes,
    );
    this.alarms = new Alarms(parts.backend);
    this.#revoker = new LeaseRevoker({
      logger: this.logger,
      propose: (field, bytes, waiter) => this.propose(field, bytes, 0, bytes.length, waiter),
      confirmLeadership: (then) => this.confirmLeadership(then),
      onExpired: () => metrics.handles.leaseExpiredTotal.inc(),
    });
    this.lessor = new Lessor({
      backend: parts.backend,
      clock,
      // A lease must outlive an election, or its owner could not keep it alive through one.
      minTtl: Math.ceil((1.5 * config.electionTimeoutMs) / 1000),
      logger: logger.child({ caller: 'storage/lease' }),
    });
    this.lessor.setExpiredHandler((leaseIds) => this.#revoker.revoke(leaseIds));
    this.store = new Store({
      backend: parts.backend,
      clock,
      leases: this.lessor,
      logger: logger.child({ caller: 'storage/mvcc' }),
      compactionBatchLimit: config.compactionBatchLimit,
      compactionSleepMs: config.compactionSleepIntervalMs,
    });
    this.lessor.setStore(this.store);
    this.#loop = new RaftLoop({
      node: parts.node,
      storage: parts.raftStorage,
      wal: parts.wal,
      clock,
      logger: logger.child({ caller: 'server/raft' }),
      host: this,
      heartbeatIntervalMs: config.heartbeatIntervalMs,
    });
    this.#reads = new LinearizableReads({
      node: parts.node,
      clock,
      logger: this.logger,
      requestTimeoutMs: this.requestTimeoutMs,
      wake: () => this.#loop.wake(),
      appliedIndex: () => this.appliedIndex,
      nextId: () => this.ids.next(),
      onSlow: () => metrics.handles.slowReadIndexesTotal.inc(),
      onFailed: () => metrics.handles.readIndexesFailedTotal.inc(),
    });
    this.#attributes = new ClusterAttributes({
      membership: parts.membership,
      memberId: parts.memberId,
      attributes: { name: config.name, clientUrls: urlTexts(config.advertiseClientUrls) },
      maxClusterVersion: config.maxClusterVersion,
      clock,
      logger: this.logger,
      requestTimeoutMs: this.requestTimeoutMs,
      isLeader: () => this.isLeader,
      propose: (field, bytes, waiter) => this.propose(field, bytes, 0, bytes.length, waiter),
      proposeV2: (encode, waiter) => this.#proposeV2(encode, waiter),
      onPublished: () => options.onReady(),
    });
    this.#keeper = new LogKeeper({
      backend: parts.backend,
      membership: parts.membership,
      snapshotter: parts.snapshotter,
      raftStorage: parts.raftStorage,
      loop: this.#loop,
      logger: this.logger,
      memberId: formatId(parts.memberId),
      snapshotCount: config.snapshotCount,
      catchUpEntries: config.snapshotCatchUpEntries,
      snapshotIndex: parts.snapshotIndex,
      onFatal: (error) => this.onFatal(error),
    });
    this.#purge = new PurgeLoop({
      disk,
      clock,
      logger: logger.child({ caller: 'storage/purge' }),
      targets: memberPurgeTargets({ snap: snapDirectory(config), wal: walDirectory(config) }, config),
      onError: (error) => this.onFatal(error),
    });
    this.#compactor = AutoCompactor.create(this);
  }

  // --- life

  /** Loads the store, then joins the cluster; {@link EtcdServerOptions.onReady} follows. */
  start(): void {
    this.store.restoreThen((error) => {
      if (this.#isStopped) return;
      if (error !== null) return this.#options.onFatal(error);
      this.#parts.consistentIndex.attach(this.backend);
      this.#applier = this.#newApplier();
      this.#watches = new WatchHub(this.store);
      this.#loop.start();
      this.#attributes.start();
      this.#purge.start();
      this.#compactor?.start();
    });
  }

  /** An orderly end: nothing that was acknowledged is lost, files are closed when `done` is called. */
  stopThen(done: () => void): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#attributes.stop();
    this.#purge.stop();
    this.#compactor?.stop();
    this.lessor.stop();
    this.#watches?.close();
    this.#loop.stopThen(() => {
      this.#reads.stop();
      this.pending.failAll(ErrStopped);
      this.#options.onTurnEnd();
      this.store.close();
      this.backend.closeThen((error) => {
        if (error !== null) this.logger.error('failed to close the database', { error });
        this.#parts.wal.close();
        done();
      });
    });
  }

  /**
   * A member alone in its cluster need not wait until an election is due: there is nobody who could lead in its place. It
   * campaigns as soon as it has applied what it knows to be committed.
   */
  #campaignIfAlone(): void {
    const { config, parts } = this.#options;
    if (!this.#mayCampaign || !config.initialElectionTickAdvance) return;
    const { node, membership, memberId } = parts;
    if (node.lead !== 0n || node.applied < node.committed) return;
    const voters = membership.votingMembers();
    if (voters.length === 0) return;
    this.#mayCampaign = false;
    if (voters.length > 1 || voters[0]!.id !== memberId) return;
    this.logger.info('started as single-node; campaigning at once');
    node.campaign();
    this.#loop.wake();
  }

  #newApplier(): Applier {
    const { parts, config, clock, metrics } = this.#options;
    return new Applier({
      backend: parts.backend,
      store: this.store,
      lessor: this.lessor,
      alarms: this.alarms,
      quota: this.quota,
      membership: parts.membership,
      consistentIndex: parts.consistentIndex,
      pending: this.pending,
      ids: this.ids,
      clock,
      logger: this.logger,
      metrics: metrics.handles,
      warningApplyDurationMs: config.warningApplyDurationMs,
      host: this,
      appliedIndex: parts.snapshotIndex,
      appliedTerm: parts.snapshotTerm,
    });
  }

  // --- facts

  get backend(): MemberParts['backend'] {
    return this.#parts.backend;
  }

  get membership(): MemberParts['membership'] {
    return this.#parts.membership;
  }

  /** All watchers; there from the moment when the store is loaded. */
  get watches(): WatchHub {
    assert(this.#watches !== null, 'member: watched before its store is loaded');
    return this.#watches;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Term of the last applied entry. */
  get term(): number {
    return this.#applier?.appliedTerm ?? 0;
  }

  get appliedIndex(): number {
    return this.#applier?.appliedIndex ?? this.#parts.snapshotIndex;
  }

  get committedIndex(): number {
    return this.#parts.node.committed;
  }

  /** The leader's id, 0n while there is none. */
  get leader(): bigint {
    return this.#lead;
  }

  get isLeader(): boolean {
    return this.#lead === this.memberId;
  }

  get isLearner(): boolean {
    return this.membership.member(this.memberId)?.isLearner ?? false;
  }

  /** Proposals that were made and are not applied yet. */
  get pendingCount(): number {
    return this.pending.count;
  }

  // --- requests

  /**
   * Puts a request into the log: `bytes[start, end)` is what stands in `field` of the envelope. The waiter is told the
   * outcome, at once if the request is refused.
   */
  propose(field: number, bytes: Uint8Array, start: number, end: number, waiter: Waiter): void {
    const refusal = this.#admit();
    if (refusal !== null) return waiter.onFailed(refusal);
    const idSuffix = this.ids.next();
    const data = this.#encoder.encode(field, bytes, start, end, idSuffix);
    if (data.length > this.config.maxRequestBytes) return waiter.onFailed(ErrRequestTooLarge);
    this.pending.add(idSuffix, waiter, this.clock.now());
    this.#loop.propose(data, idSuffix);
  }

  #proposeV2(encode: (id: bigint) => Uint8Array, waiter: Waiter): void {
    const idSuffix = this.ids.next();
    this.pending.add(idSuffix, waiter, this.clock.now());
    this.#loop.propose(encode(this.ids.full(idSuffix)), idSuffix);
  }

  #admit(): InternalError | null {
    if (this.#isStopped) return ErrStopped;
    const isBehind = this.committedIndex > this.appliedIndex + MAX_GAP_COMMIT_APPLY;
    return isBehind || !this.#loop.hasRoom ? ErrTooManyRequests : null;
  }

  /** Changes the membership: the waiter gets a `MembersResult`, or why the change is not to be had. */
  changeMembers(change: ConfChange, waiter: Waiter): void {
    if (this.#isStopped) return waiter.onFailed(ErrStopped);
    const idSuffix = this.ids.next();
    change.id = this.ids.full(idSuffix);
    this.pending.add(idSuffix, waiter, this.clock.now());
    this.#loop.proposeConfChange(change);
  }

  /** What judging a change of the membership needs to know. */
  get reconfigurationFacts(): ReconfigurationFacts {
    const isSelf = (id: bigint): boolean => id === this.memberId;
    return {
      members: this.membership.members(),
      localId: this.memberId,
      isConnected: isSelf,
      isActive: isSelf,
    };
  }

  /** How far the leader and the members that follow it are; null for members that it does not follow. */
  matchIndex(id: bigint): number | null {
    return this.#parts.node.status().progress.get(id)?.match ?? null;
  }

  /** Tells `reader` when it may read what was committed up to now. */
  read(reader: Reader): void {
    if (this.#isStopped) reader.onUnreadable(ErrStopped);
    else this.#reads.add(reader);
  }

  /** Calls `then` with whether this member leads, for sure: one that was paused asks the others first. */
  confirmLeadership(then: (leads: boolean) => void): void {
    if (this.#loop.isActive || !this.isLeader) return then(this.isLeader);
    this.read({ onReadable: () => then(this.isLeader), onUnreadable: () => then(false) });
  }

  /** Keeps a lease alive; gives its TTL, or an error: the lease is not known, or this member can't say. */
  renewLease(id: bigint, done: (error: InternalError | null, ttl: number) => void): void {
    this.confirmLeadership((leads) => {
      if (!leads) return done(INTERNAL_ERRORS.lease.ErrNotPrimary, 0);
      this.lessor.renewThen(id, done);
    });
  }

  /** Raises the alarm that the database is full, then calls `then`. */
  onNoSpace(then: () => void): void {
    this.logger.warn('message exceeded backend quota; raising alarm', {
      'quota-size-bytes': this.config.quotaBackendBytes,
    });
    const request = new AlarmRequest({
      memberId: this.memberId,
      action: AlarmAction.ACTIVATE,
      alarm: AlarmType.NOSPACE,
    });
    const bytes = encodeAlarmRequest(request);
    this.propose(RequestField.ALARM, bytes, 0, bytes.length, {
      request: null,
      onApplied: then,
      onFailed: then,
    });
  }

  /** A snapshot on disk is taken soon, whatever the count of entries says. */
  forceSnapshot(): void {
    this.#keeper.force();
  }

  // --- the raft loop's host

  get isHeldBack(): boolean {
    if (!this.backend.overloaded) return false;
    if (!this.#isHeldBackTimerSet) {
      this.#isHeldBackTimerSet = true;
      this.clock.setTimer(HELD_BACK_CHECK_MS, () => {
        this.#isHeldBackTimerSet = false;
        this.#loop.wake();
      });
    }
    return true;
  }

  onTurnStart(): void {
    this.#reads.ask();
  }

  onTick(): void {
    this.#reads.onTick();
    const beforeMs = this.clock.now() - this.requestTimeoutMs;
    const expired = this.pending.expire(beforeMs, (startMs) => this.#timeoutError(startMs));
    this.metrics.handles.proposalsFailedTotal.add(expired);
  }

  onSoftState({ lead, raftState }: SoftState): void {
    const { handles } = this.metrics;
    const isNewLeader = lead !== 0n && lead !== this.#lead;
    if (lead !== this.#lead) this.#logLeader(lead);
    this.#lead = lead;
    handles.hasLeader.set(lead === 0n ? 0 : 1);
    handles.isLeader.set(raftState === RaftState.Leader ? 1 : 0);
    if (isNewLeader) {
      handles.leaderChangesSeenTotal.inc();
      this.#leaderSinceMs = this.clock.now();
      this.#reads.onLeaderChanged();
    }
    if (raftState !== RaftState.Leader && this.lessor.isPrimary) this.lessor.demote();
    this.#compactor?.setRunning(this.isLeader);
  }

  /** In the words of etcd's raft node, which tools wait for. */
  #logLeader(lead: bigint): void {
    const { node } = this.#parts;
    const before = this.#lead.toString(16);
    const now = lead.toString(16);
    const what =
      lead === 0n
        ? `lost leader ${before}`
        : this.#lead === 0n
          ? `elected leader ${now}`
          : `changed leader from ${before} to ${now}`;
    this.#raftLogger.info(`raft.node: ${formatId(this.memberId)} ${what} at term ${node.term}`);
  }

  onReadState(state: ReadState): void {
    this.#reads.onReadState(state);
  }

  onProposalDropped(idSuffix: number): void {
    this.metrics.handles.proposalsFailedTotal.inc();
    this.pending.fail(idSuffix, PROPOSAL_DROPPED);
  }

  apply(entries: readonly Entry[]): void {
    const applier = this.#applier!;
    applier.apply(entries);
    let bytes = 0;
    for (const entry of entries) bytes += entry.data.length;
    const { appliedIndex: index, appliedTerm: term } = applier;
    this.#keeper.onApplied({ index, term, confState: this.#confState }, bytes);
  }

  send(_messages: readonly Message[]): void {
    // A member alone has nobody to send to.
  }

  onTurnEnd(): void {
    if (this.#mayCampaign) this.#campaignIfAlone();
    this.#options.onTurnEnd();
  }

  onFatal(error: DiskError | BoltError): void {
    this.#options.onFatal(error);
  }

  // --- the applier's host

  applyConfChange(change: ConfChange): ConfState {
    this.#confState = this.#parts.node.applyConfChange(change);
    return this.#confState;
  }

  onMemberChange(effect: ConfChangeEffect): void {
    this.logger.info('configuration changed', { effect });
  }

  onFirstCommitInTerm(): void {
    this.#reads.onFirstCommitInTerm();
    if (!this.isLeader) return;
    // Leases may have been kept alive through the leader before: everybody gets a full term, and an election's time more.
    this.lessor.promote(this.config.electionTimeoutMs);
    this.clock.defer(() => this.#attributes.checkVersion());
  }

  onClusterVersion(): void {
    const { version } = this.membership;
    if (version === null) return;
    this.metrics.setClusterVersion(formatClusterVersion(version));
    this.logger.info('set cluster version', {
      'cluster-id': formatId(this.clusterId),
      'local-member-id': formatId(this.memberId),
      'cluster-version': formatClusterVersion(version),
    });
  }

  onApplied(index: number): void {
    this.#reads.onApplied(index);
  }

  /** Why a request that began then got no answer in time. */
  #timeoutError(startMs: number): InternalError {
    const lostMs = this.#leaderSinceMs - 2 * this.config.electionTimeoutMs;
    return startMs > lostMs && startMs < this.#leaderSinceMs ? ErrTimeoutDueToLeaderFail : ErrTimeout;
  }
}
