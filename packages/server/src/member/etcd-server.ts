/**
 * A member without its sockets: the log, raft, the state machine and what runs in the background, assembled from an opened
 * data directory. RPCs, and the simulator, drive it through its methods; it answers through {@link Waiter}s and
 * {@link Reader}s. Everything happens on one thread, in turns of the event loop; time comes from the injected clock.
 *
 *   propose ──> RaftLoop ──> log ──> Applier ──> store, lessor, alarms, membership ──> waiter
 *   read    ──> LinearizableReads ──> RaftLoop ──> reader
 */
import { GrpcCode, INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import {
  AlarmAction,
  AlarmRequest,
  AlarmType,
  encodeAlarmRequest,
  type LeaseTimeToLiveResponse,
} from '@etcd/api/etcdserverpb';
import { DowngradeInfoSetRequest, encodeDowngradeInfoSetRequest } from '@etcd/api/membershippb';
import type { ConfChange, ConfState, Entry, Message, Snapshot } from '@etcd/api/raftpb';
import { assert, type Clock, type Disk, type DiskError, type Logger, type Random } from '@etcd/base';
import { RaftState, type ReadState, type SoftState } from '@etcd/raft';
import type { Backend } from '@etcd/storage/backend';
import { Lessor } from '@etcd/storage/lease';
import {
  type ConfChangeEffect,
  compareVersions,
  type DowngradeInfo,
  decodeV2Store,
  formatClusterVersion,
  formatId,
  promoteMemberChange,
  type ReconfigurationFacts,
  readMembership,
  type SemanticVersion,
  validateLearnerReady,
  validatePromoteMember,
} from '@etcd/storage/membership';
import { Store, WatchHub } from '@etcd/storage/mvcc';
import {
  ConsistentIndex,
  createAuthBuckets,
  createMemberBuckets,
  createMetaBucket,
  detectSchemaVersion,
  migrateSchema,
  writeConsistentIndex,
} from '@etcd/storage/schema';
import { memberPurgeTargets, PurgeLoop } from '@etcd/storage/snap';
import { Alarms } from '../apply/alarms.ts';
import { Applier, type ApplierHost } from '../apply/applier.ts';
import { membershipReader } from '../apply/membership-writer.ts';
import { Quota } from '../apply/quota.ts';
import {
  type Config,
  ETCD_VERSION,
  electionTicks,
  requestTimeoutMs,
  snapDirectory,
  urlTexts,
  walDirectory,
} from '../config/index.ts';
import { Integrity } from '../integrity/index.ts';
import type { Metrics } from '../metrics/index.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import { AutoCompactor } from './auto-compactor.ts';
import type { MemberParts } from './bootstrap.ts';
import { ClusterAttributes } from './cluster-attributes.ts';
import { ClusterLink } from './cluster-link.ts';
import { LeaderRequests } from './leader-requests.ts';
import { LeaderTransfer, type TransferDone } from './leader-transfer.ts';
import { leaseCheckpointer } from './lease-checkpointer.ts';
import { LeaseRevoker } from './lease-revoker.ts';
import { leaseTimeToLive } from './lease-time-to-live.ts';
import { LinearizableReads, type Reader } from './linearizable-reads.ts';
import { LogKeeper } from './log-keeper.ts';
import { openMemberBackend, takeReceivedDatabase } from './member-backend.ts';
import { observeCompactions } from './member-metrics.ts';
import { MemberStartError } from './member-start-error.ts';
import { answerPeerRequest } from './peer-answers.ts';
import { RaftLoop, type RaftLoopHost } from './raft-loop.ts';
import { RequestEncoder, RequestField } from './raft-request.ts';
import { RemoteMembers } from './remote-cluster.ts';
import { RequestIds } from './request-ids.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import { PendingRequests, type Waiter } from './waiter.ts';

const {
  ErrBadLeaderTransferee,
  ErrNotLeader,
  ErrStopped,
  ErrTimeout,
  ErrTimeoutDueToLeaderFail,
  ErrTooManyRequests,
  ErrRequestTooLarge,
} = INTERNAL_ERRORS.errors;

export interface EtcdServerOptions {
  readonly config: Config;
  readonly parts: MemberParts;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The way to the other members; not started yet. */
  readonly network: PeerNetwork;
  /** The answers of a turn are all given: they may leave. */
  readonly onTurnEnd: () => void;
  /** The member is known to its cluster and may serve clients. */
  readonly onReady: () => void;
  /** The member can't go on: its process ends. */
  readonly onFatal: (error: Error) => void;
  /** The member does not belong to its cluster any more: its process ends, in order. */
  readonly onRemoved: () => void;
}

/** Waits until an entry is applied. */
interface AppliedWaiter {
  readonly index: number;
  readonly done: (isApplied: boolean) => void;
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
/** How long after its start a member that meets another one may make its first election come early. */
const FAST_FORWARD_MS = 5000;
/** Older databases don't say which release they are for. */
const FIRST_SCHEMA_VERSION: SemanticVersion = { major: 3, minor: 5, patch: 0, preRelease: '' };
/** A leader that is asked again whether it leads, or who does instead. */
const LEADER_RETRY_MS = 50;

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
  readonly pending = new PendingRequests();
  readonly requestTimeoutMs: number;
  readonly #options: EtcdServerOptions;
  readonly #raftLogger: Logger;
  readonly #parts: MemberParts;
  readonly integrity: Integrity;
  readonly #link: ClusterLink;
  readonly #remotes: RemoteMembers;
  readonly #leaderRequests: LeaderRequests;
  readonly #transfer: LeaderTransfer;
  readonly #snapshotSender: SnapshotSender;
  readonly #encoder: RequestEncoder;
  readonly #loop: RaftLoop;
  readonly #reads: LinearizableReads;
  readonly #revoker: LeaseRevoker;
  readonly #attributes: ClusterAttributes;
  readonly #keeper: LogKeeper;
  readonly #purge: PurgeLoop;
  readonly #compactor: AutoCompactor | null;
  #backend: Backend;
  #consistentIndex: ConsistentIndex;
  #alarms: Alarms;
  #quota: Quota;
  #applier: Applier | null = null;
  #watches: WatchHub | null = null;
  #confState: ConfState;
  #isHeldBackTimerSet = false;
  /** While a snapshot replaces the store: who wants to read it as it is. */
  #readersOfReplacement: Reader[] | null = null;
  #appliedWaiters: AppliedWaiter[] = [];
  readonly #startMs: number;
  #mayFastForward: boolean;
  #handedOverMs = Number.NEGATIVE_INFINITY;
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
    this.#startMs = clock.now();
    this.#mayFastForward = config.initialElectionTickAdvance;
    this.#backend = parts.backend;
    this.#consistentIndex = parts.consistentIndex;
    this.#quota = this.#newQuota();
    this.#alarms = new Alarms(this.#backend);
    this.#revoker = new LeaseRevoker({
      logger: this.logger,
      propose: (field, bytes, waiter) => this.#proposeAsLeader(field, bytes, waiter),
      confirmLeadership: (then) => this.confirmLeadership(then),
      onExpired: () => metrics.handles.leaseExpiredTotal.inc(),
    });
    this.lessor = new Lessor({
      backend: parts.backend,
      clock,
      // A lease must outlive an election, or its owner could not keep it alive through one.
      minTtl: Math.ceil((1.5 * config.electionTimeoutMs) / 1000),
      logger: logger.child({ caller: 'storage/lease' }),
      persistsCheckpoints: () => this.#persistsCheckpoints,
    });
    if (config.featureGates.LeaseCheckpoint) {
      const propose = (field: number, bytes: Uint8Array, waiter: Waiter): void =>
        this.#proposeAsLeader(field, bytes, waiter);
      this.lessor.setCheckpointer(leaseCheckpointer(propose));
    }
    this.lessor.setExpiredHandler((leaseIds) => this.#revoker.revoke(leaseIds));
    this.integrity = this.#newIntegrity();
    this.store = new Store({
      backend: parts.backend,
      clock,
      leases: this.lessor,
      logger: logger.child({ caller: 'storage/mvcc' }),
      compactionBatchLimit: config.compactionBatchLimit,
      compactionSleepMs: config.compactionSleepIntervalMs,
      compactionObserver: observeCompactions(metrics.handles),
      onRevision: (revision, log) => this.integrity.onChanges(revision, log),
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
      electionTimeoutMs: config.electionTimeoutMs,
    });
    this.#link = new ClusterLink({
      network: options.network,
      membership: parts.membership,
      memberId: parts.memberId,
      snapshotter: parts.snapshotter,
      clock,
      logger: this.logger,
      step: (message) => this.#loop.step(message),
      reportUnreachable: (id) => parts.node.reportUnreachable(id),
      reportSnapshot: (id, isDelivered) => this.#snapshotSender.reportDone(id, isDelivered),
      sendSnapshot: (message) => this.#snapshotSender.send(message),
      onRequest: (request, respond) => answerPeerRequest(this, request, respond),
      onRemoved: () => options.onRemoved(),
    });
    this.#snapshotSender = new SnapshotSender({
      network: options.network,
      logger: this.logger,
      memberId: parts.memberId,
      backend: () => this.#backend,
      writePosition: (backend) =>
        writeConsistentIndex(backend, {
          index: this.#consistentIndex.index,
          term: this.#consistentIndex.term,
        }),
      reportSnapshot: (id, isDelivered) => {
        parts.node.reportSnapshot(id, isDelivered ? 'finish' : 'failure');
        this.#loop.wake();
      },
    });
    this.#remotes = new RemoteMembers(options.network, clock, this.logger);
    this.#leaderRequests = new LeaderRequests({
      network: options.network,
      clock,
      requestTimeoutMs: this.requestTimeoutMs,
      leaderUrls: () => (this.isLeader ? null : (this.membership.member(this.#lead)?.peerUrls ?? [])),
    });
    this.#transfer = new LeaderTransfer({
      memberId: parts.memberId,
      clock,
      logger: this.logger,
      requestTimeoutMs: this.requestTimeoutMs,
      transfer: (transferee) => {
        parts.node.transferLeader(transferee);
        this.#loop.wake();
      },
    });
    this.#reads = new LinearizableReads({
      node: parts.node,
      clock,
      logger: this.logger,
      requestTimeoutMs: this.requestTimeoutMs,
      wake: () => this.#loop.wake(),
      // While the store is replaced, nothing can be read in it.
      appliedIndex: () => (this.store.isReady ? this.appliedIndex : 0),
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
      memberVersions: (done) => this.#memberVersions(done),
      propose: (field, bytes, waiter) => this.propose(field, bytes, 0, bytes.length, waiter),
      proposeV2: (encode, waiter) => this.#proposeV2(encode, waiter),
      onPublished: () => options.onReady(),
    });
    this.#keeper = new LogKeeper({
      backend: () => this.#backend,
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
      const { snapshotIndex, snapshotTerm, otherMembers } = this.#parts;
      this.#consistentIndex.attach(this.backend);
      this.#applier = this.#newApplier(snapshotIndex, snapshotTerm);
      this.#watches = new WatchHub(this.store);
      this.integrity.checkThen((problem) => {
        if (this.#isStopped) return;
        if (problem !== null) return this.#onCorruptStart(problem);
        this.#link.start(otherMembers);
        this.#loop.start();
        this.integrity.start();
        this.#attributes.start();
        this.#purge.start();
        this.#compactor?.start();
      });
    });
  }

  #onCorruptStart(problem: string): void {
    this.logger.error('checkInitialHashKV failed', { error: problem });
    this.#options.onFatal(new MemberStartError(problem));
  }

  /**
   * An orderly end: another member leads when this one does not any more, nothing that was acknowledged is lost, files are closed
   * when `done` is called.
   */
  stopThen(done: () => void): void {
    if (this.#isStopped) return;
    this.#attributes.stop();
    this.#handOver((error) => {
      if (error !== null) this.logger.warn('leadership transfer failed', { error: error.message });
      this.#stopThen(done);
    });
  }

  #stopThen(done: () => void): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#leaderRequests.stop();
    this.#purge.stop();
    this.integrity.stop();
    this.#compactor?.stop();
    this.lessor.stop();
    this.#watches?.close();
    this.#loop.stopThen(() => {
      this.#link.stop();
      this.#reads.stop();
      for (const { done: give } of this.#appliedWaiters.splice(0)) give(false);
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

  /** Lets the first election come early once another member is there: nobody who leads would have stayed silent. */
  #fastForward(): void {
    const { config } = this.#options;
    if (!this.#mayFastForward) return;
    const isOver = this.#lead !== 0n || this.clock.now() - this.#startMs > FAST_FORWARD_MS;
    if (!isOver && !this.#link.hasActivePeer) return;
    this.#mayFastForward = false;
    if (isOver) return;
    const ticks = electionTicks(config) - 2;
    this.logger.info('initialized peer connections; fast-forwarding election ticks', {
      'forward-ticks': ticks,
    });
    this.#loop.fastForward(ticks);
  }

  #newIntegrity(): Integrity {
    const { config, clock, disk, random, logger, metrics, network } = this.#options;
    return new Integrity({
      memberId: this.memberId,
      config,
      clock,
      disk,
      random,
      logger: logger.child({ caller: 'server/integrity' }),
      metrics: metrics.handles,
      network,
      requestTimeoutMs: this.requestTimeoutMs,
      store: () => this.store,
      members: () => this.membership.members(),
      isActive: (id) => this.#link.isActive(id),
      isLeader: () => this.isLeader,
      whenCurrent: (done) => this.read({ onReadable: () => done(null), onUnreadable: done }),
      raiseAlarm: (id) => this.#raiseAlarm(id, AlarmType.CORRUPT, () => {}),
      stepAside: () => this.#stepAside(),
    });
  }

  /** A fenced member does not lead: what it would tell of its state is wrong. */
  #stepAside(): void {
    this.#parts.node.bar();
    this.#handOver((error) => {
      if (error !== null) this.logger.warn('leadership transfer failed', { error: error.message });
    });
  }

  #newQuota(): Quota {
    const { quotaBackendBytes } = this.config;
    return new Quota(this.#backend, quotaBackendBytes < 0 ? Number.POSITIVE_INFINITY : quotaBackendBytes);
  }

  #newApplier(appliedIndex: number, appliedTerm: number): Applier {
    const { parts, config, clock, metrics } = this.#options;
    return new Applier({
      backend: this.#backend,
      store: this.store,
      lessor: this.lessor,
      alarms: this.#alarms,
      quota: this.#quota,
      membership: parts.membership,
      consistentIndex: this.#consistentIndex,
      pending: this.pending,
      ids: this.ids,
      clock,
      logger: this.logger,
      metrics: metrics.handles,
      warningApplyDurationMs: config.warningApplyDurationMs,
      host: this,
      appliedIndex,
      appliedTerm,
    });
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

  get membership(): MemberParts['membership'] {
    return this.#parts.membership;
  }

  /** All watchers; there from the moment when the store is loaded. */
  get watches(): WatchHub {
    assert(this.#watches !== null, 'member: watched before its store is loaded');
    return this.#watches;
  }

  /** This member's data are known to be wrong: clients get nothing of them. */
  get isFenced(): boolean {
    return this.integrity.isFenced;
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

  /** As in etcd: from cluster version 3.6 on always, before it when asked to. */
  get #persistsCheckpoints(): boolean {
    const { version } = this.membership;
    const isNew = version !== null && (version.major > 3 || (version.major === 3 && version.minor >= 6));
    return isNew || this.config.featureGates.LeaseCheckpointPersist;
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

  /** {@link propose} for what the leader decides: void when another member leads by then. */
  #proposeAsLeader(field: number, bytes: Uint8Array, waiter: Waiter): void {
    if (this.#isStopped) return waiter.onFailed(ErrStopped);
    const idSuffix = this.ids.next();
    this.pending.add(idSuffix, waiter, this.clock.now());
    this.#loop.proposeAsLeader(this.#encoder.encode(field, bytes, 0, bytes.length, idSuffix), idSuffix);
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
    return {
      members: this.membership.members(),
      localId: this.memberId,
      isConnected: (id) => this.#link.isConnected(id),
      isActive: (id) => this.#link.isActive(id),
    };
  }

  /**
   * Makes a learner a voter if it has caught up, which only the leader knows: with {@link ErrNotLeader} the question is for
   * {@link promoteMember}, which asks the leader. The waiter gets a `MembersResult`.
   */
  promoteMember(id: bigint, waiter: Waiter): void {
    if (!this.isLeader) return waiter.onFailed(ErrNotLeader);
    const members = this.membership.members();
    const leaderMatch = this.matchIndex(this.memberId) ?? 0;
    const refusal =
      validateLearnerReady(this.matchIndex(id), leaderMatch) ??
      (this.config.strictReconfigCheck ? validatePromoteMember(members) : null);
    if (refusal !== null) return waiter.onFailed(refusal);
    this.changeMembers(promoteMemberChange(id), waiter);
  }

  /** {@link promoteMember} by whoever leads. */
  promoteMemberAnywhere(id: bigint, waiter: Waiter): void {
    if (this.isLeader) return this.promoteMember(id, waiter);
    this.#leaderRequests.promoteMember(id, (error, members) => {
      if (error !== null) waiter.onFailed(error);
      else if (members !== null) waiter.onApplied({ members });
      else this.promoteMember(id, waiter);
    });
  }

  /** Hands the leadership to another voter, and tells when it leads. */
  moveLeader(transferee: bigint, done: TransferDone): void {
    if (!this.isLeader) return done(ErrNotLeader);
    const member = this.membership.member(transferee);
    if (member === null || member.isLearner) return done(ErrBadLeaderTransferee);
    if (transferee === this.memberId) return done(null);
    this.#transfer.start(transferee, done);
  }

  /** To whom it may be handed best; null when there is nobody. */
  #successor(): bigint | null {
    return this.#link.longestConnected(this.membership.votingMembers().map(({ id }) => id));
  }

  /** A leader lets another member lead, if there is one that can. */
  #handOver(done: TransferDone): void {
    const successor = this.isLeader ? this.#successor() : null;
    if (successor === null) return done(null);
    this.#transfer.start(successor, done);
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

  /** Tells `reader` at once, unless the store is about to be replaced by the leader's: then afterwards. */
  readLocally(reader: Reader): void {
    if (this.#readersOfReplacement === null) reader.onReadable();
    else this.#readersOfReplacement.push(reader);
  }

  /** Calls `done` when entry `index` is applied, or when it is not in time. */
  whenApplied(index: number, timeoutMs: number, done: (isApplied: boolean) => void): void {
    if (this.appliedIndex >= index) return done(true);
    const waiter: AppliedWaiter = {
      index,
      done: (isApplied) => {
        timer.cancel();
        done(isApplied);
      },
    };
    const timer = this.clock.setTimer(timeoutMs, () => {
      this.#appliedWaiters = this.#appliedWaiters.filter((other) => other !== waiter);
      done(false);
    });
    this.#appliedWaiters.push(waiter);
  }

  /** Keeps a lease alive, here or through the leader; gives its TTL, or an error. */
  renewLease(id: bigint, done: (error: InternalError | null, ttl: number) => void): void {
    this.renewLeaseHere(id, (error, ttl) => {
      if (error !== INTERNAL_ERRORS.lease.ErrNotPrimary) return done(error, ttl);
      this.#leaderRequests.renewLease(id, (failure, renewed) => {
        if (failure !== null || renewed !== null) return done(failure, renewed ?? 0);
        this.clock.setTimer(LEADER_RETRY_MS, () => this.renewLease(id, done));
      });
    });
  }

  /** How long a lease has left, and which keys it has, as the leader knows; null when there is no such lease. */
  lookupLease(
    id: bigint,
    keys: boolean,
    done: (error: InternalError | null, lease: LeaseTimeToLiveResponse | null) => void,
  ): void {
    this.confirmLeadership((leads) => {
      if (leads) return done(null, leaseTimeToLive(this.lessor, id, keys));
      this.#leaderRequests.leaseTimeToLive(id, keys, (error, lease) => {
        if (error === INTERNAL_ERRORS.lease.ErrLeaseNotFound) done(null, null);
        else if (error !== null || lease !== null) done(error, lease);
        else this.clock.setTimer(LEADER_RETRY_MS, () => this.lookupLease(id, keys, done));
      });
    });
  }

  /** Keeps a lease alive if this member leads. */
  renewLeaseHere(id: bigint, done: (error: InternalError | null, ttl: number) => void): void {
    this.confirmLeadership((leads) => {
      if (!leads) return done(INTERNAL_ERRORS.lease.ErrNotPrimary, 0);
      this.lessor.renewThen(id, (error, ttl) => {
        if (error === null) this.metrics.handles.leaseRenewedTotal.inc();
        done(error, ttl);
      });
    });
  }

  /** Raises the alarm that the database is full, then calls `then`. */
  onNoSpace(then: () => void): void {
    this.logger.warn('message exceeded backend quota; raising alarm', {
      'quota-size-bytes': this.config.quotaBackendBytes,
    });
    this.#raiseAlarm(this.memberId, AlarmType.NOSPACE, then);
  }

  #raiseAlarm(memberId: bigint, alarm: number, then: () => void): void {
    const request = new AlarmRequest({ memberId, action: AlarmAction.ACTIVATE, alarm });
    const bytes = encodeAlarmRequest(request);
    this.propose(RequestField.ALARM, bytes, 0, bytes.length, {
      request: null,
      onApplied: then,
      onFailed: then,
    });
  }

  /** Begins or ends a downgrade of the cluster; the waiter gets a `DoneResult`. */
  setDowngrade({ enabled, targetVersion }: DowngradeInfo, waiter: Waiter): void {
    const request = new DowngradeInfoSetRequest({ enabled, ver: targetVersion });
    const bytes = encodeDowngradeInfoSetRequest(request);
    this.propose(RequestField.DOWNGRADE_INFO_SET, bytes, 0, bytes.length, waiter);
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
    this.#fastForward();
    const beforeMs = this.clock.now() - this.requestTimeoutMs;
    const expired = this.pending.expire(beforeMs, (startMs) => this.#timeoutError(startMs));
    this.metrics.handles.proposalsFailedTotal.add(expired);
  }

  onSoftState({ lead, raftState }: SoftState): void {
    const { handles } = this.metrics;
    const isNewLeader = lead !== 0n && lead !== this.#lead;
    if (lead !== this.#lead) this.#logLeader(lead);
    this.#lead = lead;
    if (isNewLeader) this.#transfer.onLeader(lead);
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

  send(messages: readonly Message[]): void {
    this.#link.send(messages);
  }

  /** A leader whose disk has become slow slows down everybody: one that can do better takes over. */
  onSaved(durationMs: number): void {
    const { electionTimeoutMs } = this.config;
    if (durationMs < electionTimeoutMs / 2 || !this.isLeader) return;
    const nowMs = this.clock.now();
    if (nowMs - this.#handedOverMs < 10 * electionTimeoutMs) return;
    this.#handedOverMs = nowMs;
    this.logger.warn('slow disk: handing the leadership over', {
      'save-took': `${Math.round(durationMs)}ms`,
    });
    this.#handOver((error) => {
      if (error !== null) this.logger.warn('leadership transfer failed', { error: error.message });
    });
  }

  // --- snapshots from the leader

  saveSnapshotFile(snapshot: Snapshot, done: (error: DiskError | null) => void): void {
    this.#parts.snapshotter.saveSnapThen(snapshot, done);
  }

  installSnapshot(snapshot: Snapshot, done: () => void): void {
    const { index, term, confState } = snapshot.metadata;
    this.logger.info('applying snapshot', {
      'current-applied-index': this.appliedIndex,
      'incoming-leader-snapshot-index': index,
      'incoming-leader-snapshot-term': term,
    });
    this.#readersOfReplacement = [];
    try {
      this.#replaceBackend(snapshot);
    } catch (error) {
      // A database that is not there, or is none: the log says that it was, so there is no way back.
      return this.onFatal(error as Error);
    }
    this.store.replaceThen(this.#backend, (error) => {
      if (this.#isStopped) return;
      if (error !== null) return this.#options.onFatal(error);
      this.#consistentIndex.attach(this.#backend);
      this.#applier = this.#newApplier(index, term);
      this.#confState = confState!;
      this.watches.onStoreReplaced();
      this.#keeper.onInstalled(index);
      this.logger.info('applied snapshot', { 'incoming-leader-snapshot-index': index });
      const readers = this.#readersOfReplacement ?? [];
      this.#readersOfReplacement = null;
      this.onApplied(index);
      for (const reader of readers) reader.onReadable();
      done();
    });
  }

  /** Puts what came with the snapshot in the place of the backend and of everything that was made from it. */
  #replaceBackend(snapshot: Snapshot): void {
    const { disk, logger } = this.#options;
    const { snapshotter, membership } = this.#parts;
    takeReceivedDatabase({ config: this.config, disk }, snapshotter, snapshot.metadata.index);
    const old = this.#backend;
    const backend = openMemberBackend({
      config: this.config,
      clock: this.clock,
      disk,
      logger,
      metrics: this.metrics.handles,
      onBackendFatal: (error) => this.onFatal(error),
    });
    old.setPreCommitHook(null);
    old.retire();
    createMetaBucket(backend);
    createMemberBuckets(backend);
    createAuthBuckets(backend);
    this.#backend = backend;
    this.#consistentIndex = new ConsistentIndex(backend);
    this.#quota = this.#newQuota();
    this.#alarms = new Alarms(backend);
    this.lessor.recover(backend);
    const state = readMembership(membershipReader(backend));
    membership.restore(state.members.length > 0 ? state : decodeV2Store(snapshot.data).state);
    this.#link.synchronize();
    this.onClusterVersion();
  }

  onTurnEnd(): void {
    if (this.#mayCampaign) this.#campaignIfAlone();
    this.#options.onTurnEnd();
  }

  onFatal(error: Error): void {
    this.#options.onFatal(error);
  }

  // --- the applier's host

  applyConfChange(change: ConfChange): ConfState {
    this.#confState = this.#parts.node.applyConfChange(change);
    return this.#confState;
  }

  onMemberChange(effect: ConfChangeEffect): void {
    this.#link.onMemberChange(effect);
  }

  /** Asks every member which release it runs; null for those that don't say. */
  #memberVersions(done: (versions: readonly (string | null)[]) => void): void {
    const others = this.membership.members().filter(({ id }) => id !== this.memberId);
    this.#remotes.versions(others, (versions) =>
      done([ETCD_VERSION, ...versions.map(({ server }) => server)]),
    );
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
    this.#followClusterVersion(version);
    this.metrics.setClusterVersion(formatClusterVersion(version));
    this.logger.info('set cluster version', {
      'cluster-id': formatId(this.clusterId),
      'local-member-id': formatId(this.memberId),
      'cluster-version': formatClusterVersion(version),
    });
  }

  /**
   * Brings the database to the cluster's version, as far as it is able to say which it is. After a downgrade the log begins anew,
   * too: the release that comes next would not understand its entries.
   */
  #followClusterVersion(version: SemanticVersion): void {
    const current = detectSchemaVersion(this.#backend);
    if (current === null || compareVersions(version, FIRST_SCHEMA_VERSION) < 0) return;
    const target = { major: version.major, minor: version.minor };
    if (current.major === target.major && current.minor === target.minor) return;
    const isDowngrade = target.minor < current.minor;
    migrateSchema(this.#backend, target);
    if (isDowngrade) this.forceSnapshot();
    this.logger.info('updated storage version', {
      'new-storage-version': formatClusterVersion(version),
      'cluster-version': formatClusterVersion(version),
    });
  }

  onApplied(index: number): void {
    this.#reads.onApplied(index);
    if (this.#appliedWaiters.length === 0) return;
    const ready = this.#appliedWaiters.filter((waiter) => waiter.index <= index);
    this.#appliedWaiters = this.#appliedWaiters.filter((waiter) => waiter.index > index);
    for (const { done } of ready) done(true);
  }

  /** Why a request that began then got no answer in time. */
  #timeoutError(startMs: number): InternalError {
    const lostMs = this.#leaderSinceMs - 2 * this.config.electionTimeoutMs;
    return startMs > lostMs && startMs < this.#leaderSinceMs ? ErrTimeoutDueToLeaderFail : ErrTimeout;
  }
}
