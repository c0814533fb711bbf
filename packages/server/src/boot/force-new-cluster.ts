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
  const { hardState, snapshotIndex, memberId } = lost;
  const members = new Map(lost.members.map(({ id, isLearner }) => [id, isLearner]));
  const kept = keptEntries(lost, members);
  const others = [...members.keys()].filter((id) => id !== memberId);
  // Itself first: raft can't be without a voter in between.
  const changes = [...ownChanges(lost, members), ...others.map((id) => removeMemberChange(id))];
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

/** Who belongs to the cluster, and whether only as a learner. */
type Places = Map<MemberId, boolean>;

/**
 * The committed entries. What a lone voter has in its log is committed, and may have been acknowledged, whether it has come to write
 * that down or not. `members`, those of the database, become those of the last entry.
 */
function keptEntries(
  { hardState, entries, consistentIndex, memberId }: LogOfLostCluster,
  members: Places,
): Entry[] {
  const committed = Math.max(hardState.commit, consistentIndex);
  const kept: Entry[] = [];
  for (const entry of entries) {
    if (entry.index > committed && !isOnlyVoter(members, memberId)) break;
    kept.push(entry);
    if (entry.index > consistentIndex) follow(entry, members);
  }
  return kept;
}

function isOnlyVoter(members: Places, memberId: MemberId): boolean {
  if (members.get(memberId) !== false) return false;
  for (const [id, isLearner] of members) if (id !== memberId && !isLearner) return false;
  return true;
}

function follow(entry: Entry, members: Places): void {
  const change = entry.type === EntryType.EntryNormal ? null : decodeConfChangeEntry(entry);
  if (change === null) return;
  for (const { type, nodeId } of toConfChangeV2(change).changes) {
    if (nodeId === 0n) continue;
    if (type === ConfChangeType.ConfChangeRemoveNode) members.delete(nodeId);
    else if (type === ConfChangeType.ConfChangeAddLearnerNode) members.set(nodeId, true);
    else if (type === ConfChangeType.ConfChangeAddNode) members.set(nodeId, false);
  }
}

/** What makes the member a voter, if it is none. */
function ownChanges({ memberId, peerUrls }: LogOfLostCluster, members: Places): ConfChange[] {
  const isLearner = members.get(memberId);
  if (isLearner === undefined) return [addMemberChange(newMember(memberId, { peerUrls, isLearner: false }))];
  return isLearner ? [promoteMemberChange(memberId)] : [];
}
