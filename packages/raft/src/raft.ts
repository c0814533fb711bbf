/**
 * The state of one member and its transitions between roles. What a member does in a role is elsewhere, one function
 * per message type: `step-leader.ts`, `step-candidate.ts`, `step-follower.ts`; what several of them share is in
 * `replication.ts`, `election.ts`, `membership.ts`, `read-index.ts`. All of them work on the fields of this class,
 * which no other package sees: a driver has `RawNode`.
 */
import type { LogIndex, MemberId, Term } from '@etcd/api';
import { HardState, type Message } from '@etcd/api/raftpb';
import { assert, type Logger, type Random, RingBuffer } from '@etcd/base';
import { restoreConfig } from './confchange/restore.ts';
import type { ReadOnlyOption, ResolvedConfig } from './config.ts';
import { RaftLog } from './log/raft-log.ts';
import { isPromise, isTermless, isVoteMessage, NONE } from './message.ts';
import { messageTypeName } from './names.ts';
import { RaftState } from './raft-state.ts';
import { ReadOnly } from './read-only.ts';
import type { ReadState } from './ready.ts';
import { type Config, describeConfig } from './tracker/config.ts';
import { ProgressTracker } from './tracker/progress-tracker.ts';

export class Raft {
  readonly id: MemberId;
  /** {@link id} as logs show it. */
  readonly name: string;
  readonly log: RaftLog;
  readonly tracker: ProgressTracker;
  readonly logger: Logger;
  readonly readOnly = new ReadOnly();

  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly maxSizePerMsgBytes: number;
  readonly maxUncommittedSizeBytes: number;
  readonly checkQuorum: boolean;
  readonly preVote: boolean;
  readonly yieldsPreVote: boolean;
  readonly readOnlyOption: ReadOnlyOption;
  readonly disableProposalForwarding: boolean;
  readonly disableConfChangeValidation: boolean;
  readonly stepDownOnRemoval: boolean;
  readonly #random: Random;

  term = 0;
  /** Whom this member voted for in {@link term}. */
  vote: MemberId = NONE;
  state: RaftState = RaftState.Follower;
  lead: MemberId = NONE;
  isLearner = false;

  /** While a leader hands over: to whom. It takes no proposals then. */
  leadTransferee: MemberId = NONE;
  /**
   * No configuration change may be proposed before this index is applied: at most one is under way. On a new leader
   * the end of its log, whatever that holds.
   */
  pendingConfIndex = 0;
  /** The payload that this leader accepted and did not see applied; 0 unless there is a bound on it. */
  uncommittedSizeBytes = 0;
  /**
   * The highest index that a leader says this member has acknowledged, or that its application has applied, although its log ends
   * before. Until its log
   * reaches that far again, the member neither votes nor campaigns: what it forgot may have been committed by its
   * acknowledgement.
   */
  lostIndex = 0;
  /** The term of that entry, if the application knows it: then this member may vote for who has it. 0 if not. */
  lostTerm = 0;

  /** The application does not trust its state: it must not lead. See {@link promotable}. */
  isBarred = false;

  /**
   * While a snapshot waits to be applied, the configuration that goes with what is applied so far: the one in force
   * is the snapshot's already, but the application may still be applying entries from before. Otherwise null.
   */
  configBeforeSnapshot: Config | null = null;

  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** In [electionTicks, 2 * electionTicks); drawn anew with every change of role. */
  randomizedElectionTicks = 0;

  /** Messages to others that may be sent at once. */
  msgs: Message[] = [];
  /** Messages, also to this member itself, that must wait until everything unstable so far is durable. */
  msgsAfterAppend: Message[] = [];
  readStates: ReadState[] = [];
  /** Reads that came before this leader had committed an entry of its term, and so knew what is committed. */
  readonly pendingReadIndexMessages = new RingBuffer<Message>();

  constructor(config: ResolvedConfig) {
    this.id = config.id;
    this.name = config.id.toString(16);
    this.logger = config.logger;
    this.#random = config.random;
    this.electionTicks = config.electionTicks;
    this.heartbeatTicks = config.heartbeatTicks;
    this.maxSizePerMsgBytes = config.maxSizePerMsgBytes;
    this.maxUncommittedSizeBytes = config.maxUncommittedEntriesSizeBytes;
    this.checkQuorum = config.checkQuorum;
    this.preVote = config.preVote;
    this.yieldsPreVote = config.yieldsPreVote;
    this.readOnlyOption = config.readOnlyOption;
    this.disableProposalForwarding = config.disableProposalForwarding;
    this.disableConfChangeValidation = config.disableConfChangeValidation;
    this.stepDownOnRemoval = config.stepDownOnRemoval;
    this.tracker = new ProgressTracker(config.maxInflightMsgs, config.maxInflightBytes);
    this.log = new RaftLog({
      storage: config.storage,
      logger: config.logger,
      maxApplyingSizeBytes: config.maxCommittedSizePerReadyBytes,
    });
    this.#start(config);
  }

  get promotable(): boolean {
    const progress = this.tracker.get(this.id);
    return (
      progress !== undefined &&
      !progress.isLearner &&
      this.log.unstable.snapshot === null &&
      !this.hasLostEntries &&
      !this.isBarred
    );
  }

  /** See {@link lostIndex}. */
  get hasLostEntries(): boolean {
    return this.lostIndex > 0 && this.log.lastIndex() < this.lostIndex;
  }

