/** What a process costs, as Linux counts it. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';

/** Linux tells CPU time in hundredths of a second. */
const US_PER_TICK = 10_000;
// Counted behind the program's name, which may have blanks and ends with the last parenthesis.
const UTIME_FIELD = 11;
const STIME_FIELD = 12;
/** Written to `clear_refs`, it makes the kernel forget the peak of resident memory. */
const RESET_PEAK = '5';
const BYTES_PER_KB = 1024;

const NS_PER_US = 1_000;

/** CPU time that one thread of a process has used, in microseconds. */
export function threadTimeUs(pid: number, thread: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]) / NS_PER_US;
}

/** CPU time that all threads of a process have used, user and system, in microseconds. */
export function cpuTimeUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[UTIME_FIELD]) + Number(fields[STIME_FIELD])) * US_PER_TICK;
}

/** Bytes that a process has had written to a disk, pages that were written back included. */
export function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))![1]);
}

export interface DeviceWrites {
  readonly operations: number;
  readonly bytes: number;
  readonly flushes: number;
}

const SECTOR_BYTES = 512;
// Fields of a block device's counters.
const WRITES_FIELD = 4;
const WRITTEN_SECTORS_FIELD = 6;
const FLUSHES_FIELD = 15;

/** What the device on which a file lies has written since the machine was started, for whomever. */
export function deviceWrites(path: string): DeviceWrites {
  const { dev } = statSync(path);
  // Linux keeps the number of a device in 12 and 20 bits, the latter in two parts.
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xf_ff00);
  const fields = readFileSync(`/sys/dev/block/${major}:${minor}/stat`, 'latin1').trim().split(/\s+/);
  const field = (index: number): number => Number(fields[index]);
  return {
    operations: field(WRITES_FIELD),
    bytes: field(WRITTEN_SECTORS_FIELD) * SECTOR_BYTES,
    flushes: field(FLUSHES_FIELD),
  };
}

export interface ResidentMemory {
  readonly bytes: number;
  /** The most since the start, or since {@link resetPeakMemory}. */
  readonly peakBytes: number;
  /** The part that is not pages of files. */
  readonly anonymousBytes: number;
}

export function residentMemory(pid: number): ResidentMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const read = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? Number.NaN) * BYTES_PER_KB;
  return { bytes: read('VmRSS'), peakBytes: read('VmHWM'), anonymousBytes: read('RssAnon') };
}

export function resetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
}
