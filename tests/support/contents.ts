/** What is in a server, as far as clients can see it: to be compared across restarts, programs and restores. */
import assert from 'node:assert/strict';
import { EtcdRpc } from './etcd-rpc.ts';
import type { EtcdServer } from './etcd-server.ts';
import type { KeyValue, Member } from './messages.ts';

export interface Contents {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly revision: bigint;
  readonly compactRevision: bigint;
  /** Revision to everything that was alive then. */
  readonly history: ReadonlyMap<bigint, readonly KeyValue[]>;
  /** Revision to hash, above the compacted revision. */
  readonly hashes: ReadonlyMap<bigint, number>;
  readonly leases: readonly { id: bigint; grantedTTL: bigint; keys: readonly string[] }[];
  readonly members: readonly Member[];
}

/** How many old revisions are looked at. */
const OLD_REVISIONS = 5n;

/** Reads everything. Revisions in `alsoAt` are looked at as well, if they are not compacted. */
export async function readContents(server: EtcdServer, alsoAt: Iterable<bigint> = []): Promise<Contents> {
  const rpc = new EtcdRpc(server.address);
  try {
    const { header } = await rpc.call('KV.Range', { key: 'x', limit: 1 });
    const { compact_revision: compactRevision } = await rpc.call('Maintenance.HashKV', {});
    const revision = header!.revision;
    const oldest = compactRevision > 1n ? compactRevision : 1n;
    const step = (revision - oldest) / OLD_REVISIONS + 1n;
    const revisions = new Set<bigint>([revision]);
    for (let rev = oldest; rev < revision; rev += step) revisions.add(rev);
    for (const rev of alsoAt) if (rev >= oldest && rev <= revision) revisions.add(rev);
    const history = new Map<bigint, readonly KeyValue[]>();
    const hashes = new Map<bigint, number>();
    for (const rev of revisions) {
      const range = await rpc.call('KV.Range', { key: '\0', range_end: '\0', revision: rev });
      history.set(rev, range.kvs);
      // At the compacted revision itself a server remembers the hash from before the compaction, until it ends.
      if (rev > compactRevision)
        hashes.set(rev, (await rpc.call('Maintenance.HashKV', { revision: rev })).hash);
    }
    return {
      clusterId: header!.cluster_id,
      memberId: header!.member_id,
      revision,
      compactRevision,
      history,
      hashes,
      leases: await readLeases(rpc),
      members: (await rpc.call('Cluster.MemberList', { linearizable: true })).members,
    };
  } finally {
    rpc.close();
  }
}

async function readLeases(rpc: EtcdRpc): Promise<Contents['leases']> {
  const { leases } = await rpc.call('Lease.LeaseLeases', {});
  const result = [];
  for (const { ID } of leases) {
    const { grantedTTL, keys } = await rpc.call('Lease.LeaseTimeToLive', { ID, keys: true });
    result.push({ id: ID, grantedTTL, keys: keys.map((key) => key.toString('latin1')).sort() });
  }
  return result.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Reads a server and asserts that it has exactly what was there before. */
export async function assertStillThere(server: EtcdServer, before: Contents): Promise<void> {
  const now = await readContents(server, before.history.keys());
  assert.equal(now.revision, before.revision);
  assert.equal(now.compactRevision, before.compactRevision);
  assert.equal(now.memberId, before.memberId);
  assert.equal(now.clusterId, before.clusterId);
  assert.deepEqual(now.members, before.members);
  assert.deepEqual(now.leases, before.leases);
  for (const [revision, kvs] of before.history) {
    assert.deepEqual(now.history.get(revision), kvs, `at revision ${revision}`);
    assert.equal(now.hashes.get(revision), before.hashes.get(revision), `HashKV at ${revision}`);
  }
}
