/** Reads and writes the buckets of a database in one transaction, for tools, which have no use for a write buffer. */
import type { WriteTransaction } from '@etcd/bbolt';
import type { BackendWriter } from './api.ts';
import { transactionReader } from './transaction-reader.ts';

export function transactionWriter(transaction: WriteTransaction): BackendWriter {
  return {
    ...transactionReader(transaction),
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
