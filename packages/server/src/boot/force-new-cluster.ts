/**
 * `--force-new-cluster`: a member of a cluster that is lost goes on alone, with the data that it has. Committed entries are kept;
 * behind them come configuration changes that remove everybody else, as if they had been agreed on.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { type ConfChange, ConfChangeType, type Entry, EntryType, HardState } from '@etcd/api/raftpb';
import { confChangeEntry, decodeConfChangeEntry, toConfChangeV2 } from '@etcd/raft';
import {
  addMemberChange,
  type Member,
  newMember,
  promoteMemberChange,
  removeMemberChange,
} from '@etcd/storage/membership';

export interface LogOfLostCluster {
  readonly hardState: HardState;
  /** What the log has behind its last snapshot. */
  readonly entries: readonly Entry[];
  /** Position of that snapshot, for a log without entries. */
  readonly snapshotIndex: LogIndex;
  /** What the database has applied, and who was a member then. */
  readonly consistentIndex: number;
  readonly members: readonly Member[];
  readonly memberId: MemberId;
  readonly peerUrls: readonly string[];
}

export interface LogOfNewCluster {
  /** Commits all of {@link entries}. */
  readonly hardState: HardState;
  /** Committed before. */
  readonly kept: readonly Entry[];
  /** To be put behind them. */
  readonly added: readonly Entry[];
}

export function logOfNewCluster(lost: LogOfLostCluster): LogOfNewCluster {
  const { hardState, entries, snapshotIndex, consistentIndex, memberId } = lost;
  const committed = Math.max(hardState.commit, consistentIndex);
  const kept = entries.filter((entry) => entry.index <= committed);
  const ids = memberIdsAfter(lost, kept);
  const others = [...ids].filter((id) => id !== memberId);
  // Itself first: raft can't be without a voter in between.
  const changes = [...ownChanges(lost, ids), ...others.map((id) => removeMemberChange(id))];
  let index = kept.at(-1)?.index ?? Math.max(snapshotIndex, 0);
  const added = changes.map((change) => {
    const entry = confChangeEntry(change);
    entry.term = hardState.term;
    entry.index = ++index;
    return entry;
  });
  return {
    hardState: new HardState({ term: hardState.term, vote: hardState.vote, commit: index }),
    kept,
    added,
  };
}

/** What makes the member a voter, if it is none. */
function ownChanges(
  { members, memberId, peerUrls }: LogOfLostCluster,
  ids: ReadonlySet<MemberId>,
): ConfChange[] {
  if (!ids.has(memberId)) return [addMemberChange(newMember(memberId, { peerUrls, isLearner: false }))];
  const self = members.find(({ id }) => id === memberId);
  return self?.isLearner === true ? [promoteMemberChange(memberId)] : [];
}

/** Members as of the last committed entry: those of the database, and what has changed since. */
function memberIdsAfter(
  { members, consistentIndex }: LogOfLostCluster,
  kept: readonly Entry[],
): Set<MemberId> {
  const ids = new Set(members.map(({ id }) => id));
  for (const entry of kept) {
    if (entry.index <= consistentIndex || entry.type === EntryType.EntryNormal) continue;
    const change = decodeConfChangeEntry(entry);
    if (change === null) continue;
    for (const { type, nodeId } of toConfChangeV2(change).changes) {
      if (nodeId === 0n) continue;
      if (type === ConfChangeType.ConfChangeRemoveNode) ids.delete(nodeId);
      else ids.add(nodeId);
    }
  }
  return ids;
}
