/** How long a disk takes until it has what it was given, as a log of etcd gives it. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface SyncTimes {
  readonly count: number;
  /** The longest but one in a hundred. */
  readonly p99Ms: number;
}

const SYNCS = 200;
/** As a few entries are. */
const WRITE_BYTES = 2_300;
/** A disk that is very slow is known sooner. */
const MAX_TOTAL_MS = 10_000;

export function measureSyncs(directory: string): SyncTimes {
  const scratch = mkdtempSync(join(directory, '.etcdadm-doctor-'));
  const file = openSync(join(scratch, 'syncs'), 'w', 0o600);
  try {
    const times: number[] = [];
    const bytes = Buffer.alloc(WRITE_BYTES, 0x55);
    for (let total = 0; times.length < SYNCS && total < MAX_TOTAL_MS; ) {
      const startMs = performance.now();
      writeSync(file, bytes);
      fdatasyncSync(file);
      const tookMs = performance.now() - startMs;
      times.push(tookMs);
      total += tookMs;
    }
    times.sort((a, b) => a - b);
    return { count: times.length, p99Ms: times[Math.ceil(times.length * 0.99) - 1] ?? 0 };
  } finally {
    closeSync(file);
    rmSync(scratch, { recursive: true });
  }
}
