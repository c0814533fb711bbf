/**
 * Who leads, as this member knows: how it comes to lead without waiting where nobody else could, and how it hands the leadership
 * over when it stops, is asked to, or would slow the others down.
 */

import { INTERNAL_ERRORS, type InternalError, type LogIndex, type MemberId } from '@etcd/api';
import { assert, type Logger } from '@etcd/base';
import { RaftState } from '@etcd/raft';
import { formatId } from '@etcd/storage/membership';
import { electionTicks, requestTimeoutMs } from '../config/index.ts';
import type { ClusterLink } from './cluster-link.ts';
import { LeaderTransfer, type TransferDone } from './leader-transfer.ts';
import type { MemberEnvironment } from './member-environment.ts';
import { SlowDisk } from './slow-disk.ts';

export interface LeadershipOptions
  extends Pick<
    MemberEnvironment,
    'clock' | 'config' | 'logger' | 'memberId' | 'membership' | 'node' | 'random'
  > {
  readonly link: ClusterLink;
  /** For the lines of raft itself. */
  readonly raftLogger: Logger;
  /** Asks for a turn of the raft loop. */
  readonly wake: () => void;
  /** Has raft's clock tick so many times at once. */
  readonly fastForward: (ticks: number) => void;
}

/** How long after its start a member that meets another one may make its first election come early. */
const FAST_FORWARD_MS = 5000;
/** Members that notice the end of their leader campaign after this long, and up to so much longer: rarely two at a time. */
const SUCCESSION_MS = 10;
const SUCCESSION_SPREAD_MS = 150;
/**
 * So often a split vote is followed by a campaign at once. Each one makes the others wait anew, so whoever can't win for another reason
 * (its log is behind, a voter is missing) must leave the next try to those whose own time comes.
 */
const MAX_REPEATS = 2;
/** Who has led for less than this, in election timeouts, does not hand over because of a slow disk: so the cluster has a rest. */
const SLOW_DISK_PAUSE = 10;

