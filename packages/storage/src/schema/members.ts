/**
 * The buckets `members`, `members_removed` and `cluster` as such. What is in them belongs to the membership, which has its
 * codecs.
 */
import type { BackendWriter } from '../backend/index.ts';
import { CLUSTER, MEMBERS, MEMBERS_REMOVED } from './buckets.ts';

export function createMemberBuckets(writer: BackendWriter): void {
  for (const bucket of [MEMBERS, MEMBERS_REMOVED, CLUSTER]) writer.createBucket(bucket);
}

/** Forgets all members, removed ones included: a restored snapshot gets new ones. */
export function trimMembers(writer: BackendWriter): void {
  for (const bucket of [MEMBERS, MEMBERS_REMOVED]) {
    writer.deleteBucket(bucket);
    writer.createBucket(bucket);
  }
}

/** Forgets the cluster's versions. */
export function trimCluster(writer: BackendWriter): void {
  writer.deleteBucket(CLUSTER);
  writer.createBucket(CLUSTER);
}
