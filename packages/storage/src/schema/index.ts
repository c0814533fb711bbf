/**
 * What is in the buckets of the backend file: names, keys and codecs, in the formats of etcd 3.4 to 3.7. Functions read
 * through a `BackendReader` and write through a `BackendWriter`, so they see what is not yet committed. A value that can't
 * be read is a {@link SchemaError} that names bucket and key; nothing is repaired or skipped.
 *
 * At start, in this order: `validateSchema` (a file of a newer etcd is refused), the buckets created, and a
 * {@link ConsistentIndex} attached, from which on every commit carries the index of what has been applied.
 */
import { latin1FromBytes } from '@etcd/base';
import { META } from './buckets.ts';

export { createAlarmBucket, deleteAlarm, putAlarm, readAlarms } from './alarms.ts';
export {
  createAuthBuckets,
  deleteRole,
  deleteUser,
  readAuthEnabled,
  readAuthRevision,
  readRole,
  readRoles,
  readUser,
  readUsers,
  writeAuthEnabled,
  writeAuthRevision,
  writeRole,
  writeUser,
} from './auth.ts';
export {
  ALARM,
  AUTH,
  AUTH_ROLES,
  AUTH_USERS,
  CLUSTER,
  KEY,
  LEASE,
  MEMBERS,
  MEMBERS_REMOVED,
  META,
} from './buckets.ts';
export { ConsistentIndex } from './consistent-index.ts';
export { createLeaseBucket, deleteLease, forEachLease, putLease } from './leases.ts';
export { createMemberBuckets, trimCluster, trimMembers } from './members.ts';
export {
  type AppliedPosition,
  createMetaBucket,
  forgetPosition,
  readConfState,
  readConsistentIndex,
  readFinishedCompact,
  readScheduledCompact,
  writeConfState,
  writeConsistentIndex,
  writeFinishedCompact,
  writeScheduledCompact,
} from './meta.ts';
export { SchemaError, type SchemaErrorCode } from './schema-error.ts';
export {
  clearStorageVersion,
  detectSchemaVersion,
  migrateSchema,
  readStorageVersion,
  type SchemaVersion,
  storageVersionText,
  V3_5,
  V3_6,
  V3_7,
  validateSchema,
  writeStorageVersion,
} from './version.ts';

const IGNORED_IN_HASH: ReadonlySet<string> = new Set(['consistent_index', 'term', 'storageVersion']);

/**
 * Keys that the hash of a whole file leaves out, for `Backend.hashThen`: members with equal data may differ in how far
 * they have stored raft's position, and in the version that wrote last.
 */
export function isIgnoredInHash(bucketName: string, key: Uint8Array): boolean {
  return bucketName === META.name && IGNORED_IN_HASH.has(latin1FromBytes(key));
}