  /** Whether a log that ends so has what this member has lost, if it has lost anything. */
  hasWhatIsLost(term: Term, index: LogIndex): boolean {
    if (!this.hasLostEntries) return true;
    return this.lostTerm > 0 && (term > this.lostTerm || (term === this.lostTerm && index >= this.lostIndex));
  }

  get pastElectionTimeout(): boolean {
    return this.electionElapsed >= this.randomizedElectionTicks;
  }

  hardState(): HardState {
    const hardState = new HardState();
    hardState.term = this.term;
    hardState.vote = this.vote;
    hardState.commit = this.log.committed;
    return hardState;
  }

  /** Queues a message, with sender and term filled in, for the next Ready. */
  send(message: Message): void {
    if (message.from === NONE) message.from = this.id;
    const { type } = message;
    if (isVoteMessage(type)) {
      // A pre-vote is about a term that is not the sender's yet, so these come with theirs.
      assert(message.term !== 0, () => `term should be set when sending ${messageTypeName(type)}`);
    } else {
      assert(message.term === 0, () => `term should not be set when sending ${messageTypeName(type)}`);
      if (!isTermless(type)) message.term = this.term;
    }
    if (isPromise(type)) {
      // Votes and acknowledgements count on what they rest on being durable (Raft thesis, section 3.8). Rejections
      // too: one may rest on a vote for another, or on entries, that are not durable yet.
      this.msgsAfterAppend.push(message);
      return;
    }
    assert(
      message.to !== this.id,
      () => `message should not be self-addressed when sending ${messageTypeName(type)}`,
    );
    this.msgs.push(message);
  }

  becomeFollower(term: Term, lead: MemberId): void {
    this.#reset(term);
    this.lead = lead;
    this.state = RaftState.Follower;
    this.logger.info(`${this.name} became follower at term ${this.term}`);
  }

  becomeCandidate(): void {
    assert(this.state !== RaftState.Leader, 'invalid transition [leader -> candidate]');
    this.#reset(this.term + 1);
    this.vote = this.id;
    this.state = RaftState.Candidate;
    this.logger.info(`${this.name} became candidate at term ${this.term}`);
  }

  /** Neither term nor vote change: so far this member only asks. */
  becomePreCandidate(): void {
    assert(this.state !== RaftState.Leader, 'invalid transition [leader -> pre-candidate]');
    this.tracker.resetVotes();
    this.lead = NONE;
    this.state = RaftState.PreCandidate;
    this.logger.info(`${this.name} became pre-candidate at term ${this.term}`);
  }

  /** The first part of becoming a leader; `replication.ts` has the rest, the empty entry of the new term. */
  enterLeader(): void {
    assert(this.state !== RaftState.Follower, 'invalid transition [follower -> leader]');
    this.#reset(this.term);
    this.lead = this.id;
    this.state = RaftState.Leader;
    const progress = this.tracker.get(this.id);
    assert(progress !== undefined, 'raft: a leader is a member');
    progress.becomeReplicate();
    progress.recentActive = true;
    // Somewhere in the log may be a configuration change that is not applied. Looking for it could take long, and
    // waiting for the whole log to be applied is safe.
    this.pendingConfIndex = this.log.lastIndex();
  }

  abortLeaderTransfer(): void {
    this.leadTransferee = NONE;
  }

  #start(config: ResolvedConfig): void {
    const { hardState, confState } = config.storage.initialState();
    const lastIndex = this.log.lastIndex();
    this.tracker.switchConfig(restoreConfig(confState), new Set(), lastIndex);
    this.isLearner = this.tracker.get(this.id)?.isLearner ?? false;
    this.logger.info(`${this.name} switched to configuration ${describeConfig(this.tracker.config)}`);
    if (hardState !== null) {
      this.term = hardState.term;
      this.vote = hardState.vote;
      if (hardState.commit > 0 || hardState.term > 0) this.log.loadCommitted(hardState.commit);
    }
    if (config.applied > 0) this.log.appliedTo(config.applied, 0);
    this.lostIndex = config.mustHave.index;
    this.lostTerm = config.mustHave.term;
    this.becomeFollower(this.term, NONE);
    const peers = this.tracker.config.voters.ids().ids.map((id) => id.toString(16));
    this.logger.info(
      `newRaft ${this.name} [peers: [${peers.join(',')}], term: ${this.term}, commit: ${this.log.committed}, ` +
        `applied: ${this.log.applied}, lastindex: ${lastIndex}, lastterm: ${this.log.lastTerm()}]`,
    );
  }

  /** What every change of role begins with. */
  #reset(term: Term): void {
    assert(term >= this.term, 'raft: the term never falls');
    if (this.term !== term) {
      this.term = term;
      this.vote = NONE;
    }
    this.lead = NONE;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.randomizedElectionTicks = this.electionTicks + this.#random.below(this.electionTicks);
    this.abortLeaderTransfer();
    this.tracker.resetVotes();
    const lastIndex = this.log.lastIndex();
    for (const progress of this.tracker.all) {
      progress.reset(progress.id === this.id ? lastIndex : 0, lastIndex + 1);
    }
    this.pendingConfIndex = 0;
    this.uncommittedSizeBytes = 0;
    this.readOnly.reset();
    this.pendingReadIndexMessages.clear();
  }
}
