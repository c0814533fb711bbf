/**
 * A member without its sockets: the log, raft, the state machine and what runs in the background, assembled from an opened
 * data directory. RPCs, and the simulator, drive it through its methods; it answers through {@link Waiter}s and
 * {@link Reader}s. Everything happens on one thread, in turns of the event loop; time comes from the injected clock.
 *
 *   propose ──> RaftLoop ──> log ──> Applier ──> store, lessor, alarms, membership ──> waiter
 *   read    ──> LinearizableReads ──> RaftLoop ──> reader
 *
 * Invariants:
 *  - what is applied is committed, and in the order of the log;
 *  - who decides about leases leads, as far as this member knows;
 *  - who is added to the membership, or removed, is so in raft, unless a log says otherwise: that is told, and ends nothing;
 *  - the member is ready once, and not when it has stopped;
 *  - nobody waits for anything when the member has stopped.
 */
import { type ClusterId, INTERNAL_ERRORS, type LogIndex, type MemberId, type Term } from '@etcd/api';
import { AlarmAction, AlarmRequest, AlarmType } from '@etcd/api/etcdserverpb';
import type { DowngradeInfoSetRequest } from '@etcd/api/membershippb';
import type { ConfChange, ConfState, Entry, Message, Snapshot } from '@etcd/api/raftpb';
import type { Clock, DiskError, Logger, Random } from '@etcd/base';
import { assert, urlTexts } from '@etcd/base';
import { formatStatus, RaftState, type ReadState, type SoftState } from '@etcd/raft';
import type { AuthStore, Identity } from '@etcd/storage/auth';
import type { Backend } from '@etcd/storage/backend';
import type { Lessor } from '@etcd/storage/lease';
import { type ConfChangeEffect, formatClusterVersion, formatId } from '@etcd/storage/membership';
import type { Store, WatchHub } from '@etcd/storage/mvcc';
import type { PurgeLoop } from '@etcd/storage/snap';
import type { Access, Alarms, ApplierHost, Quota } from '../apply/index.ts';
import { StateMachine } from '../apply/index.ts';
import type { Authentication } from '../auth/index.ts';
import type { MemberParts } from '../boot/index.ts';
import { RemoteMembers } from '../boot/index.ts';
import {
  ClusterAttributes,
  LeaderRequests,
  type LeaseRequests,
  memberLeases,
  Proposals,
  Reconfiguration,
  Releases,
} from '../cluster/index.ts';
import { type Config, MemberStartError, requestTimeoutMs } from '../config/index.ts';
import {
  type AppliedCallback,
  AppliedWaiters,
  ClusterLink,
  DatabaseSender,
  type EntryPhases,
  Leadership,
  LinearizableReads,
  LogKeeper,
  type MemberEnvironment,
  RaftLoop,
  type RaftLoopHost,
} from '../consensus/index.ts';
import { Integrity } from '../integrity/index.ts';
import type { Metrics } from '../metrics/index.ts';
import { lastV2Index, PendingRequests, type Reader, RequestIds, type Waiter } from '../request/index.ts';
import { AutoCompactor } from './auto-compactor.ts';
import { AutoDefragmenter } from './auto-defragmenter.ts';
import { environmentOf } from './environment.ts';
import type { EtcdServerOptions } from './etcd-server-options.ts';
import { answerPeerRequest } from './peer-answers.ts';
import { newPurgeLoop } from './purge-loop.ts';
import { StorageVersion } from './storage-version.ts';

const { ErrLeaderChanged, ErrStopped, ErrTooManyRequests } = INTERNAL_ERRORS.errors;

/** Entries may be committed this far ahead of the applied one before requests are refused. */
const MAX_GAP_COMMIT_APPLY = 5000;
/** How often a member that is held back by its database looks whether it may go on. */
const HELD_BACK_CHECK_MS = 2;
/** So long who asks for what the leader alone knows waits for entries that are committed and not applied. */
const APPLY_TIMEOUT_MS = 1000;

