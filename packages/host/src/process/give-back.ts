/**
 * Gives memory back to the system when the load is over: what V8 has not looked at since it became garbage, what the C library keeps for
 * later, and the pages of Node's own file that only the start or the load had use for.
 *
 * V8 does its part by itself, some ten seconds later or much later, depending on when it collected last; the C library gives back no more than
 * the end of what it has; and nobody does the third. The pages of a file stay in the system's cache, and those that are still needed are
 * mapped again when they are, sixteen at a time. A million puts of 256 bytes leave 221 MB, of which this gives back 90.
 *
 *     rest, and resident memory has grown ──> full collection ──next rest──> trim, unmap
 *     first rest after the start ───────────────────────────────────────────^
 *
 * A full collection takes some tens of milliseconds in which nobody is served, and in a large heap so long that followers would elect another
 * leader: such a one is left to V8, which collects it bit by bit. A load is over when the whole process has done next to nothing
 * for half a second, its event loop has waited all the time, and was not late; and each takes at most one. A process that gets no processor does
 * little, too.
 */
import { performance } from 'node:perf_hooks';
import v8 from 'node:v8';
import vm from 'node:vm';
import type { Clock } from '@etcd/base';
import { trimAllocator } from './node-libc.ts';
import { unmapProgramFile } from './program-file.ts';
import { residentBytes } from './system-facts.ts';

const MEGABYTE = 1024 * 1024;
const CHECK_INTERVAL_MS = 500;
/** The process rests if it has used less of a processor between two looks, and the event loop has not been busy for longer. */
const REST_CPU_MS = 20;
const REST_BUSY_MS = 25;
/** And the look is not later than this. */
const REST_LATE_MS = 50;
/** For less it is not worth a collection. */
const MIN_GROWTH_BYTES = 32 * MEGABYTE;

/** With more than this in use there is no collection: it takes a millisecond for each megabyte that is no garbage, on a busy machine two. */
const MAX_COLLECTED_BYTES = 160 * MEGABYTE;

/** What is used of V8, the C library and the kernel. */
export interface ProcessMemory {
  /** Of all threads since the start. */
  cpuMs(): number;
  /** For how long the event loop did anything but wait, since the start. */
  busyMs(): number;
  residentBytes(): number;
  /** In use, what has become garbage included. */
  heapBytes(): number;
  collect(): void;
  trim(): void;
}

const NODE_MEMORY: ProcessMemory = {
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
  busyMs: () => performance.eventLoopUtilization().active,
  // Nothing has grown where nobody tells.
  residentBytes: () => residentBytes() ?? 0,
  heapBytes: () => v8.getHeapStatistics().used_heap_size,
  // Not of flavour last-resort, which collects again and again as long as that gives anything: for a second on a busy machine.
  collect: () => collector()({ type: 'major', execution: 'sync' }),
  trim: () => {
    trimAllocator();
    unmapProgramFile();
  },
};

/** For programs that stay, when their start is over. */
export function giveBackAtRest(clock: Clock, memory: ProcessMemory = NODE_MEMORY): void {
  let isTrimDue = true;
  /** What was resident after the last time; growth counts from there. */
  let leftBytes = 0;
  const atRest = (): void => {
    if (isTrimDue) {
      isTrimDue = false;
      memory.trim();
      leftBytes = memory.residentBytes();
    } else if (memory.residentBytes() - leftBytes >= MIN_GROWTH_BYTES) {
      if (memory.heapBytes() <= MAX_COLLECTED_BYTES) memory.collect();
      isTrimDue = true;
    }
  };
  let atMs = clock.now();
  let cpuMs = memory.cpuMs();
  let busyMs = memory.busyMs();
  const check = (): void => {
    const isLate = clock.now() - atMs > CHECK_INTERVAL_MS + REST_LATE_MS;
    const hasWorked = memory.cpuMs() - cpuMs >= REST_CPU_MS || memory.busyMs() - busyMs >= REST_BUSY_MS;
    if (!isLate && !hasWorked) atRest();
    // What was done here is none of the load.
    atMs = clock.now();
    cpuMs = memory.cpuMs();
    busyMs = memory.busyMs();
    clock.setTimer(CHECK_INTERVAL_MS, check);
  };
  clock.setTimer(CHECK_INTERVAL_MS, check);
}

let gc: NodeJS.GCFunction | null = null;

/** Node offers a collection under a flag only, that must not be given at the start: V8 would refuse compiled code. */
function collector(): NodeJS.GCFunction {
  if (gc === null) {
    v8.setFlagsFromString('--expose-gc');
    gc = vm.runInNewContext('gc') as NodeJS.GCFunction;
  }
  return gc;
}
