/**
 * How small things are in a world: what happens rarely with etcd's defaults, and meets something else even more rarely, happens all the time
 * with these.
 */
import type { SeededRandom } from '@etcd/base';

export interface Limits {
  readonly snapshotCount: number;
  readonly catchUpEntries: number;
  /** Of the log. */
  readonly segmentBytes: number;
  /** Snapshot files and segments that are kept. */
  readonly maxFiles: number;
  readonly batchIntervalMs: number;
}

export function drawLimits(random: SeededRandom): Limits {
  return {
    snapshotCount: random.pick([5, 10, 20, 100, 1000]),
    catchUpEntries: random.pick([5, 5, 50, 500]),
    segmentBytes: random.pick([4 * 1024, 16 * 1024, 64 * 1024]),
    maxFiles: random.pick([1, 2, 5]),
    batchIntervalMs: random.pick([1, 20, 100, 1000]),
  };
}

export function limitFlags(limits: Limits): string[] {
  return [
    `--snapshot-count=${limits.snapshotCount}`,
    `--snapshot-catchup-entries=${limits.catchUpEntries}`,
    `--max-snapshots=${limits.maxFiles}`,
    `--max-wals=${limits.maxFiles}`,
    `--backend-batch-interval=${limits.batchIntervalMs}ms`,
  ];
}