export class EtcdServer implements RaftLoopHost, ApplierHost {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly memberId: MemberId;
  readonly clusterId: ClusterId;
  readonly ids: RequestIds;
  /** Proposals that were made and are not applied yet. */
  readonly pending = new PendingRequests();
  readonly authentication: Authentication;
  readonly proposals: Proposals;
  readonly requestTimeoutMs: number;
  readonly #options: EtcdServerOptions;
  readonly #parts: MemberParts;
  readonly integrity: Integrity;
  readonly leases: LeaseRequests;
  readonly reconfiguration: Reconfiguration;
  readonly leadership: Leadership;
  readonly #state: StateMachine;
  readonly #link: ClusterLink;
  readonly #releases: Releases;
  readonly #leaderRequests: LeaderRequests;
  readonly #databaseSender: DatabaseSender;
  readonly #loop: RaftLoop;
  readonly #reads: LinearizableReads;
  readonly #attributes: ClusterAttributes;
  readonly #keeper: LogKeeper;
  readonly #storageVersion: StorageVersion;
  readonly #purge: PurgeLoop;
  readonly #compactor: AutoCompactor | null;
  readonly #defragmenter: AutoDefragmenter | null;
  #confState: ConfState;
  #isHeldBackTimerSet = false;
  readonly #appliedWaiters: AppliedWaiters;
  #isReady = false;
  #isStopped = false;

  constructor(options: EtcdServerOptions) {
    const { config, parts } = options;
    this.#options = options;
    this.#parts = parts;
    this.config = config;
    this.clock = options.clock;
    this.random = options.random;
    this.logger = options.logger.child({ caller: 'server/member' });
    this.metrics = options.metrics;
    this.memberId = parts.memberId;
    this.clusterId = parts.clusterId;
    this.requestTimeoutMs = requestTimeoutMs(config);
    this.ids = new RequestIds(parts.memberId, options.requestIdStart);
    this.authentication = options.authentication;
    this.authentication.attach(this);
    this.#confState = parts.confState;
    this.#appliedWaiters = new AppliedWaiters(options.clock);
    const { logger, ids } = this;
    const environment = environmentOf(options, { logger, ids });
    this.integrity = this.#newIntegrity();
    this.#state = this.#newState();
    ({
      loop: this.#loop,
      link: this.#link,
      databaseSender: this.#databaseSender,
      leadership: this.leadership,
      reads: this.#reads,
    } = this.#newConsensus(environment));
    ({
      releases: this.#releases,
      proposals: this.proposals,
      leaderRequests: this.#leaderRequests,
      leases: this.leases,
      reconfiguration: this.reconfiguration,
      attributes: this.#attributes,
    } = this.#newCluster(environment));
    this.#keeper = this.#newKeeper(environment);
    this.#storageVersion = this.#newStorageVersion();
    this.#purge = newPurgeLoop(options, (error) => this.onFatal(error));
    this.#compactor = AutoCompactor.create(this);
    this.#defragmenter = AutoDefragmenter.create(this);
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
      stepAside: () => this.leadership.stepAside(),
    });
  }

