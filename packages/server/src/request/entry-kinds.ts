/**
 * Which releases of Go etcd read which kinds of log entry. A committed entry that a member can't read ends its process, and does so
 * again at every start: no member of ours may ever propose one. The one place where proposals leave ({@link Proposals}) looks
 * every kind up here.
 *
 *     release   bare v2 request   cluster_version_set …   auth_status   lease_checkpoint   all others
 *     3.4       reads             ends                    ends          reads              reads
 *     3.5, 3.6  reads             reads                   reads         reads              reads
 *     3.7       ends              reads                   reads         reads              reads
 *
 * This program reads all of them, whatever release it calls itself.
 */
import {
  clusterVersionOf,
  compareVersions,
  parseVersion,
  type SemanticVersion,
} from '@etcd/storage/membership';

export interface EntryKind {
  /** As the field of `InternalRaftRequest` is called. */
  readonly name: string;
  readonly lowest: SemanticVersion;
  /** null: no release has given it up yet. */
  readonly highest: SemanticVersion | null;
}

type Row = readonly [field: number, name: string, lowest: string, highest?: string];

const ROWS: readonly Row[] = [
  [2, 'v2', '3.0.0', '3.6.0'],
  [3, 'range', '3.0.0'],
  [4, 'put', '3.0.0'],
  [5, 'delete_range', '3.0.0'],
  [6, 'txn', '3.0.0'],
  [7, 'compaction', '3.0.0'],
  [8, 'lease_grant', '3.0.0'],
  [9, 'lease_revoke', '3.0.0'],
  [10, 'alarm', '3.0.0'],
  [11, 'lease_checkpoint', '3.4.0'],
  [1000, 'auth_enable', '3.0.0'],
  [1011, 'auth_disable', '3.0.0'],
  [1012, 'authenticate', '3.0.0'],
  [1013, 'auth_status', '3.5.0'],
  [1100, 'auth_user_add', '3.0.0'],
  [1101, 'auth_user_delete', '3.0.0'],
  [1102, 'auth_user_get', '3.0.0'],
  [1103, 'auth_user_change_password', '3.0.0'],
  [1104, 'auth_user_grant_role', '3.0.0'],
  [1105, 'auth_user_revoke_role', '3.0.0'],
  [1106, 'auth_user_list', '3.0.0'],
  [1107, 'auth_role_list', '3.0.0'],
  [1200, 'auth_role_add', '3.0.0'],
  [1201, 'auth_role_delete', '3.0.0'],
  [1202, 'auth_role_get', '3.0.0'],
  [1203, 'auth_role_grant_permission', '3.0.0'],
  [1204, 'auth_role_revoke_permission', '3.0.0'],
  [1300, 'cluster_version_set', '3.5.0'],
  [1301, 'cluster_member_attr_set', '3.5.0'],
  [1302, 'downgrade_info_set', '3.5.0'],
  [9900, 'downgrade_version_test', '3.6.0'],
];

/** The field of requests of the v2 API in the envelope. */
export const V2_FIELD = 2;

/** By the field of the envelope. A bare v2 request, which has no envelope, is read by the same releases as field `v2`. */
export const ENTRY_KINDS: ReadonlyMap<number, EntryKind> = new Map(
  ROWS.map(([field, name, lowest, highest]) => [
    field,
    {
      name,
      lowest: parseVersion(lowest)!,
      highest: highest === undefined ? null : parseVersion(highest),
    },
  ]),
);

/** Fields 3 to 11 are the requests of clients, which every release that can be in a cluster with ours reads: they need no look-up. */
export function isReadByAll(field: number): boolean {
  return field > 2 && field < 12;
}

/** Whether Go etcd of `release` reads entries of this kind. */
export function canRead(release: SemanticVersion, { lowest, highest }: EntryKind): boolean {
  const minor = clusterVersionOf(release);
  return compareVersions(minor, lowest) >= 0 && (highest === null || compareVersions(minor, highest) <= 0);
}
