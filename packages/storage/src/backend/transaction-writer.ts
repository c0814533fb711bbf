/** Reads and writes the buckets of a database in one transaction, for tools, which have no use for a write buffer. */
import type { WriteTransaction } from '@etcd/bbolt';
import type { BackendWriter } from './api.ts';

export function transactionWriter(transaction: WriteTransaction): BackendWriter {
  return {
    get: (bucket, key) => transaction.bucket(bucket.nameBytes)?.get(key) ?? null,
    forEach: (bucket, visit) => {
      const cursor = transaction.bucket(bucket.nameBytes)?.cursor();
      if (cursor === undefined) return;
      for (let found = cursor.first(); found; found = cursor.next()) visit(cursor.key(), cursor.value());
    },
    createBucket: (bucket) => {
      transaction.createBucketIfNotExists(bucket.nameBytes);
    },
    deleteBucket: (bucket) => {
      if (transaction.bucket(bucket.nameBytes) !== null) transaction.deleteBucket(bucket.nameBytes);
    },
    put: (bucket, key, value) => transaction.createBucketIfNotExists(bucket.nameBytes).put(key, value),
    delete: (bucket, key) => {
      transaction.bucket(bucket.nameBytes)?.delete(key);
    },
  };
}