  /** What entries are applied to. */
  #newState(): StateMachine {
    const { config, parts, clock, disk, logger, metrics, authentication, slices } = this.#options;
    return new StateMachine({
      config,
      parts,
      clock,
      disk,
      logger,
      metrics: metrics.handles,
      pending: this.pending,
      ids: this.ids,
      authentication,
      host: this,
      onRevision: (revision, log) => this.integrity.onChanges(revision, log),
      onFatal: (error) => this.onFatal(error),
      slices,
    });
  }

  #newKeeper(environment: MemberEnvironment): LogKeeper {
    const { config, parts } = this.#options;
    return new LogKeeper({
      ...environment,
      backend: () => this.backend,
      loop: this.#loop,
      snapshotCount: config.snapshotCount,
      catchUpEntries: config.snapshotCatchUpEntries,
      neededFrom: () => this.reconfiguration.neededFrom(),
      snapshotIndex: parts.snapshotIndex,
      unreadableTo: lastV2Index(parts.raftStorage),
      onForgotten: (entries) => this.#loop.afterMessages(() => this.proposals.forget(entries)),
      onFatal: (error) => this.onFatal(error),
    });
  }

  #newStorageVersion(): StorageVersion {
    return new StorageVersion({
      version: () => this.membership.version,
      isAheadOf: (version) => this.#state.isAheadOf(version),
      follow: (version) => this.#state.followClusterVersion(version),
      appliedIndex: () => this.appliedIndex,
      onUnreadable: (index) => this.#keeper.onUnreadable(index),
      forceSnapshot: (done) => this.#keeper.force(done),
    });
  }

  /** Raft, the log and who leads; the other members. */
  #newConsensus(environment: MemberEnvironment) {
    const { config, parts, logger, metrics } = this.#options;
    const loop = new RaftLoop({
      ...environment,
      storage: parts.raftStorage,
      wal: parts.wal,
      logger: logger.child({ caller: 'server/raft' }),
      host: this,
      heartbeatIntervalMs: config.heartbeatIntervalMs,
    });
    const link = new ClusterLink({
      ...environment,
      heartbeatIntervalMs: config.heartbeatIntervalMs,
      step: (message) => this.#loop.step(message),
      reportUnreachable: (id) => parts.node.reportUnreachable(id),
      reportSnapshot: (id, isDelivered) => this.#reportSnapshot(id, isDelivered),
      sendSnapshot: (message) => this.#databaseSender.send(message),
      onRequest: (request, respond) => answerPeerRequest(this, request, respond),
      onPeerGone: (id) => this.leadership.onPeerGone(id),
      onRemoved: () => this.#options.onRemoved(),
    });
    const databaseSender = new DatabaseSender({
      ...environment,
      backend: () => this.backend,
      writePosition: () => this.#state.writePosition(),
      reportFailure: (id) => this.#reportSnapshot(id, false),
    });
    const leadership = new Leadership({
      ...environment,
      link,
      raftLogger: logger.child({ caller: 'raft', logger: 'raft' }),
      wake: () => this.#loop.wake(),
      fastForward: (ticks) => this.#loop.fastForward(ticks),
    });
    const reads = new LinearizableReads({
      ...environment,
      wake: () => this.#loop.wake(),
      // While the store is replaced, nothing can be read in it.
      appliedIndex: () => (this.store.isReady ? this.appliedIndex : 0),
      onSlow: () => metrics.handles.slowReadIndexesTotal.inc(),
      onFailed: () => metrics.handles.readIndexesFailedTotal.inc(),
    });
    return { loop, link, databaseSender, leadership, reads };
  }

  /** What goes to the other members, and what only the leader knows. */
  #newCluster(environment: MemberEnvironment) {
    const { config, clock, metrics, network } = this.#options;
    const remotes = new RemoteMembers(network, clock, this.logger);
    const releases = new Releases({
      ...environment,
      ask: (members, done) => remotes.versions(members, done),
    });
    const proposals = new Proposals({
      ...environment,
      pending: this.pending,
      queue: this.#loop,
      releases,
      leaderIdentity: () => this.auth.ownIdentity,
      maxRequestBytes: config.maxRequestBytes,
      isStopped: () => this.#isStopped,
      isBehind: () => this.committedIndex > this.appliedIndex + MAX_GAP_COMMIT_APPLY,
    });
    const leaderRequests = new LeaderRequests({
      ...environment,
      leaderUrls: () => (this.isLeader ? null : (this.membership.member(this.leader)?.peerUrls ?? [])),
    });
    const leases = memberLeases({
      ...environment,
      lessor: this.lessor,
      proposals,
      leader: leaderRequests,
      confirmLeadership: (then) => this.confirmLeadership(then),
      whenCaughtUp: (then) => this.whenApplied(this.committedIndex, APPLY_TIMEOUT_MS, then),
    });
    const reconfiguration = new Reconfiguration({
      ...environment,
      link: this.#link,
      leader: leaderRequests,
      isLeader: () => this.isLeader,
      isStrict: config.strictReconfigCheck,
      propose: (change, waiter) => proposals.proposeConfChange(change, waiter),
    });
    const attributes = new ClusterAttributes({
      ...environment,
      attributes: { name: config.name, clientUrls: urlTexts(config.advertiseClientUrls) },
      maxClusterVersion: config.maxClusterVersion,
      isLeader: () => this.isLeader,
      releases,
      propose: proposals.proposeOwn,
      proposeV2: (encode, waiter) => proposals.proposeV2(encode, waiter),
      read: (reader) => this.read(reader),
      onPublished: () => this.#onPublished(),
      followVersion: () => this.#storageVersion.follow(),
      onKept: (isKept) => metrics.handles.clusterVersionKept.set(isKept ? 1 : 0),
    });
    return { releases, proposals, leaderRequests, leases, reconfiguration, attributes };
  }

  // --- life

  /** Loads the store, then joins the cluster; {@link EtcdServerOptions.onReady} follows. */
  start(): void {
    assert(!this.#isStopped, 'member: started after its end');
    this.#state.restoreThen((error) => {
      if (error !== null) return this.#options.onFatal(error);
      this.integrity.checkThen((problem) => {
        if (this.#isStopped) return;
        if (problem !== null) return this.#onCorruptStart(problem);
        this.#link.start(this.#parts.otherMembers);
        this.#loop.start();
        this.integrity.start();
        // A run before may have ended between the cluster's version and the database's.
        this.#storageVersion.follow();
        this.#attributes.start();
        this.#purge.start();
        this.#compactor?.start();
        this.#defragmenter?.start();
      });
    });
  }

  #onPublished(): void {
    assert(!this.#isReady, 'member: ready twice');
    // What was about to be applied when the stop began is applied still.
    if (this.#isStopped) return;
    this.#isReady = true;
    this.#options.onReady();
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
    this.leadership.handOver(() => this.#stopThen(done));
  }

  #stopThen(done: () => void): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#leaderRequests.stop();
    this.#purge.stop();
    this.integrity.stop();
    this.#compactor?.stop();
    this.#defragmenter?.stop();
    this.#state.stop();
    this.#loop.stopThen(() => {
      this.#link.stop();
      this.#reads.stop();
      this.#appliedWaiters.stop();
      this.pending.failAll(ErrStopped);
      const waiting = this.pending.count + this.#reads.waitingCount + this.#appliedWaiters.count;
      assert(waiting === 0, 'member: somebody waits for one that has stopped');
      this.authentication.stop();
      this.#options.onTurnEnd();
      this.#state.closeThen(() => {
        this.#parts.wal.close();
        this.#state.verifyLeft();
        done();
      });
    });
  }

  // --- facts

  get store(): Store {
    return this.#state.store;
  }

  get lessor(): Lessor {
    return this.#state.lessor;
  }

  get backend(): Backend {
    return this.#state.backend;
  }

  /** Who may do what. */
  get access(): Access {
    return this.#state.access;
  }

  get auth(): AuthStore {
    return this.#state.auth;
  }

  get alarms(): Alarms {
    return this.#state.alarms;
  }

  get quota(): Quota {
    return this.#state.quota;
  }

  get membership(): MemberParts['membership'] {
    return this.#parts.membership;
  }

  /** All watchers; there from the moment when the store is loaded. */
  get watches(): WatchHub {
    return this.#state.watches;
  }

  /** This member's data are known to be wrong: clients get nothing of them. */
  get isFenced(): boolean {
    return this.integrity.isFenced;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Term of the last applied entry. */
  get term(): Term {
    return this.#state.appliedTerm;
  }

  /** When entries came how far. */
  get phases(): EntryPhases {
    return this.#loop.phases;
  }

  get appliedIndex(): LogIndex {
    return this.#state.appliedIndex;
  }

  get committedIndex(): LogIndex {
    return this.#parts.node.committed;
  }

  /** As JSON. */
  raftStatus(): string {
    return formatStatus(this.#parts.node.status());
  }

  /** The leader's id, 0n while there is none. */
  get leader(): MemberId {
    return this.leadership.lead;
  }

  get isLeader(): boolean {
    return this.leadership.isLeader;
  }

  get isLearner(): boolean {
    return this.membership.member(this.memberId)?.isLearner ?? false;
  }

  // --- requests

  /** Tells `reader` when it may read what was committed up to now. */
  read(reader: Reader): void {
    if (this.#isStopped) reader.onUnreadable(ErrStopped);
    else this.#reads.add(reader);
  }

  /**
   * Calls `then` with whether this member leads, for sure: a quorum has said so since this was called. Its own clock tells nothing: it may
   * have been paused, and the others need not have waited for an election timeout before they elected another.
   */
  confirmLeadership(then: (leads: boolean) => void): void {
    if (!this.isLeader) return then(false);
    this.read({ onReadable: () => then(this.isLeader), onUnreadable: () => then(false) });
  }

  /** Tells `reader` at once, unless the store is about to be replaced by the leader's: then afterwards. */
  readLocally(reader: Reader): void {
    if (this.#isStopped) reader.onUnreadable(ErrStopped);
    else this.#state.readLocally(reader);
  }

  /** Calls `done` when entry `index` is applied, or when it is not in time. */
  whenApplied(index: LogIndex, timeoutMs: number, done: AppliedCallback): void {
    if (this.appliedIndex >= index) done(true);
    else this.#appliedWaiters.add(index, timeoutMs, done);
  }

  /** Raises the alarm that the database is full, then calls `then`. */
  onNoSpace(then: () => void): void {
    this.logger.warn('message exceeded backend quota; raising alarm', {
      'quota-size-bytes': this.config.quotaBackendBytes,
    });
    this.#raiseAlarm(this.memberId, AlarmType.NOSPACE, then);
  }

  #raiseAlarm(memberId: MemberId, alarm: number, then: () => void): void {
    const request = new AlarmRequest({ memberId, action: AlarmAction.ACTIVATE, alarm });
    this.proposals.proposeOwn('alarm', request, {
      kind: 'alarm',
      request: null,
      onApplied: then,
      onFailed: then,
    });
  }

  /** Begins or ends a downgrade of the cluster, in the name of whoever asks. */
  setDowngrade(
    request: DowngradeInfoSetRequest,
    identity: Identity,
    waiter: Waiter<'downgradeInfoSet'>,
  ): void {
    // Whether all members could read it depends on what they run now.
    this.#releases.askThen(() => this.proposals.propose('downgradeInfoSet', request, identity, waiter));
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
    assert(this.isLeader || !this.lessor.isPrimary, 'member: decides about leases and does not lead');
    this.#reads.onTick();
    this.leadership.onTick();
    const beforeMs = this.clock.now() - this.requestTimeoutMs;
    const expired = this.pending.expire(beforeMs, (startMs) => this.leadership.timeoutError(startMs));
    if (expired > 0) this.#loop.forget((idSuffix) => this.pending.has(idSuffix));
    this.metrics.handles.proposalsFailedTotal.add(expired);
  }

  onSoftState({ lead, raftState }: SoftState): void {
    const { handles } = this.metrics;
    assert(raftState !== RaftState.Leader || lead === this.memberId, 'member: leads as another');
    const isNewLeader = this.leadership.onLeader(lead);
    handles.hasLeader.set(lead === 0n ? 0 : 1);
    handles.isLeader.set(raftState === RaftState.Leader ? 1 : 0);
    if (isNewLeader) {
      handles.leaderChangesSeenTotal.inc();
      this.#reads.onLeaderChanged();
    }
    if (raftState !== RaftState.Leader && this.lessor.isPrimary) this.lessor.demote();
    this.#compactor?.setRunning(this.isLeader);
  }

  onReadState(state: ReadState): void {
    this.#reads.onReadState(state);
  }

  onProposalDropped(idSuffix: number): void {
    this.metrics.handles.proposalsFailedTotal.inc();
    // A leader has too much on its way, unless it was removed; then, and otherwise, another will take it.
    const isFull = this.isLeader && !this.membership.isRemoved(this.memberId);
    this.pending.fail(idSuffix, isFull ? ErrTooManyRequests : ErrLeaderChanged);
  }

  apply(entries: readonly Entry[]): void {
    this.#state.apply(entries);
    let bytes = 0;
    for (const entry of entries) bytes += entry.data.length;
    const { appliedIndex: index, appliedTerm: term } = this.#state;
    assert(index <= this.committedIndex, 'member: applied what is not committed');
    this.#keeper.onApplied({ index, term, confState: this.#confState }, bytes);
  }

  send(messages: readonly Message[]): void {
    this.#link.send(messages);
  }

  #reportSnapshot(id: MemberId, isDelivered: boolean): void {
    this.#parts.node.reportSnapshot(id, isDelivered ? 'finish' : 'failure');
    this.#loop.wake();
  }

  onSaved(waitedMs: number, index: LogIndex): void {
    this.leadership.onSaved(waitedMs, index);
  }

  // --- snapshots from the leader

  saveSnapshotFile(snapshot: Snapshot, done: (error: DiskError | null) => void): void {
    this.#parts.snapshotter.saveSnapThen(snapshot, done);
  }

  installSnapshot(snapshot: Snapshot, done: () => void): void {
    const { index, term, confState } = snapshot.metadata;
    assert(confState !== null, 'member: a snapshot without a configuration');
    this.logger.info('applying snapshot', {
      'current-applied-index': this.appliedIndex,
      'incoming-leader-snapshot-index': index,
      'incoming-leader-snapshot-term': term,
    });
    this.#state.replaceThen(snapshot, () => {
      this.#confState = confState;
      this.#keeper.onInstalled(index);
      this.logger.info('applied snapshot', { 'incoming-leader-snapshot-index': index });
      this.onApplied(index);
      done();
    });
    this.#link.synchronize();
    this.onClusterVersion();
  }

  onTurnEnd(): void {
    this.leadership.campaignIfAlone();
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
    if (effect.kind === 'added') this.#keeper.onMemberAdded();
  }

  onFirstCommitInTerm(): void {
    this.#reads.onFirstCommitInTerm();
    if (!this.isLeader) return;
    // Leases may have been kept alive through the leader before: everybody gets a full term, and more. A Go member that leads does not ask
    // the others before it confirms a renewal, and it takes up to two election timeouts to notice that they have left it.
    this.lessor.promote(2 * this.config.electionTimeoutMs);
    this.clock.defer(() => this.#attributes.checkVersion());
  }

  onV2Request(index: LogIndex): void {
    this.#keeper.onUnreadable(index);
  }

  onClusterVersion(): void {
    const { version } = this.membership;
    if (version === null) return;
    this.#storageVersion.onClusterVersion(version);
    this.metrics.setClusterVersion(formatClusterVersion(version));
    this.logger.info('set cluster version', {
      'cluster-id': formatId(this.clusterId),
      'local-member-id': formatId(this.memberId),
      'cluster-version': formatClusterVersion(version),
    });
    // Not in the middle of an entry.
    this.clock.defer(() => this.#attributes.onClusterVersion());
  }

  onApplied(index: LogIndex): void {
    assert(index === this.appliedIndex, 'member: told of another index than that which is applied');
    this.#reads.onApplied(index);
    this.#appliedWaiters.onApplied(index);
  }
}
