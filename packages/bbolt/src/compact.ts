/**
 * A copy of a database into another, empty one: no free pages, every page filled in the order of the keys. For tools; a
 * database that is being served is made smaller by {@link Defragmentation}.
 */
import { assert } from '@etcd/base';
import type { Bucket, Cursor, ReadTransaction, WritableBucket, WriteTransaction } from './api.ts';
import { BoltError } from './bolt-error.ts';
import type { Database } from './database.ts';

const FILL_PERCENT = 0.9;
/** So much is copied in one transaction of the target. */
const COMMIT_BYTES = 8 << 20;
/** A step copies about so much. */
const STEP_BYTES = 64 << 10;

/** What a bucket takes in a file at the least: the header of its value, and a page or the header of one. */
const MIN_BUCKET_BYTES = 32;

/** A bucket being copied: how to find it again in the next transaction, and where its copy has got to. */
interface Level {
  readonly name: Uint8Array;
  readonly bucket: Bucket;
  readonly cursor: Cursor;
}

/** Copies step by step; each yields how many bytes were copied so far. Throws `BoltError`. Done, the copy is durable. */
export function* compact(source: ReadTransaction, target: Database): Generator<number, void, void> {
  const root: Level = { name: new Uint8Array(0), bucket: source.root, cursor: source.root.cursor() };
  const levels: Level[] = [root];
  let write = target.beginWrite();
  try {
    assert(!write.root.cursor().first(), 'compact: the target is not empty');
    write.root.setSequence(source.root.sequence());
    let into = resume(write, levels);
    let copied = 0;
    let committed = 0;
    let reported = 0;
    let on = root.cursor.first();
    while (levels.length > 0) {
      // A damaged file could have buckets that contain each other.
      if (copied > source.sizeBytes) throw new BoltError('corrupt', 'more data than the file can hold');
      const { bucket, cursor } = levels.at(-1)!;
      if (!on) {
        levels.pop();
        into = resume(write, levels);
        on = levels.length > 0 && levels.at(-1)!.cursor.next();
      } else if (cursor.isBucket) {
        const level = nestedLevel(bucket, cursor.key());
        levels.push(level);
        into = resume(write, levels);
        into.setSequence(level.bucket.sequence());
        copied += MIN_BUCKET_BYTES;
        on = level.cursor.first();
      } else {
        into.put(cursor.key(), cursor.value());
        copied += cursor.valueEnd - cursor.keyStart;
        on = cursor.next();
      }
      if (copied - committed >= COMMIT_BYTES) {
        write.commit();
        write = target.beginWrite();
        into = resume(write, levels);
        committed = copied;
      }
      if (copied - reported >= STEP_BYTES) {
        reported = copied;
        yield copied;
      }
    }
    write.commit();
    yield copied;
  } finally {
    write.rollback();
  }
}

function nestedLevel(parent: Bucket, name: Uint8Array): Level {
  const bucket = parent.bucket(name);
  if (bucket === null) throw new BoltError('corrupt', 'a nested bucket is not where its key belongs');
  return { name, bucket, cursor: bucket.cursor() };
}

/** The bucket of the target that the last level is copied to. */
function resume(write: WriteTransaction, levels: readonly Level[]): WritableBucket {
  let bucket = write.root;
  for (const { name } of levels.slice(1)) bucket = bucket.createBucketIfNotExists(name);
  bucket.fillPercent = FILL_PERCENT;
  return bucket;
}
