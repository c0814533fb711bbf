/**
 * Decisions while the membership changes: both the incoming and the outgoing majority have to agree (Raft thesis,
 * section 4.3). Outside a change the outgoing half is empty, which agrees to everything.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { type AckedIndexer, MajorityConfig, VoteResult } from './majority.ts';

export class JointConfig {
  readonly incoming: MajorityConfig;
  readonly outgoing: MajorityConfig;

  constructor(incoming: MajorityConfig, outgoing: MajorityConfig = MajorityConfig.EMPTY) {
    this.incoming = incoming;
    this.outgoing = outgoing;
  }

  /** Whether a change is under way. */
  get isJoint(): boolean {
    return this.outgoing.size > 0;
  }

  /** The voters of either half. */
  ids(): MajorityConfig {
    return MajorityConfig.of([...this.incoming.ids, ...this.outgoing.ids]);
  }

  has(id: MemberId): boolean {
    return this.incoming.has(id) || this.outgoing.has(id);
  }

  /** The highest index that both majorities have acknowledged; Infinity without voters. */
  committedIndex(acked: AckedIndexer): LogIndex {
    return Math.min(this.incoming.committedIndex(acked), this.outgoing.committedIndex(acked));
  }

  voteResult(votes: ReadonlyMap<MemberId, boolean>): VoteResult {
    const incoming = this.incoming.voteResult(votes);
    const outgoing = this.outgoing.voteResult(votes);
    if (incoming === outgoing) return incoming;
    if (incoming === VoteResult.lost || outgoing === VoteResult.lost) return VoteResult.lost;
    return VoteResult.pending;
  }

  describe(acked: AckedIndexer): string {
    return this.ids().describe(acked);
  }

  toString(): string {
    return this.isJoint ? `${this.incoming}&&${this.outgoing}` : this.incoming.toString();
  }
}
