/** The buckets of etcd's file and the keys of those that hold single values. */
import { utf8ToBytes } from '@etcd/base';
import { type Bucket, defineBucket, KEY_BUCKET } from '../backend/index.ts';

export const KEY: Bucket = KEY_BUCKET;
export const META: Bucket = defineBucket('meta');
export const LEASE: Bucket = defineBucket('lease');
export const ALARM: Bucket = defineBucket('alarm');
export const CLUSTER: Bucket = defineBucket('cluster');
export const MEMBERS: Bucket = defineBucket('members');
export const MEMBERS_REMOVED: Bucket = defineBucket('members_removed');
export const AUTH: Bucket = defineBucket('auth');
export const AUTH_USERS: Bucket = defineBucket('authUsers');
export const AUTH_ROLES: Bucket = defineBucket('authRoles');

export const META_CONSISTENT_INDEX: Uint8Array = utf8ToBytes('consistent_index');
export const META_SCHEDULED_COMPACT: Uint8Array = utf8ToBytes('scheduledCompactRev');
export const META_FINISHED_COMPACT: Uint8Array = utf8ToBytes('finishedCompactRev');
/** Since 3.5. */
export const META_TERM: Uint8Array = utf8ToBytes('term');
/** Since 3.5. */
export const META_CONF_STATE: Uint8Array = utf8ToBytes('confState');
/** Since 3.6. */
export const META_STORAGE_VERSION: Uint8Array = utf8ToBytes('storageVersion');
export const AUTH_ENABLED: Uint8Array = utf8ToBytes('authEnabled');
export const AUTH_REVISION: Uint8Array = utf8ToBytes('authRevision');
