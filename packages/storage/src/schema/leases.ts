/** Codec of the `lease` bucket. Which keys a lease has is not stored: the keys say which lease they have. */
import { decodeLease, encodeLease, Lease } from '@etcd/api/leasepb';
import { hexFromBytes } from '@etcd/base';
import type { BackendReader, BackendWriter } from '../backend/index.ts';
import { LEASE } from './buckets.ts';
import { corrupt } from './schema-error.ts';
import { idBytes } from './words.ts';

export function createLeaseBucket(writer: BackendWriter): void {
  writer.createBucket(LEASE);
}

/** Calls `visit` with each lease, in order of ids. TTLs are in seconds. */
export function forEachLease(reader: BackendReader, visit: (lease: Lease) => void): void {
  reader.forEach(LEASE, (key, value) => {
    let lease: Lease;
    try {
      lease = decodeLease(value);
    } catch (error) {
      throw corrupt('lease', hexFromBytes(key), 'not a lease', error);
    }
    visit(lease);
  });
}

export function putLease(writer: BackendWriter, id: bigint, ttl: number, remainingTtl: number): void {
  writer.put(LEASE, idBytes(id), encodeLease(new Lease({ id, ttl, remainingTtl })));
}

export function deleteLease(writer: BackendWriter, id: bigint): void {
  writer.delete(LEASE, idBytes(id));
}
