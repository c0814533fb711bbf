/** Every member with what it says of itself, asked all at once. */
import type { ClusterAccess } from './cluster-access.ts';
import type { KnownMember } from './quorum.ts';

export interface KnownCluster {
  readonly clusterId: bigint;
  readonly all: readonly KnownMember[];
}

export async function knownCluster(access: ClusterAccess): Promise<KnownCluster> {
  const { clusterId, members } = await access.membership();
  const all = await Promise.all(
    members.map(async (member) => {
      for (const url of member.clientUrls) {
        const status = await access.status(url);
        // A client URL may lead to somebody else.
        if (status !== null && status.header?.memberId === member.id) return { member, status };
      }
      return { member, status: null };
    }),
  );
  return { clusterId, all };
}
