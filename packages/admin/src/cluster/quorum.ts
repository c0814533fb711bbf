/** Whether a cluster survives that one of its members goes. Pure arithmetic over what is known of each. */
import type { Member, StatusResponse } from '@etcd/api/etcdserverpb';

export interface KnownMember {
  readonly member: Member;
  /** Null when it does not answer. */
  readonly status: StatusResponse | null;
}

export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/** A voter that answers and has a leader. */
export function isHealthy({ member, status }: KnownMember): boolean {
  return !member.isLearner && status !== null && status.leader !== 0n;
}

export function titleOf({ id, name, peerUrls }: Member): string {
  return name === '' ? `${formatMemberId(id)} (${peerUrls.join()}, not started)` : name;
}

export function formatMemberId(id: bigint): string {
  return id.toString(16);
}

/** Where voting members are for clients. */
export function clientUrlsOf(members: readonly Member[]): string[] {
  return members.filter(({ isLearner }) => !isLearner).flatMap(({ clientUrls }) => clientUrls);
}

/** Why `leaving` must not be removed; null when it may. */
export function removalProblem(all: readonly KnownMember[], leaving: bigint): string | null {
  const gone = all.find(({ member }) => member.id === leaving);
  if (gone === undefined || gone.member.isLearner) return null;
  const rest = all.filter(({ member }) => member.id !== leaving && !member.isLearner);
  if (rest.length === 0) return 'it is the only voting member: its data would be gone';
  const healthy = rest.filter(isHealthy);
  const needed = quorumOf(rest.length);
  if (healthy.length < needed) {
    const down = rest.filter((known) => !isHealthy(known)).map(({ member }) => titleOf(member));
    return `of the other ${rest.length} ${healthy.length} are healthy and ${needed} are needed (${down.join(', ')} down): the cluster would lose its quorum`;
  }
  const suspects = rest
    .filter(({ member }) => isCorrupt(all, member.id))
    .map(({ member }) => titleOf(member));
  if (suspects.length > 0) {
    return `${suspects.join(', ')} has the alarm CORRUPT: what is removed may be the only good copy`;
  }
  return null;
}

/** Whether any member tells of that alarm for `id`. */
export function isCorrupt(all: readonly KnownMember[], id: bigint): boolean {
  return all.some(({ status }) => status?.errors.some((text) => corruptMember(text) === id) === true);
}

/** Of an alarm as members write it; null for others. */
function corruptMember(text: string): bigint | null {
  if (!text.includes('alarm:CORRUPT')) return null;
  const id = /memberID:\s*(\d+)/.exec(text)?.[1];
  return id === undefined ? 0n : BigInt(id);
}
