/**
 * V8 begins a full collection when what is old has grown by a share of what was left. The heap of a member is small and changes little,
 * so that a load of objects of 4 kB had it collected all the time for nothing: 13 times in 60,000 updates, and 3 times with this. Here the
 * growth is a number of bytes instead, the same for a small heap and one of its size; a large one is left to V8.
 *
 * It could be told on the command line, with the initial size of the old generation. But under that flag V8 refuses the code that Node brings
 * for its own modules, and compiles them anew: half as much again as they cost otherwise. What is set in a process that
 * runs costs only those modules that are loaded later, and is looked at whenever a full collection ends.
 */
import v8 from 'node:v8';
import type { Clock } from '@etcd/base';

const MEGABYTE = 1024 * 1024;
/** What may become garbage before a full collection looks for it. */
const GROWTH_BYTES = 40 * MEGABYTE;
/** Of this V8 would not let a heap grow by less. */
const LARGE_HEAP_BYTES = 64 * MEGABYTE;
/** With a lower limit there is no memory for this. */
const LARGE_LIMIT_BYTES = 512 * MEGABYTE;
const MAX_PERCENT = 300;
/** V8 decides. */
const DEFAULT_PERCENT = 0;
/** A change of less is not worth telling. */
const STEP_PERCENT = 20;
const CHECK_INTERVAL_MS = 2_000;
/** When a start is over, and before the load of a member that has just come back has had its heap collected. */
const FIRST_CHECK_MS = 500;
/** What a collection leaves is about the least that was in use in so many looks. */
const LOOKS = 8;

/** What is used of V8. */
export interface Heap {
  /** In bytes. */
  limit(): number;
  used(): number;
  setFlags(flags: string): void;
}

const NODE_HEAP: Heap = {
  limit: () => v8.getHeapStatistics().heap_size_limit,
  used: () => v8.getHeapStatistics().used_heap_size,
  setFlags: (flags) => v8.setFlagsFromString(flags),
};

/** A small heap may grow by {@link GROWTH_BYTES} before it is collected; for programs that stay. Not at once: a start is over by then. */
export function letSmallHeapGrow(clock: Clock, heap: Heap = NODE_HEAP): void {
  if (heap.limit() < LARGE_LIMIT_BYTES) return;
  let percent = DEFAULT_PERCENT;
  let looks: number[] = [];
  const check = (): void => {
    looks = [...looks.slice(1 - LOOKS), heap.used()];
    const wanted = percentFor(Math.min(...looks));
    const isFar = Math.abs(wanted - percent) >= STEP_PERCENT;
    if (isFar || (wanted !== percent && wanted === DEFAULT_PERCENT)) {
      heap.setFlags(`--heap-growing-percent=${wanted}`);
      percent = wanted;
    }
    clock.setTimer(CHECK_INTERVAL_MS, check);
  };
  clock.setTimer(FIRST_CHECK_MS, check);
}

function percentFor(leftBytes: number): number {
  if (leftBytes >= LARGE_HEAP_BYTES) return DEFAULT_PERCENT;
  return Math.min(MAX_PERCENT, Math.round((GROWTH_BYTES / leftBytes) * 100));
}
