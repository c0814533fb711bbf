/** Lets the membership, which knows buckets by name, write to the backend. */
import { assert } from '@etcd/base';
import type { BackendReader, BackendWriter, Bucket } from '../backend/index.ts';
import type { BucketReader, BucketWriter } from '../membership/index.ts';
import { CLUSTER, MEMBERS, MEMBERS_REMOVED } from '../schema/index.ts';

const BUCKETS: ReadonlyMap<string, Bucket> = new Map(
  [CLUSTER, MEMBERS, MEMBERS_REMOVED].map((bucket) => [bucket.name, bucket]),
);

export function membershipWriter(backend: BackendWriter): BucketWriter {
  return {
    put: (name, key, value) => backend.put(bucketOf(name), key, value),
    delete: (name, key) => backend.delete(bucketOf(name), key),
  };
}

export function membershipReader(backend: BackendReader): BucketReader {
  return { forEach: (name, visit) => backend.forEach(bucketOf(name), visit) };
}

function bucketOf(name: string): Bucket {
  const bucket = BUCKETS.get(name);
  assert(bucket !== undefined, () => `membership: no bucket ${name}`);
  return bucket;
}
