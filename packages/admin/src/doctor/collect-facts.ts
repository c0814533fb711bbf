/** Asks every member of a cluster what it knows, all at once, and gives up on none that only answers in part. */
import type { AlarmMember, Member } from '@etcd/api/etcdserverpb';
import type { ConnectOptions } from '@etcd/client/node';
import type { ClientAccess } from '../cluster/cluster-access.ts';
import { clientUrlsOf } from '../cluster/quorum.ts';
import { isFromCluster } from '../cluster/transient.ts';
import { type ClusterFacts, type MemberFacts, type MemberHash, NO_HTTP } from './facts.ts';
import { probeHttp } from './http-probe.ts';

export interface CollectOptions {
  readonly tls: ConnectOptions['tls'];
  readonly timeoutMs: number;
}

/** Null where no endpoint answers at all. */
export async function collectFacts(
  access: ClientAccess,
  options: CollectOptions,
): Promise<ClusterFacts | null> {
  const membership = await membershipOf(access);
  if (membership === null) return null;
  const { members, clusterId, hasQuorum } = membership;
  access.widen(clientUrlsOf(members));
  const known = await Promise.all(members.map((member) => memberFacts(access, member, options)));
  const hashes = await hashesOf(access, known);
  const alarms = hasQuorum ? await alarmsOf(access) : [];
  return {
    hasQuorum,
    clusterId,
    members: known.map((one) => ({ ...one, hash: hashes.get(one.member.id) ?? null })),
    alarms,
  };
}

interface SeenMembership {
  readonly hasQuorum: boolean;
  readonly clusterId: bigint;
  readonly members: readonly Member[];
}

async function membershipOf(access: ClientAccess): Promise<SeenMembership | null> {
  const agreed = await orNull(access.membership());
  if (agreed !== null) return { ...agreed, hasQuorum: true };
  for (const endpoint of access.client.endpoints) {
    const own = await orNull(access.at(endpoint).cluster.memberList({ serializable: true }));
    if (own !== null)
      return { hasQuorum: false, clusterId: own.header?.clusterId ?? 0n, members: own.members };
  }
  return null;
}

async function memberFacts(
  access: ClientAccess,
  member: Member,
  options: CollectOptions,
): Promise<MemberFacts> {
  for (const url of member.clientUrls) {
    const status = await access.status(url);
    if (status === null || status.header?.memberId !== member.id) continue;
    const http = await probeHttp(url, options.tls, options.timeoutMs);
    return { member, status, hash: null, http };
  }
  return { member, status: null, hash: null, http: NO_HTTP };
}

/** At the revision that all of them have: members that lag are compared too. */
async function hashesOf(access: ClientAccess, all: readonly MemberFacts[]): Promise<Map<bigint, MemberHash>> {
  const hashes = new Map<bigint, MemberHash>();
  const answering = all.filter(({ status }) => status !== null);
  const revision = Math.min(...answering.map(({ status }) => status!.header?.revision ?? 0));
  await Promise.all(
    answering.map(async ({ member }) => {
      const answer = await orNull(access.at(member.clientUrls[0]!).maintenance.hashKv(revision));
      if (answer === null) return;
      const { hash, compactRevision } = answer;
      hashes.set(member.id, { hash, revision, compactRevision });
    }),
  );
  return hashes;
}

async function alarmsOf(access: ClientAccess): Promise<readonly AlarmMember[]> {
  return (await orNull(access.client.maintenance.alarmList()))?.alarms ?? [];
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (isFromCluster(error)) return null;
    throw error;
  }
}
