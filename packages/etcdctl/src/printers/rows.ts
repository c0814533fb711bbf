/** Answers as rows, which the formats `simple` and `table` share. */
import type { MemberListResponse } from '@etcd/api/etcdserverpb';
import { humanBytes, type Rows } from '@etcd/host/cli';
import type { EndpointHash, EndpointHealth, EndpointStatus } from './printer.ts';

export function hexId(id: bigint): string {
  return BigInt.asUintN(64, id).toString(16);
}

export function memberRows({ members }: MemberListResponse): Rows {
  return {
    head: ['ID', 'Status', 'Name', 'Peer Addrs', 'Client Addrs', 'Is Learner'],
    rows: members.map(({ id, name, peerUrls, clientUrls, isLearner }) => [
      hexId(id),
      name === '' ? 'unstarted' : 'started',
      name,
      peerUrls.join(','),
      clientUrls.join(','),
      String(isLearner),
    ]),
  };
}

export function healthRows(list: readonly EndpointHealth[]): Rows {
  return {
    head: ['endpoint', 'health', 'took', 'error'],
    rows: list.map(({ endpoint, isHealthy, took, error }) => [endpoint, String(isHealthy), took, error]),
  };
}

export function statusRows(list: readonly EndpointStatus[]): Rows {
  return {
    head: [
      'endpoint',
      'ID',
      'version',
      'storage version',
      'db size',
      'in use',
      'percentage not in use',
      'quota',
      'is leader',
      'is learner',
      'raft term',
      'raft index',
      'raft applied index',
      'errors',
      'downgrade target version',
      'downgrade enabled',
    ],
    rows: list.map(statusRow),
  };
}

function statusRow({ endpoint, status }: EndpointStatus): string[] {
  const memberId = status.header?.memberId ?? 0n;
  const usedPercent = status.dbSize > 0 ? Math.floor((status.dbSizeInUse * 100) / status.dbSize) : 0;
  return [
    endpoint,
    hexId(memberId),
    status.version,
    status.storageVersion,
    humanBytes(status.dbSize),
    humanBytes(status.dbSizeInUse),
    `${100 - usedPercent}%`,
    humanBytes(status.dbSizeQuota),
    String(status.leader === memberId),
    String(status.isLearner),
    String(status.raftTerm),
    String(status.raftIndex),
    String(status.raftAppliedIndex),
    status.errors.join(', '),
    status.downgradeInfo?.targetVersion ?? '',
    String(status.downgradeInfo?.enabled ?? false),
  ];
}

export function hashRows(list: readonly EndpointHash[]): Rows {
  return {
    head: ['endpoint', 'hash', 'hash_revision'],
    rows: list.map(({ endpoint, hash }) => [endpoint, String(hash.hash), String(hash.hashRevision)]),
  };
}
