/** What compactions of the store cost, as etcd counts it. */
import type { CompactionObserver } from '@etcd/storage/mvcc';
import type { MetricHandles } from '../metrics/index.ts';

/** A slice works on index and file together, so that its time is that of both. */
export function observeCompactions(handles: MetricHandles): CompactionObserver {
  return {
    onSlice: (durationMs, removedCount) => {
      handles.dbCompactionPauseMilliseconds.observe(durationMs);
      handles.indexCompactionPauseMilliseconds.observe(durationMs);
      handles.dbCompactionKeysTotal.add(removedCount);
    },
    onFinished: (durationMs, wallMs) => {
      handles.dbCompactionTotalMilliseconds.observe(durationMs);
      handles.dbCompactionLast.set(Math.floor(wallMs / 1000));
    },
  };
}
