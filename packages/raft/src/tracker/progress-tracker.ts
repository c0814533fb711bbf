/**
 * The configuration in force together with a {@link Progress} for each of its members, and the votes of the election
 * that is under way.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { assert } from '@etcd/base';
import { type AckedIndexer, quorumIndex, scratchIndexes, UNACKED, VoteResult } from '../quorum/majority.ts';
import { type Config, checkConfig, EMPTY_CONFIG, isMember, memberIds } from './config.ts';
import { Inflights } from './inflights.ts';
import { Progress } from './progress.ts';

export interface Tally {
  readonly granted: number;
  readonly rejected: number;
  readonly result: VoteResult;
}

export class ProgressTracker implements AckedIndexer {
  readonly #maxInflightMsgs: number;
  readonly #maxInflightBytes: number;
  readonly #byId = new Map<MemberId, Progress>();
  readonly #votes = new Map<MemberId, boolean>();
  #config: Config = EMPTY_CONFIG;
  // The same progresses by role, so that the commit index is found without a look-up per voter.
  #all: readonly Progress[] = [];
  #incoming: readonly Progress[] = [];
  #outgoing: readonly Progress[] = [];

  constructor(maxInflightMsgs: number, maxInflightBytes: number) {
    this.#maxInflightMsgs = maxInflightMsgs;
    this.#maxInflightBytes = maxInflightBytes;
  }

  get config(): Config {
    return this.#config;
  }

  /** Every tracked progress, by ascending id. */
  get all(): readonly Progress[] {
    return this.#all;
  }

  get(id: MemberId): Progress | undefined {
    return this.#byId.get(id);
  }

  /**
   * Puts `config` in force. Members that stay keep their progress; those of `added` and those that had none begin
   * to be probed at `lastIndex`: an optimistic guess, but the first rejection corrects it. They count as active
   * at first, so that a check of the quorum does not depose the leader before they could answer.
   */
  switchConfig(config: Config, added: ReadonlySet<MemberId>, lastIndex: LogIndex): void {
    const complaint = checkConfig(config);
    assert(complaint === null, () => `tracker: invalid configuration: ${complaint}`);
    for (const id of this.#byId.keys()) if (!isMember(config, id)) this.#byId.delete(id);
    this.#all = memberIds(config).map((id) => this.#join(id, config, added, lastIndex));
    this.#config = config;
    this.#incoming = config.voters.incoming.ids.map((id) => this.#byId.get(id)!);
    this.#outgoing = config.voters.outgoing.ids.map((id) => this.#byId.get(id)!);
  }

  /** Forgets configuration, progresses and votes: a snapshot brings everything anew. */
  clear(): void {
    this.#byId.clear();
    this.#votes.clear();
    this.switchConfig(EMPTY_CONFIG, new Set(), 0);
  }

  /** Whether one voter decides alone. */
  get isSingleton(): boolean {
    return this.#incoming.length === 1 && this.#outgoing.length === 0;
  }

  /** The highest index that the voters have acknowledged as a quorum; Infinity without voters. */
  committed(): LogIndex {
    if (this.isSingleton) return this.#incoming[0]!.match;
    return Math.min(committedBy(this.#incoming), committedBy(this.#outgoing));
  }

  ackedIndex(voterId: MemberId): number {
    return this.#byId.get(voterId)?.match ?? UNACKED;
  }

  /** Whether a quorum was heard of since the last check. */
  quorumActive(): boolean {
    const votes = new Map<MemberId, boolean>();
    for (const progress of this.#all) {
      if (!progress.isLearner) votes.set(progress.id, progress.recentActive);
    }
    return this.#config.voters.voteResult(votes) === VoteResult.won;
  }

  resetVotes(): void {
    this.#votes.clear();
  }

  /** Records a vote; the first of each member counts. */
  recordVote(id: MemberId, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  hasVoteOf(id: MemberId): boolean {
    return this.#votes.has(id);
  }

  /** The outcome so far. Votes of those who no longer belong to the configuration don't show. */
  tallyVotes(): Tally {
    let granted = 0;
    let rejected = 0;
    for (const progress of this.#all) {
      if (progress.isLearner) continue;
      const vote = this.#votes.get(progress.id);
      if (vote === undefined) continue;
      if (vote) granted++;
      else rejected++;
    }
    return { granted, rejected, result: this.#config.voters.voteResult(this.#votes) };
  }

  #join(id: MemberId, config: Config, added: ReadonlySet<MemberId>, lastIndex: LogIndex): Progress {
    const isLearner = config.learners.has(id);
    const known = this.#byId.get(id);
    if (known !== undefined && !added.has(id)) {
      known.isLearner = isLearner;
      return known;
    }
    const inflights = new Inflights(this.#maxInflightMsgs, this.#maxInflightBytes);
    const progress = new Progress({ id, next: Math.max(lastIndex, 1), isLearner, inflights });
    progress.recentActive = true;
    this.#byId.set(id, progress);
    return progress;
  }
}

function committedBy(voters: readonly Progress[]): number {
  const count = voters.length;
  const indexes = scratchIndexes(count);
  for (let i = 0; i < count; i++) indexes[i] = voters[i]!.match;
  return quorumIndex(indexes, count);
}
