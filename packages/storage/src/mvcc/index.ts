/**
 * The multi-version store: etcd's key-value space with its whole history since the last compaction. Every transaction that
 * changes something is a revision; every revision that is not compacted can be read, watched and hashed. Answers, orders and
 * error values are those of etcd 3.7.
 *
 * Order of calls. A {@link Store} is made on an open backend (with a lessor, if there are leases) and restored by
 * `restoreThen`; then a {@link WatchHub} is made on it. From then on everything but restoring, compacting and hashing is
 * synchronous: what is applied runs to its end within one call, so there is never a half-done transaction to see. Writes go
 * through {@link put}, {@link deleteRange} and {@link executeTxn}, or `beginWrite` and `endWrite`. Reads go through
 * {@link executeRange}, or in steps through {@link RangeScan}, which holds a view between them. When a snapshot replaces the backend: `Lessor.recover`,
 * `Store.replaceThen`, and in its callback `WatchHub.onStoreReplaced`.
 *
 * Bytes. Results name key-value pairs as ranges of arrays ({@link Slices}): encoded, as they lie in the backend. A response copies
 * from them and lets go in the same turn, for the arrays are large and shared, and are written over later. Only what a {@link RangeScan}
 * has found stays as it is from one step to another. Keys and values of requests are copied before a call returns.
 *
 * Errors of requests are values, entries of `INTERNAL_ERRORS`; after an error nothing has changed. A file that can't be read is a
 * {@link RestoreError}. Anything thrown is a broken invariant.
 *
 * What runs in the background works in slices (`slice-sizes.ts`) through the injected clock, and stops at `close`. What becomes of
 * each when, between two slices, a compaction comes or the store is replaced:
 *
 *   range in steps   holds a view (`views.ts`): reads its revision to the end, or fails when that takes too long
 *   hash             the same; and reads the file in a transaction of its own
 *   compaction       waits for older views; given up with the store, and who waits for it is told after the new store's
 *   catching up      watchers find their place again by revision, in a new store too, since its history is the same; those whose next
 *                    revision is compacted are told so, as etcd's are
 *   restore          reads in a transaction of its own; given up with the store
 *
 * Nothing here reads a clock but to log how long something took.
 */
export type { Changes } from './changes.ts';
export { type FileHash, type HashPosition, hashOfDatabase, hashPosition } from './hash-file.ts';
export { type HashCallback, HashStorage } from './hash-storage.ts';
export type { KeyValueHash } from './key-hasher.ts';
export { TreeIndex } from './key-index/tree-index.ts';
export { endOfRange, isEmptyRange, type KeyRange } from './key-range.ts';
export { KeyValueView } from './key-value.ts';
export { type LeaseKeeper, NO_LEASES } from './lease-keeper.ts';
export { executeRange, RangeScan } from './range.ts';
export type { ReadView } from './read-view.ts';
export { RestoreError } from './restore.ts';
export {
  DELETE_RANGE,
  DeleteRangeResult,
  NOTHING,
  type NothingResult,
  type OpResult,
  PUT,
  PutResult,
  RANGE,
  RangeResult,
  TXN,
  TxnResult,
} from './results.ts';
export { SLICE_SIZES, type SliceSizes } from './slice-sizes.ts';
export { Slices } from './slices.ts';
export {
  type ChangeObserver,
  type CompactionObserver,
  type RevisionObserver,
  Store,
  type StoreOptions,
} from './store.ts';
export {
  deleteRange,
  executeTxn,
  isReadOnly,
  isSerializable,
  put,
  type TxnOptions,
} from './txn.ts';
export { indexProblem, type VerifiedStore } from './verify-index.ts';
export { WatchHub } from './watch/watch-hub.ts';
export type {
  WatchRequest,
  WatchSink,
  WatchStream,
} from './watch/watch-stream.ts';
export { CANCELLED, COMPACTED, LAGGING, SYNCED, Watcher, type WatcherState } from './watch/watcher.ts';
export { WriteTxn } from './write-txn.ts';
