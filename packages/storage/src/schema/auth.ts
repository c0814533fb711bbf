/** Codecs of the buckets `auth`, `authUsers` and `authRoles`. */
import type { AuthRevision } from '@etcd/api';
import { decodeRole, decodeUser, encodeRole, encodeUser, type Role, type User } from '@etcd/api/authpb';
import { utf8FromBytes, utf8ToBytes } from '@etcd/base';
import type { BackendReader, BackendWriter, Bucket } from '../backend/index.ts';
import { AUTH, AUTH_ENABLED, AUTH_REVISION, AUTH_ROLES, AUTH_USERS } from './buckets.ts';
import { corrupt } from './schema-error.ts';
import { uint64Bytes, uint64FromBytes } from './words.ts';

const ENABLED = Uint8Array.of(1);
const DISABLED = Uint8Array.of(0);

export function createAuthBuckets(writer: BackendWriter): void {
  for (const bucket of [AUTH, AUTH_USERS, AUTH_ROLES]) writer.createBucket(bucket);
}

export function readAuthEnabled(reader: BackendReader): boolean {
  const value = reader.get(AUTH, AUTH_ENABLED);
  return value !== null && value.length === 1 && value[0] === 1;
}

export function writeAuthEnabled(writer: BackendWriter, enabled: boolean): void {
  writer.put(AUTH, AUTH_ENABLED, enabled ? ENABLED : DISABLED);
}

/** 0 in a file where auth was never set up. */
export function readAuthRevision(reader: BackendReader): number {
  const value = reader.get(AUTH, AUTH_REVISION);
  if (value === null) return 0;
  const revision = uint64FromBytes(value);
  if (revision === null) throw corrupt('auth', 'authRevision', 'not a 64-bit counter');
  return revision;
}

export function writeAuthRevision(writer: BackendWriter, revision: AuthRevision): void {
  writer.put(AUTH, AUTH_REVISION, uint64Bytes(revision));
}

/** All users, in order of their names. */
export function readUsers(reader: BackendReader): User[] {
  return readAll(reader, AUTH_USERS, decodeUser);
}

export function readUser(reader: BackendReader, name: string): User | null {
  return readOne(reader, AUTH_USERS, name, decodeUser);
}

export function writeUser(writer: BackendWriter, user: User): void {
  writer.put(AUTH_USERS, user.name, encodeUser(user));
}

export function deleteUser(writer: BackendWriter, name: string): void {
  writer.delete(AUTH_USERS, utf8ToBytes(name));
}

/** All roles, in order of their names. */
export function readRoles(reader: BackendReader): Role[] {
  return readAll(reader, AUTH_ROLES, decodeRole);
}

export function readRole(reader: BackendReader, name: string): Role | null {
  return readOne(reader, AUTH_ROLES, name, decodeRole);
}

export function writeRole(writer: BackendWriter, role: Role): void {
  writer.put(AUTH_ROLES, role.name, encodeRole(role));
}

export function deleteRole(writer: BackendWriter, name: string): void {
  writer.delete(AUTH_ROLES, utf8ToBytes(name));
}

function readAll<T>(reader: BackendReader, bucket: Bucket, decode: (bytes: Uint8Array) => T): T[] {
  const items: T[] = [];
  reader.forEach(bucket, (key, value) => items.push(decodeItem(bucket, key, value, decode)));
  return items;
}

function readOne<T>(
  reader: BackendReader,
  bucket: Bucket,
  name: string,
  decode: (bytes: Uint8Array) => T,
): T | null {
  const key = utf8ToBytes(name);
  const value = reader.get(bucket, key);
  return value === null ? null : decodeItem(bucket, key, value, decode);
}

function decodeItem<T>(
  bucket: Bucket,
  key: Uint8Array,
  value: Uint8Array,
  decode: (bytes: Uint8Array) => T,
): T {
  try {
    return decode(value);
  } catch (error) {
    throw corrupt(bucket.name, utf8FromBytes(key), 'not a record', error);
  }
}
