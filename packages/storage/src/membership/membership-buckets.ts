/**
 * The membership as the backend keeps it: bucket `members`, identity in hex → JSON; bucket `members_removed`, identity
 * → `removed`; bucket `cluster`, `clusterVersion` and `downgrade`. Whoever has a backend gives access to its buckets.
 */
import type { MemberId } from '@etcd/api';
import { assert, latin1FromBytes, utf8FromBytes, utf8ToBytes } from '@etcd/base';
import { type DowngradeInfo, NO_DOWNGRADE } from './cluster-version.ts';
import { boolField, goString, parseObject, stringField } from './go-json.ts';
import { formatId, type Member, memberJson, parseId, parseMember } from './member.ts';
import { MembershipError } from './membership-error.ts';
import { formatVersion, parseVersion, type SemanticVersion } from './semantic-version.ts';

const MEMBERS_BUCKET = 'members';
const MEMBERS_REMOVED_BUCKET = 'members_removed';
const CLUSTER_BUCKET = 'cluster';

/** In the transaction of the entry that is being applied. */
export interface BucketWriter {
  put(bucket: string, key: Uint8Array, value: Uint8Array): void;
  /** Nothing if the key is not there. */
  delete(bucket: string, key: Uint8Array): void;
}

export interface BucketReader {
  /** In key order. Nothing if there is no such bucket. */
  forEach(bucket: string, visit: (key: Uint8Array, value: Uint8Array) => void): void;
}

/** Everything that is known of a cluster's members, wherever it was read from. */
export interface MembershipState {
  readonly members: readonly Member[];
  readonly removedIds: readonly MemberId[];
  /** null until one was decided. */
  readonly version: SemanticVersion | null;
  readonly downgrade: DowngradeInfo;
}

const VERSION_KEY = utf8ToBytes('clusterVersion');
const DOWNGRADE_KEY = utf8ToBytes('downgrade');
const REMOVED = utf8ToBytes('removed');
const ID_LIMIT = 1n << 64n;

export function putMember(writer: BucketWriter, member: Member): void {
  writer.put(MEMBERS_BUCKET, idKey(member.id), utf8ToBytes(memberJson(member)));
}

/** As if it had never been one. */
export function deleteMember(writer: BucketWriter, id: MemberId): void {
  writer.delete(MEMBERS_BUCKET, idKey(id));
}

export function putRemovedMember(writer: BucketWriter, id: MemberId): void {
  writer.delete(MEMBERS_BUCKET, idKey(id));
  writer.put(MEMBERS_REMOVED_BUCKET, idKey(id), REMOVED);
}

export function putClusterVersion(writer: BucketWriter, version: SemanticVersion): void {
  const text = formatVersion(version);
  assert(parseVersion(text) !== null, 'membership: a version that could not be read again');
  writer.put(CLUSTER_BUCKET, VERSION_KEY, utf8ToBytes(text));
}

export function putDowngrade(writer: BucketWriter, { targetVersion, enabled }: DowngradeInfo): void {
  assert(!enabled || parseVersion(targetVersion) !== null, 'membership: a downgrade to no version');
  const json = `{"target-version":${goString(targetVersion)},"enabled":${enabled}}`;
  writer.put(CLUSTER_BUCKET, DOWNGRADE_KEY, utf8ToBytes(json));
}

/** Throws {@link MembershipError} if a bucket holds what no etcd writes there. */
export function readMembership(reader: BucketReader): MembershipState {
  const members: Member[] = [];
  const removedIds: MemberId[] = [];
  let version: SemanticVersion | null = null;
  let downgrade = NO_DOWNGRADE;
  reader.forEach(MEMBERS_BUCKET, (key, value) => {
    members.push({ ...parseMember(value), id: idFromKey(key) });
  });
  reader.forEach(MEMBERS_REMOVED_BUCKET, (key) => {
    removedIds.push(idFromKey(key));
  });
  reader.forEach(CLUSTER_BUCKET, (key, value) => {
    const name = latin1FromBytes(key);
    if (name === 'clusterVersion') version = mustParseVersion(utf8FromBytes(value));
    else if (name === 'downgrade') downgrade = parseDowngrade(value);
  });
  return { members, removedIds, version, downgrade };
}

/** Throws {@link MembershipError}. */
export function mustParseVersion(text: string): SemanticVersion {
  const version = parseVersion(text);
  if (version === null) throw new MembershipError('malformed', `not a version: ${JSON.stringify(text)}`);
  return version;
}

function parseDowngrade(value: Uint8Array): DowngradeInfo {
  const what = 'downgrade information';
  const object = parseObject(value, what);
  const enabled = boolField(object, 'enabled', what);
  const targetVersion = stringField(object, 'target-version', what);
  if (enabled) mustParseVersion(targetVersion);
  return { targetVersion, enabled };
}

function idKey(id: MemberId): Uint8Array {
  assert(id >= 0n && id < ID_LIMIT, 'membership: an id that could not be read again');
  return utf8ToBytes(formatId(id));
}

function idFromKey(key: Uint8Array): MemberId {
  const text = latin1FromBytes(key);
  const id = parseId(text);
  if (id === null) {
    throw new MembershipError('malformed', `failed to parse member id from key ${JSON.stringify(text)}`);
  }
  return id;
}
