/**
 * A member's view of itself and, on a leader, of the others.
 */
import type { LogIndex, MemberId, Term } from '@etcd/api';
import type { Raft } from './raft.ts';
import { RaftState, raftStateName } from './raft-state.ts';
import type { Config } from './tracker/config.ts';
import { type Progress, progressStateName } from './tracker/progress.ts';

export interface BasicStatus {
  readonly id: MemberId;
  readonly term: Term;
  readonly vote: MemberId;
  readonly commit: LogIndex;
  readonly lead: MemberId;
  readonly raftState: RaftState;
  readonly applied: LogIndex;
  /** To whom a leader hands over; 0n if it does not. */
  readonly leadTransferee: MemberId;
}

export interface Status extends BasicStatus {
  readonly config: Config;
  /** Copies, by ascending id; empty unless this member leads. */
  readonly progress: ReadonlyMap<MemberId, Progress>;
}

export function basicStatusOf(raft: Raft): BasicStatus {
  return {
    id: raft.id,
    term: raft.term,
    vote: raft.vote,
    commit: raft.log.committed,
    lead: raft.lead,
    raftState: raft.state,
    applied: raft.log.applied,
    leadTransferee: raft.leadTransferee,
  };
}

export function statusOf(raft: Raft): Status {
  const progress = new Map<MemberId, Progress>();
  if (raft.state === RaftState.Leader) {
    for (const member of raft.tracker.all) progress.set(member.id, member.clone());
  }
  return { ...basicStatusOf(raft), config: raft.tracker.config, progress };
}

/** The status as JSON text, with the ids in hexadecimal. */
export function formatStatus(status: Status): string {
  const hex = (id: MemberId): string => id.toString(16);
  const progress = [...status.progress].map(
    ([id, { match, next, state }]) =>
      `"${hex(id)}":{"match":${match},"next":${next},"state":"${progressStateName(state)}"}`,
  );
  return (
    `{"id":"${hex(status.id)}","term":${status.term},"vote":"${hex(status.vote)}","commit":${status.commit},` +
    `"lead":"${hex(status.lead)}","raftState":"${raftStateName(status.raftState)}","applied":${status.applied},` +
    `"progress":{${progress.join(',')}},"leadtransferee":"${hex(status.leadTransferee)}"}`
  );
}
