/** Answers as rows, which the formats `simple` and `table` share. */
import type { MemberListResponse } from '@etcd/api/etcdserverpb';
import type { EndpointHash, EndpointHealth, EndpointStatus } from './printer.ts';

export interface Rows {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** A size as people read it, in powers of 1000. */
export function humanBytes(byteCount: number): string {
  if (byteCount < 10) return `${byteCount} B`;
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(byteCount) / 3 + 1e-12));
  const value = Math.floor((byteCount / 1000 ** power) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : halfToEven(value)} ${UNITS[power]}`;
}

/** As Go rounds: what lies in the middle goes to the even side. */
function halfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

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
