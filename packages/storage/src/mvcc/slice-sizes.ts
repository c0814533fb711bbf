/**
 * How much of a large job is done in one turn of the event loop: a few milliseconds' worth. Smaller sizes make more turns, in which
 * more can come between: simulations draw them.
 */
export interface SliceSizes {
  /** Keys that a range looks at. */
  readonly rangeKeys: number;
  /** Revisions that are read for watchers which are behind, and the most that they are sent at a time: etcd's 1000. */
  readonly watchRevisions: number;
  readonly hashRevisions: number;
  readonly restoreRevisions: number;
}

export const SLICE_SIZES: SliceSizes = {
  rangeKeys: 512,
  watchRevisions: 1000,
  hashRevisions: 2000,
  restoreRevisions: 1000,
};
