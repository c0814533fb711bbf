/**
 * The membership that a cluster is founded with, or that one is joined by: made from `--initial-cluster`, which whoever
 * reads the flags has taken apart.
 */
import type { ClusterId, MemberId } from '@etcd/api';
import { assert, utf8ToBytes } from '@etcd/base';
import { NO_DOWNGRADE } from './cluster-version.ts';
import { computeClusterId, computeMemberId, formatId, type Member, memberJson, newMember } from './member.ts';
import { Membership } from './membership.ts';
import { MembershipError } from './membership-error.ts';

/** Canonical peer URLs by member name. */
export type PeerUrlsByName = ReadonlyMap<string, readonly string[]>;

/** A member as raft's bootstrap takes it: one committed configuration change each. */
export interface BootstrapPeer {
  readonly id: MemberId;
  readonly context: Uint8Array;
}

/**
 * The cluster that these members found. Equal flags give equal identities on every member. Throws
 * {@link MembershipError} for members that can't be told apart.
 */
export function newCluster(token: string, peerUrls: PeerUrlsByName, maxLearners?: number): Membership {
  const members = new Map<MemberId, Member>();
  for (const [name, urls] of peerUrls) {
    const sorted = [...urls].sort();
    const id = computeMemberId(sorted, token);
    const member = newMember(id, { peerUrls: sorted, isLearner: false }, name);
    if (members.has(id)) {
      throw new MembershipError('duplicate-id', `member exists with identical ID ${formatId(id)} (${name})`);
    }
    if (id === 0n) throw new MembershipError('zero-id', 'cannot use 0 as member id');
    members.set(id, member);
  }
  return membershipOf(computeClusterId([...members.keys()]), [...members.values()], maxLearners);
}

/**
 * The membership with which a configured member joins a cluster that exists: its own names, the identities of the
 * existing members with the same peer URLs. Throws {@link MembershipError} if they are not the same members.
 * @param areSame whether two lists of URLs, each in order, are the same places; names may have to be resolved.
 */
export function joinCluster(
  local: Membership,
  existing: { readonly clusterId: ClusterId; readonly members: readonly Member[] },
  areSame: (a: readonly string[], b: readonly string[]) => boolean,
  maxLearners?: number,
): Membership {
  const configured = local.members();
  if (existing.members.length !== configured.length) {
    throw new MembershipError('member-count', 'member count is unequal');
  }
  const joined = new Map<MemberId, Member>();
  for (const member of existing.members) {
    const match = configured.find(({ peerUrls }) => areSame(member.peerUrls, peerUrls));
    if (match === undefined) {
      const place = `(${formatId(member.id)}, [${member.peerUrls.join(' ')}])`;
      throw new MembershipError('no-match', `PeerURLs: no match found for existing member ${place}`);
    }
    joined.set(member.id, { ...match, id: member.id });
  }
  return membershipOf(existing.clusterId, [...joined.values()], maxLearners);
}

/** What the log of a founding member begins with, the same on all of them. */
export function bootstrapPeers(cluster: Membership): BootstrapPeer[] {
  assert(cluster.votingMembers().length > 0, 'membership: a cluster is founded by nobody');
  return cluster.members().map((member) => ({ id: member.id, context: utf8ToBytes(memberJson(member)) }));
}

function membershipOf(clusterId: ClusterId, members: readonly Member[], maxLearners?: number): Membership {
  const state = { members, removedIds: [], version: null, downgrade: NO_DOWNGRADE };
  return new Membership({ clusterId, state, maxLearners });
}
