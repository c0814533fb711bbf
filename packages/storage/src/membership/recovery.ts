/**
 * Who belongs to the cluster when a member starts, or gets the database of another. The log is what was agreed on: the raft snapshot at
 * which it begins, and the configuration changes behind it. A database may say something else: one that `etcdctl snapshot restore` of 3.4
 * has made still lists the members of the cluster that it was taken from, and etcd 3.5.1 to 3.5.20 could leave a promoted
 * member a learner there. So the members come from the log, and the database is mended; it adds what no configuration
 * change tells: names and client URLs, the cluster's version.
 */
import type { ClusterId, MemberId } from '@etcd/api';
import type { ConfChange, ConfState, Entry } from '@etcd/api/raftpb';
import { assert, equalBytes, utf8ToBytes } from '@etcd/base';
import { decodeConfChangeEntry } from '@etcd/raft';
import { compareIds, formatId, type Member, memberJson, newMember } from './member.ts';
import { Membership } from './membership.ts';
import {
  type BucketWriter,
  deleteMember,
  type MembershipState,
  putMember,
  putRemovedMember,
} from './membership-buckets.ts';
import { decodeV2Store } from './v2-store.ts';

/** Nobody, and nothing decided: what a log says that begins with its first entry. */
export const EMPTY_MEMBERSHIP: MembershipState = {
  members: [],
  removedIds: [],
  version: null,
  downgrade: { enabled: false, targetVersion: '' },
};

/**
 * The members that a raft snapshot tells of; null if it tells of none. Its configuration says who they are, its data (the v2 store) where
 * they are. `database` helps out where the data is missing.
 */
export function membershipOfSnapshot(
  data: Uint8Array,
  confState: ConfState | null,
  database: MembershipState,
): MembershipState | null {
  const stored = data.length > 0 ? decodeV2Store(data).state : null;
  const voters = confState?.voters ?? [];
  const learners = confState?.learners ?? [];
  if (voters.length === 0 && learners.length === 0) return stored;
  const known = new Map(
    [...database.members, ...(stored?.members ?? [])].map((member) => [member.id, member]),
  );
  const memberOf = (id: MemberId, isLearner: boolean): Member => ({
    ...(known.get(id) ?? newMember(id, { peerUrls: [], isLearner })),
    isLearner,
  });
  const members = [
    ...voters.map((id) => memberOf(id, false)),
    ...learners.map((id) => memberOf(id, true)),
  ].sort((a, b) => compareIds(a.id, b.id));
  const ids = new Set(members.map(({ id }) => id));
  // Without its data, a snapshot does not tell who had been removed by then: the database does, and of later removals too.
  const removedIds = (stored ?? database).removedIds.filter((id) => !ids.has(id));
  return { ...(stored ?? EMPTY_MEMBERSHIP), members, removedIds };
}

export interface LoggedMembership {
  readonly clusterId: ClusterId;
  readonly maxLearners: number;
  /** What the snapshot says at which the log begins. */
  readonly base: MembershipState;
  /** Behind it, up to the one that the database has applied last. */
  readonly entries: Iterable<Entry>;
  readonly database: MembershipState;
}

/** The membership after the last of the entries. Throws `MembershipError` for a change that no etcd proposes. */
export function recoverMembership(logged: LoggedMembership): MembershipState {
  const { clusterId, maxLearners, base, entries, database } = logged;
  const membership = new Membership({ clusterId, state: base, maxLearners });
  for (const entry of entries) {
    const change = decodeConfChangeEntry(entry) as ConfChange | null;
    if (change === null || membership.validateConfChange(change) !== null) continue;
    membership.applyConfChange(change, NOWHERE);
  }
  const described = new Map(database.members.map((member) => [member.id, member]));
  const members = membership.members().map((member) => describedMember(member, described.get(member.id)));
  const ids = new Set(members.map(({ id }) => id));
  assert(ids.size === members.length, 'membership: two members of one id');
  const removedIds = new Set([...membership.state().removedIds, ...database.removedIds]);
  return {
    members,
    removedIds: [...removedIds].filter((id) => !ids.has(id)).sort(compareIds),
    version: database.version ?? base.version,
    downgrade: database.downgrade,
  };
}

/** Names and client URLs are told by requests, of which the database knows more than a snapshot. */
function describedMember(member: Member, described: Member | undefined): Member {
  if (described === undefined || (described.name === '' && described.clientUrls.length === 0)) return member;
  return { ...member, name: described.name, clientUrls: described.clientUrls };
}

/** Makes the buckets that say `database` say `state`. Returns what was wrong, a sentence each. */
export function mendMembers(
  database: MembershipState,
  state: MembershipState,
  writer: BucketWriter,
): string[] {
  const findings: string[] = [];
  const found = new Map(database.members.map((member) => [member.id, utf8ToBytes(memberJson(member))]));
  for (const member of state.members) {
    const json = found.get(member.id);
    found.delete(member.id);
    if (json !== undefined && equalBytes(json, utf8ToBytes(memberJson(member)))) continue;
    findings.push(`${json === undefined ? 'lacked' : 'changed'} member ${memberJson(member)}`);
    putMember(writer, member);
  }
  for (const id of found.keys()) {
    findings.push(`listed ${formatId(id)}, which is no member`);
    deleteMember(writer, id);
  }
  const removed = new Set(database.removedIds);
  for (const id of state.removedIds) {
    if (removed.has(id)) continue;
    findings.push(`did not list ${formatId(id)} as removed`);
    putRemovedMember(writer, id);
  }
  return findings;
}

const NOWHERE: BucketWriter = { put: () => {}, delete: () => {} };
