/** Reads the buckets of one state of a database, as the codecs want it. */
import type { ReadTransaction } from '@etcd/bbolt';
import type { BackendReader } from './api.ts';

export function transactionReader(transaction: Pick<ReadTransaction, 'bucket'>): BackendReader {
  return {
    get: (bucket, key) => transaction.bucket(bucket.nameBytes)?.get(key) ?? null,
    forEach: (bucket, visit) => {
      const cursor = transaction.bucket(bucket.nameBytes)?.cursor();
      if (cursor === undefined) return;
      for (let found = cursor.first(); found; found = cursor.next()) visit(cursor.key(), cursor.value());
    },
  };
}
