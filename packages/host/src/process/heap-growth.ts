/**
 * V8 begins a full collection when what is old has grown by a share of what was left. The heap of a member is small and changes little,
 * so that a load of objects of 4 kB had it collected all the time for nothing: 13 times in 60,000 updates, and 3 times with this.
 *
 * It could be told on the command line, with the initial size of the old generation. But under that flag V8 refuses the code that Node brings
 * for its own modules, and compiles them anew: half as much again as they cost otherwise. What is set in a process that
 * runs costs only those modules that are loaded later, and is looked at whenever a full collection ends.
 */
import v8 from 'node:v8';
import type { Clock } from '@etcd/base';

const MEGABYTE = 1024 * 1024;
/** As much as is used when the heap of a member has grown so, and a bit more: larger ones are left to V8. */
const SMALL_HEAP_BYTES = 128 * MEGABYTE;
/** With a lower limit there is no memory for this. */
const LARGE_LIMIT_BYTES = 512 * MEGABYTE;
const SMALL_HEAP_PERCENT = 300;
/** V8 decides. */
const DEFAULT_PERCENT = 0;
const CHECK_INTERVAL_MS = 10_000;
/** When a start is over, and before the load of a member that has just come back has had its heap collected. */
const FIRST_CHECK_MS = 500;

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

/** A small heap may grow to four times of what a full collection leaves; for programs that stay. Not at once: a start is over by then. */
export function letSmallHeapGrow(clock: Clock, heap: Heap = NODE_HEAP): void {
  if (heap.limit() < LARGE_LIMIT_BYTES) return;
  let percent = DEFAULT_PERCENT;
  const check = (): void => {
    const wanted = heap.used() < SMALL_HEAP_BYTES ? SMALL_HEAP_PERCENT : DEFAULT_PERCENT;
    if (wanted !== percent) heap.setFlags(`--heap-growing-percent=${wanted}`);
    percent = wanted;
    clock.setTimer(CHECK_INTERVAL_MS, check);
  };
  clock.setTimer(FIRST_CHECK_MS, check);
}
