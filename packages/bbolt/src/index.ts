/**
 * The bbolt file: a copy-on-write B+tree of nested buckets in one file, in the format of bbolt 1.x (version 2), read and
 * written so that Go programs and this one can take turns on it.
 *
 * One `Database` is open on a file and holds bbolt's lock on it. Read transactions see the state of one commit for as long as
 * they are open, whatever is written meanwhile; their pages can't be reused before they close, so a forgotten one makes the
 * file grow. One write transaction at a time gathers changes in memory; its commit writes changed pages to free places,
 * syncs, and then replaces the older of two meta pages and syncs again, so that a crash at any point leaves the state of
 * the last finished commit.
 *
 *     const database = Database.open({ disk, path, clock, freelist: 'rebuilt' });
 *     const write = database.beginWrite();
 *     const bucket = write.createBucketIfNotExists(name);
 *     bucket.fillPercent = 0.9;
 *     bucket.put(key, value);
 *     write.commitThen((error) => { … });          // visible to beginRead when it calls back
 *     const read = database.beginRead();
 *     const cursor = read.bucket(name)!.cursor();
 *     for (let on = cursor.first(); on; on = cursor.next()) use(cursor.bytes, cursor.valueStart, cursor.valueEnd);
 *     read.close();
 *
 * Everything but `commitThen`, `loadFreelistThen` and `Snapshot.readThen` runs to completion before it returns, reading
 * missing pages from the disk. All I/O goes through the injected `Disk`.
 */
export type {
  Bucket,
  CacheStatistics,
  CheckVisitor,
  CommitStatistics,
  Cursor,
  DatabaseOptions,
  DatabaseStatistics,
  Element,
  Finding,
  ReadTransaction,
  Snapshot,
  WritableBucket,
  WriteTransaction,
} from './api.ts';
export type { BoltErrorCode, BoltErrorDetails } from './bolt-error.ts';
export { BoltError } from './bolt-error.ts';
export type { CheckSteps } from './check.ts';
export { compact } from './compact.ts';
export { Database } from './database.ts';
export type { Defragmentation, DefragmentationProgress } from './defragment.ts';
export { checkDatabaseFile } from './open-file.ts';
export { type MetaFields, type PageElement, PageFile, PageImage, type PageType } from './page-file.ts';