const { ErrBadLeaderTransferee, ErrNotLeader, ErrTimeout, ErrTimeoutDueToLeaderFail } =
  INTERNAL_ERRORS.errors;

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #transfer: LeaderTransfer;
  readonly #slowDisk: SlowDisk;
  readonly #startMs: number;
  /** Nobody has led since this process started. */
  #mayCampaign: boolean;
  #mayFastForward: boolean;
  #lead = 0n;
  /** The last term in which the vote was seen to be split. */
  #splitTerm = 0;
  /** Campaigns that followed a split vote at once since there was a leader. */
  #repeatCount = 0;
  /** When the leader that is known now was first heard of. */
  #leaderSinceMs = Number.NEGATIVE_INFINITY;

  constructor(options: LeadershipOptions) {
    const { config, clock, logger, memberId, node, wake } = options;
    this.#options = options;
    this.#slowDisk = new SlowDisk(config.electionTimeoutMs / 2);
    this.#startMs = clock.now();
    this.#mayCampaign = config.initialElectionTickAdvance;
    this.#mayFastForward = config.initialElectionTickAdvance;
    this.#transfer = new LeaderTransfer({
      memberId,
      clock,
      logger,
      requestTimeoutMs: requestTimeoutMs(config),
      transfer: (transferee) => {
        node.transferLeader(transferee);
        wake();
      },
    });
  }

  /** The leader's id, 0n while there is none. */
  get lead(): MemberId {
    return this.#lead;
  }

  get isLeader(): boolean {
    return this.#lead === this.#options.memberId;
  }

  /** Raft says who leads; whether that is somebody new. */
  onLeader(lead: MemberId): boolean {
    if (lead === this.#lead) return false;
    this.#log(lead);
    this.#lead = lead;
    if (lead === 0n) return false;
    this.#repeatCount = 0;
    this.#leaderSinceMs = this.#options.clock.now();
    this.#transfer.onLeader(lead);
    return true;
  }

  /**
   * A member alone in its cluster need not wait until an election is due: there is nobody who could lead in its place. It
   * campaigns as soon as it has applied what it knows to be committed.
   */
  campaignIfAlone(): void {
    if (!this.#mayCampaign) return;
    const { node, membership, memberId, logger, wake } = this.#options;
    if (node.lead !== 0n || node.applied < node.committed) return;
    const voters = membership.votingMembers();
    if (voters.length === 0) return;
    this.#mayCampaign = false;
    if (voters.length > 1 || voters[0]!.id !== memberId) return;
    logger.info('started as single-node; campaigning at once');
    node.campaign();
    wake();
  }

  /** Lets the first election come early once another member is there: nobody who leads would have stayed silent. */
  fastForward(): void {
    if (!this.#mayFastForward) return;
    const { config, clock, link, logger, fastForward } = this.#options;
    const isOver = this.#lead !== 0n || clock.now() - this.#startMs > FAST_FORWARD_MS;
    if (!isOver && !link.hasActivePeer) return;
    this.#mayFastForward = false;
    if (isOver) return;
    const ticks = electionTicks(config) - 2;
    logger.info('initialized peer connections; fast-forwarding election ticks', { 'forward-ticks': ticks });
    fastForward(ticks);
  }

  /**
   * The process of member `id` has ended. If it led, nobody has to wait until its silence tells: this member votes for another at once,
   * and soon campaigns. Should that leader live after all, the others, who hear of it, refuse the pre-vote, and nothing has happened.
   */
  onPeerGone(id: MemberId): void {
    const { node, clock, random, config, link, logger, wake } = this.#options;
    if (id !== this.#lead || this.isLeader) return;
    logger.info('the process of the leader has ended', { 'leader-member-id': formatId(id) });
    node.forgetLeader();
    wake();
    // Without a pre-vote to a campaign a leader that only we can't reach would be deposed.
    if (!config.preVote || this.#isLearner) return;
    clock.setTimer(SUCCESSION_MS + random.below(SUCCESSION_SPREAD_MS), () => {
      // What that process had sent may have come after word of its end.
      if (node.lead === id && !link.isActive(id)) node.forgetLeader();
      if (node.lead !== 0n) return;
      node.campaign();
      wake();
    });
  }

  /**
   * To be called at every tick. An election that nobody can win any more, since two have asked for votes at once, is over for those who know:
   * to wait for an election timeout, or two, would only keep everybody waiting.
   */
  onTick(): void {
    this.fastForward();
    const { node, clock, link, random, logger, wake } = this.#options;
    const { term } = node;
    if (node.raftState !== RaftState.Candidate || term === this.#splitTerm) return;
    if (this.#repeatCount >= MAX_REPEATS) return;
    if (node.unansweredVoters().some((id) => link.isActive(id))) return;
    this.#splitTerm = term;
    clock.setTimer(random.below(SUCCESSION_SPREAD_MS), () => {
      if (node.raftState !== RaftState.Candidate || node.term !== term) return;
      logger.info('the vote was split: campaigning again', { term });
      this.#repeatCount++;
      node.campaign();
      wake();
    });
  }

  get #isLearner(): boolean {
    const { membership, memberId } = this.#options;
    return membership.member(memberId)?.isLearner ?? true;
  }

  /** Hands over to a voter of choice, and tells when it leads. */
  moveTo(transferee: MemberId, done: TransferDone): void {
    if (!this.isLeader) return done(ErrNotLeader);
    const member = this.#options.membership.member(transferee);
    if (member === null || member.isLearner) return done(ErrBadLeaderTransferee);
    if (transferee === this.#options.memberId) return done(null);
    this.#transfer.start(transferee, done);
  }

  /** If this member leads, lets another one lead, the one that has been connected longest; calls `done` in any case. */
  handOver(done: () => void): void {
    const { link, membership, memberId } = this.#options;
    // The others have closed their doors to it: to wait for a successor would be to wait for nobody.
    if (membership.isRemoved(memberId)) return done();
    const voters = membership.votingMembers().map(({ id }) => id);
    const successor = this.isLeader ? link.longestConnected(voters) : null;
    if (successor === null) return done();
    this.#transferTo(successor, done);
  }

  #transferTo(successor: MemberId, done: () => void): void {
    const { logger, membership } = this.#options;
    assert(
      membership.member(successor)?.isLearner === false,
      'leadership: handed over to one that may not lead',
    );
    this.#transfer.start(successor, (error) => {
      if (error !== null) logger.warn('leadership transfer failed', { error: error.message });
      done();
    });
  }

  /** Leads no more and never again. */
  stepAside(): void {
    this.#options.node.bar();
    this.handOver(() => {});
  }

  /** A leader whose disk has become slow slows down everybody: one that has shown that it can do better takes over. */
  onSaved(waitedMs: number, index: LogIndex): void {
    if (!this.isLeader) return this.#slowDisk.reset();
    const { config, clock, link, logger } = this.#options;
    const successor = link.longestConnected(
      this.#slowDisk.onSaved(waitedMs, () => this.#votersThatHave(index)),
    );
    if (successor === null) return;
    if (clock.now() - this.#leaderSinceMs < SLOW_DISK_PAUSE * config.electionTimeoutMs) return;
    this.#slowDisk.reset();
    logger.warn('slow disk: handing the leadership over', { 'save-took': `${Math.round(waitedMs)}ms` });
    this.#transferTo(successor, () => {});
  }

  /** The other voters who have acknowledged entry `index`: raft and the membership may disagree on who votes. */
  #votersThatHave(index: LogIndex): MemberId[] {
    const { node, membership, memberId } = this.#options;
    const { progress } = node.status();
    return membership.votingMembers().flatMap(({ id }) => {
      const known = progress.get(id);
      return id !== memberId && known?.isLearner === false && known.match >= index ? [id] : [];
    });
  }

  /** Why a request that began then got no answer in time. */
  timeoutError(startMs: number): InternalError {
    const lostMs = this.#leaderSinceMs - 2 * this.#options.config.electionTimeoutMs;
    return startMs > lostMs && startMs < this.#leaderSinceMs ? ErrTimeoutDueToLeaderFail : ErrTimeout;
  }

  /** In the words of etcd's raft node, which tools wait for. */
  #log(lead: MemberId): void {
    const { node, memberId, raftLogger } = this.#options;
    const before = this.#lead.toString(16);
    const now = lead.toString(16);
    const what =
      lead === 0n
        ? `lost leader ${before}`
        : this.#lead === 0n
          ? `elected leader ${now}`
          : `changed leader from ${before} to ${now}`;
    raftLogger.info(`raft.node: ${formatId(memberId)} ${what} at term ${node.term}`);
  }
}
