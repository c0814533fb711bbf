/** What this process may use of the machine: file descriptors, memory, processors, and the heap that V8 was given. */
import fs from 'node:fs';
import os from 'node:os';
import v8 from 'node:v8';

/** Descriptors that a member keeps for its own files and peers; client connections get the rest. etcd's number. */
export const RESERVED_DESCRIPTORS = 150;

/** How many client connections the limit on descriptors leaves room for; null where there is no limit. */
export function connectionLimit(descriptorLimit: number | null): number | null {
  return descriptorLimit === null ? null : Math.max(0, descriptorLimit - RESERVED_DESCRIPTORS);
}

/** The limit on open descriptors; null when there is none or nobody tells. Node raises the soft limit to the hard one. */
export function descriptorLimit(): number | null {
  return limitIn(readText('/proc/self/limits'), 'Max open files');
}

/** The limit on address space in bytes; null when there is none. */
export function addressSpaceLimit(): number | null {
  return limitIn(readText('/proc/self/limits'), 'Max address space');
}

/** Open descriptors now. */
export function descriptorCount(): number | null {
  try {
    return fs.readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}

/** Resident memory of the process; null when nobody tells: Node throws without `/proc`. */
export function residentBytes(read: () => number = process.memoryUsage.rss): number | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Threads of the process; null when nobody tells. */
export function threadCount(): number | null {
  const threads = /^Threads:\s+(\d+)/m.exec(readText('/proc/self/status'))?.[1];
  return threads === undefined ? null : Number(threads);
}

/** The soft limit of a line of `/proc/self/limits`. */
export function limitIn(limits: string, name: string): number | null {
  const line = limits.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  const soft = line === undefined ? undefined : /^\d+/.exec(line.slice(name.length).trim())?.[0];
  return soft === undefined ? null : Number(soft);
}

/** Bytes that this process received and sent over the network, its whole network namespace that is. */
export function networkBytes(netstat: string): { received: number; sent: number } | null {
  const [names, values] = netstat.split('\n').filter((line) => line.startsWith('IpExt:'));
  if (names === undefined || values === undefined) return null;
  const columns = names.split(' ');
  const numbers = values.split(' ').map(Number);
  const received = numbers[columns.indexOf('InOctets')];
  const sent = numbers[columns.indexOf('OutOctets')];
  return received === undefined || sent === undefined ? null : { received, sent };
}

/** `/proc/self/net/netstat`, for {@link networkBytes}. */
export function readNetstat(): string {
  return readText('/proc/self/net/netstat');
}

/** What this process may use: of the machine, or of its control group. */
export function memoryBytes(): number {
  return Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, os.totalmem());
}

/** One log line's worth of facts that explain how a member behaves on its machine. */
export function runtimeFields(): Readonly<Record<string, unknown>> {
  return {
    'node-version': process.version,
    'v8-version': process.versions.v8,
    'node-options': process.execArgv,
    pid: process.pid,
    'max-cpu-available': os.availableParallelism(),
    'memory-bytes': memoryBytes(),
    'heap-limit-bytes': v8.getHeapStatistics().heap_size_limit,
    'descriptor-limit': descriptorLimit(),
  };
}

function readText(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    // Not every system has it; the reader of the text finds nothing in an empty one.
    return '';
  }
}
