/**
 * V8 watches which places of the code make objects that outlive the collections of young ones, and lets them make theirs among the old ones from
 * then on. Under a load of thousands of requests in flight those are the places that make requests, answers and transactions. What
 * it has once decided it keeps to: afterwards, with fifty in flight, the objects of every request are garbage that only a full collection
 * finds, and with them the memory outside the heap that they refer to. Of 4.9 kB that a transaction of 4 kB makes in the heap,
 * 2.4 were left to full collections so, and 0.3 are without.
 *
 * It is set in a process that runs, and after its start, since V8 refuses the code that Node brings for its modules under most flags on the
 * command line; heap-growth.ts says more.
 */
import v8 from 'node:v8';
import type { Clock } from '@etcd/base';

/** When a start is over; no place has been judged by then. */
const START_MS = 500;

/** Lets all objects begin among the young ones; for programs that stay. */
export function keepObjectsYoung(
  clock: Clock,
  setFlags: (flags: string) => void = v8.setFlagsFromString,
): void {
  clock.setTimer(START_MS, () => setFlags('--no-allocation-site-pretenuring'));
}
