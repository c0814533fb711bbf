/**
 * Decisions by simple majority. A {@link MajorityConfig} is an immutable set of voters; given what each of them has
 * acknowledged it computes what is committed, given their votes it computes who won. The empty set agrees to
 * everything: so one half of a joint configuration can be empty without being a special case.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { assert } from '@etcd/base';

/** What an {@link AckedIndexer} says about a voter that it knows nothing of. */
export const UNACKED = -1;

export interface AckedIndexer {
  /** The log index up to which the voter has acknowledged, or {@link UNACKED}. */
  ackedIndex(voterId: MemberId): number;
}

/** The outcome of a vote so far. The values are the names that logs and scripts show. */
export const VoteResult = {
  /** Neither side has a majority yet. */
  pending: 'VotePending',
  /** A majority of yes can no longer be reached. */
  lost: 'VoteLost',
  /** A majority has voted yes. */
  won: 'VoteWon',
} as const;
export type VoteResult = (typeof VoteResult)[keyof typeof VoteResult];

export class MajorityConfig {
  static readonly EMPTY: MajorityConfig = new MajorityConfig([]);

  /** Ascending, without repetition. */
  readonly ids: readonly MemberId[];

  private constructor(ids: readonly MemberId[]) {
    this.ids = ids;
  }

  static of(ids: Iterable<MemberId>): MajorityConfig {
    const distinct = [...new Set(ids)];
    return distinct.length === 0 ? MajorityConfig.EMPTY : new MajorityConfig(distinct.sort(compareIds));
  }

  get size(): number {
    return this.ids.length;
  }

  has(id: MemberId): boolean {
    return this.ids.includes(id);
  }

  with(id: MemberId): MajorityConfig {
    return this.has(id) ? this : MajorityConfig.of([...this.ids, id]);
  }

  without(id: MemberId): MajorityConfig {
    return this.has(id) ? MajorityConfig.of(this.ids.filter((other) => other !== id)) : this;
  }

  /** The highest index that a majority has acknowledged; Infinity when there are no voters. */
  committedIndex(acked: AckedIndexer): LogIndex {
    const count = this.ids.length;
    const indexes = scratchIndexes(count);
    for (let i = 0; i < count; i++) {
      const index = acked.ackedIndex(this.ids[i]!);
      indexes[i] = index === UNACKED ? 0 : index;
    }
    return quorumIndex(indexes, count);
  }

  voteResult(votes: ReadonlyMap<MemberId, boolean>): VoteResult {
    const count = this.ids.length;
    if (count === 0) return VoteResult.won;
    let granted = 0;
    let missing = 0;
    for (const id of this.ids) {
      const vote = votes.get(id);
      if (vote === undefined) missing++;
      else if (vote) granted++;
    }
    const quorum = quorumSize(count);
    if (granted >= quorum) return VoteResult.won;
    return granted + missing >= quorum ? VoteResult.pending : VoteResult.lost;
  }

  /**
   * One line per voter with a bar whose length is the voter's rank: how many voters are strictly behind it. For
   * scripts and debugging.
   */
  describe(acked: AckedIndexer): string {
    const count = this.ids.length;
    if (count === 0) return '<empty majority quorum>';
    const indexes = this.ids.map((id) => Math.max(0, acked.ackedIndex(id)));
    let text = `${' '.repeat(count)}    idx\n`;
    for (const [i, id] of this.ids.entries()) {
      const behind = indexes.filter((other) => other < indexes[i]!).length;
      const bar =
        acked.ackedIndex(id) === UNACKED
          ? `?${' '.repeat(count)}`
          : `${'x'.repeat(behind)}>${' '.repeat(count - behind)}`;
      text += `${bar} ${String(indexes[i]).padStart(5)}    (id=${id.toString(16)})\n`;
    }
    return text;
  }

  toString(): string {
    return `(${this.ids.map((id) => id.toString(16)).join(' ')})`;
  }
}

/** How many of `count` voters are a majority. */
export function quorumSize(count: number): number {
  return Math.floor(count / 2) + 1;
}

/**
 * The highest value that a majority of `indexes[0, count)` reaches; Infinity when `count` is 0. Reorders the array.
 * Hot: runs on every acknowledgement that a leader receives.
 */
export function quorumIndex(indexes: Float64Array, count: number): number {
  assert(count <= indexes.length, 'quorum: more voters than indexes');
  if (count === 0) return Infinity;
  // Insertion sort: a handful of values, nearly always in order already.
  for (let i = 1; i < count; i++) {
    const value = indexes[i]!;
    let j = i;
    for (; j > 0 && indexes[j - 1]! > value; j--) indexes[j] = indexes[j - 1]!;
    indexes[j] = value;
  }
  return indexes[count - quorumSize(count)]!;
}

let scratch = new Float64Array(8);

/** Room for `count` indexes, valid until the next call. */
export function scratchIndexes(count: number): Float64Array {
  if (scratch.length < count) scratch = new Float64Array(count * 2);
  return scratch;
}

/** An index as scripts show it: what the empty quorum commits is infinite. */
export function formatIndex(index: LogIndex): string {
  return index === Infinity ? '∞' : String(index);
}

export function compareIds(a: MemberId, b: MemberId): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
