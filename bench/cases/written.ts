/** What a write costs the disk: bytes as the kernel counts them, and how long a program takes that does nothing else. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchCase, SingleServer } from '../case.ts';
import type { Pace } from '../load/job.ts';
import { deviceWrites, writtenBytes } from '../subject/process-usage.ts';

const OBJECTS = { prefix: '/registry/pods/default/', count: 10_000 };
const OBJECT_BYTES = 4_096;
const PER_SECOND = 400;
const SECONDS = 10;

/** Two segments of the log and more: the first is not prepared, and the second is by what comes while the first fills. */
const WARM_UP = { perSecond: 1_500, seconds: 24 };

/** Goal: fewer bytes than the other program has the device write, the file system's journal included. */
export const writtenBytesCase: BenchCase = {
  name: 'k8s-written',
  about:
    '400 puts of 4 kB a second: bytes that reach the disk for each. Those of the device are of all programs, and of the file system: ' +
    'let TMPDIR lie on a file system that nobody else uses',
  isLong: true,
  rows: [
    { figure: 'process', label: 'written by the server', unit: 'bytes' },
    { figure: 'device', label: 'written by the device', unit: 'bytes', goal: { ratioAtMost: 1 } },
    { figure: 'operations', label: 'writes of the device', unit: '×' },
    { figure: 'flushes', label: 'flushes of the device', unit: '×' },
    { figure: 'cpu', label: 'CPU per put', unit: 'us' },
  ],
  open: async ({ program, isQuick }) => {
    const subject = await SingleServer.start(program);
    const { pid, directory } = subject.server;
    const put = (pace: Pace) =>
      subject.run({ connections: 10, work: { kind: 'put', space: OBJECTS, valueBytes: OBJECT_BYTES }, pace });
    if (!isQuick) await put(WARM_UP);
    return {
      round: async () => {
        const written = writtenBytes(pid);
        const device = deviceWrites(directory);
        const result = await put({ perSecond: PER_SECOND, seconds: isQuick ? 1 : SECONDS });
        const after = deviceWrites(directory);
        const each = (count: number): number => count / result.operations;
        return {
          process: each(writtenBytes(pid) - written),
          device: each(after.bytes - device.bytes),
          operations: each(after.operations - device.operations),
          flushes: each(after.flushes - device.flushes),
          cpu: each(result.serverCpuUs),
        };
      },
      close: () => subject.close(),
    };
  },
};

/** As a batch of one put of 256 bytes lies in the log. */
const RECORD_BYTES = 344;
const ROOM_BYTES = 4_000_000;
const SYNCS = 5_000;

/** No server: what no log can be faster than, on this disk and with this runtime. */
export const syncFloor: BenchCase = {
  name: 'sync-floor',
  about:
    'writes of 344 bytes, one after another into a file of zeros, each followed by fdatasync: what put-1 can not be faster than',
  isLong: true,
  isOursOnly: true,
  rows: [
    { figure: 'p50', label: 'median time', unit: 'ms' },
    { figure: 'p99', label: 'p99 time', unit: 'ms' },
    { figure: 'cpu', label: 'CPU per write', unit: 'us' },
  ],
  open: ({ isQuick }) => {
    const directory = mkdtempSync(join(tmpdir(), 'etcd-bench-'));
    const file = openSync(join(directory, 'log'), 'w+');
    writeSync(file, Buffer.alloc(ROOM_BYTES));
    fdatasyncSync(file);
    const record = Buffer.alloc(RECORD_BYTES, 'r');
    const count = isQuick ? 50 : SYNCS;
    return Promise.resolve({
      round: () => {
        const times = new Float64Array(count);
        const before = process.cpuUsage();
        for (let i = 0; i < count; i++) {
          const startMs = performance.now();
          writeSync(file, record, 0, RECORD_BYTES, i * RECORD_BYTES);
          fdatasyncSync(file);
          times[i] = performance.now() - startMs;
        }
        const { user, system } = process.cpuUsage(before);
        times.sort();
        const at = (share: number): number => times[Math.floor(count * share)]!;
        return Promise.resolve({ p50: at(0.5), p99: at(0.99), cpu: (user + system) / count });
      },
      close: () => {
        closeSync(file);
        rmSync(directory, { recursive: true, force: true });
        return Promise.resolve();
      },
    });
  },
};
