/**
 * What the workloads of etcd cost: appending at the right edge of a bucket, compaction's scattered deletes, point lookups,
 * scans, small commits, opening. `node packages/bbolt/src/database.bench.ts [case…]`; the file lies in TMPDIR.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '@etcd/base';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { Database, type DatabaseOptions, type WritableBucket } from './index.ts';

const KEYS = Number(process.env['KEYS'] ?? 1_000_000);
const VALUE_BYTES = 280;
const BATCH = 10_000;
const NAME = Buffer.from('key');

const directory = mkdtempSync(join(tmpdir(), 'bbolt-bench-'));
const path = join(directory, 'db');
const disk = new NodeDisk();
const clock = new NodeClock();

function open(options: Partial<DatabaseOptions> = {}): Database {
  return Database.open({ disk, path, clock, freelist: 'rebuilt', ...options });
}

/** A revision as etcd writes it: main, underscore, sub. */
function revision(target: Buffer, main: number): Buffer {
  target.writeUInt32BE(Math.floor(main / 2 ** 32), 0);
  target.writeUInt32BE(main >>> 0, 4);
  target[8] = 0x5f;
  return target;
}

function print(what: string, figure: string): void {
  process.stdout.write(`${what.padEnd(64)} ${figure}\n`);
}

function perItem(ms: number, items: number): string {
  return `${((ms * 1e6) / items).toFixed(0)} ns each`;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The longest that the event loop stood still while `work` ran. */
async function longestStall<T>(work: Promise<T>): Promise<{ result: T; stallMs: number }> {
  let last = performance.now();
  let stallMs = 0;
  let running = true;
  const beat = (): void => {
    const now = performance.now();
    stallMs = Math.max(stallMs, now - last);
    last = now;
    if (running) setImmediate(beat);
  };
  setImmediate(beat);
  const result = await work;
  running = false;
  return { result, stallMs };
}

function commitThen(write: ReturnType<Database['beginWrite']>): Promise<void> {
  return new Promise((resolve, reject) => write.commitThen((error) => (error ? reject(error) : resolve())));
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function append(): Promise<void> {
  const database = open();
  const key = Buffer.alloc(17);
  const value = Buffer.alloc(VALUE_BYTES, 'v');
  let putMs = 0;
  let buildMs = 0;
  let ioMs = 0;
  let worst = 0;
  const cpuBefore = cpuMs();
  const began = performance.now();
  for (let from = 0; from < KEYS; from += BATCH) {
    const { stallMs } = await longestStall(
      (async () => {
        const write = database.beginWrite();
        const bucket = write.createBucketIfNotExists(NAME);
        bucket.fillPercent = 0.9;
        for (let part = 0; part < BATCH; part += 1000) {
          const started = performance.now();
          for (let i = 0; i < 1000; i++) bucket.put(revision(key, from + part + i), value);
          putMs += performance.now() - started;
          await turn();
        }
        await commitThen(write);
      })(),
    );
    worst = Math.max(worst, stallMs);
    const { lastCommit } = database.statistics();
    buildMs += lastCommit.rebalanceMs + lastCommit.spillMs;
    ioMs += lastCommit.writeMs;
  }
  const wallMs = performance.now() - began;
  print(`append ${KEYS} of ${VALUE_BYTES} bytes, ${BATCH} a commit: put`, perItem(putMs, KEYS));
  print('  building pages', perItem(buildMs, KEYS));
  print('  write and sync, wall', perItem(ioMs, KEYS));
  print('  all, wall', perItem(wallMs, KEYS));
  print('  all, CPU of the process (threads and kernel included)', perItem(cpuMs() - cpuBefore, KEYS));
  print('  longest stall of the event loop', `${worst.toFixed(1)} ms`);
  database.close();
}

function gets(): void {
  const database = open({ cacheBytes: 1 << 30 });
  const read = database.beginRead();
  const bucket = read.bucket(NAME)!;
  const cursor = bucket.cursor();
  const random = new SeededRandom(1);
  const key = Buffer.alloc(17);
  const hot = Math.min(KEYS, 100_000);
  for (const label of ['cold', 'cached', 'cached']) {
    const rounds = 300_000;
    let began = performance.now();
    for (let i = 0; i < rounds; i++) bucket.get(revision(key, random.below(hot)));
    print(`get, random of ${hot}, ${label}`, perItem(performance.now() - began, rounds));
    began = performance.now();
    for (let i = 0; i < rounds; i++) cursor.seekExact(revision(key, random.below(hot)));
    print(`cursor.seekExact, random of ${hot}, ${label}`, perItem(performance.now() - began, rounds));
    began = performance.now();
    for (let i = 0; i < rounds; i++) cursor.seekExact(revision(key, i % hot));
    print(`cursor.seekExact, in order of ${hot}, ${label}`, perItem(performance.now() - began, rounds));
  }
  read.close();
  database.close();
}

function scans(): void {
  for (const [label, cacheBytes] of [
    ['small cache', 16 << 20],
    ['all in cache', 2 ** 31],
  ] as const) {
    const database = open({ cacheBytes });
    for (const round of ['first', 'second', 'third']) {
      const read = database.beginRead();
      const cursor = read.bucket(NAME)!.cursor();
      let count = 0;
      let total = 0;
      const began = performance.now();
      for (let on = cursor.first(); on; on = cursor.next()) {
        count++;
        total += cursor.valueEnd - cursor.keyStart;
      }
      const ms = performance.now() - began;
      const rate = (read.sizeBytes / ms / 1e6).toFixed(2);
      print(
        `scan, ${label}, ${round}: ${count} keys, ${total} bytes`,
        `${perItem(ms, count)}, ${rate} GB/s of pages`,
      );
      read.close();
    }
    database.close();
  }
}

async function smallCommits(): Promise<void> {
  const database = open();
  const key = Buffer.from('consistent_index');
  const value = Buffer.alloc(8);
  const rounds = 200;
  let write = database.beginWrite();
  write.createBucketIfNotExists(Buffer.from('meta'));
  await commitThen(write);
  const cpuBefore = cpuMs();
  const began = performance.now();
  for (let i = 0; i < rounds; i++) {
    write = database.beginWrite();
    value.writeUInt32BE(i, 4);
    write.bucket(Buffer.from('meta'))!.put(key, value);
    await commitThen(write);
  }
  print('commit of one small overwrite, wall', perItem(performance.now() - began, rounds));
  print('  CPU', perItem(cpuMs() - cpuBefore, rounds));
  database.close();
}

function opening(): void {
  let began = performance.now();
  let database = open();
  print('open', `${(performance.now() - began).toFixed(1)} ms`);
  began = performance.now();
  database.beginWrite().rollback();
  print('first beginWrite: freelist rebuilt', `${(performance.now() - began).toFixed(1)} ms`);
  database.close();
  database = open();
  const read = database.beginRead();
  const cursor = read.bucket(NAME)!.cursor();
  for (let on = cursor.first(); on; on = cursor.next());
  read.close();
  began = performance.now();
  database.beginWrite().rollback();
  print('first beginWrite after a scan', `${(performance.now() - began).toFixed(1)} ms`);
  database.close();
}

/** Deletes every other key, a thousand at a time, as compaction does. */
async function compaction(): Promise<void> {
  const database = open();
  const key = Buffer.alloc(17);
  let deleteMs = 0;
  let buildMs = 0;
  let deleted = 0;
  let worst = 0;
  let pages = 0;
  let runs = 0;
  const cpuBefore = cpuMs();
  const began = performance.now();
  for (let from = 0; from < KEYS; from += BATCH * 2) {
    const { stallMs } = await longestStall(
      (async () => {
        const write = database.beginWrite();
        const bucket = write.bucket(NAME)! as WritableBucket;
        for (let part = from; part < from + BATCH * 2; part += 2000) {
          const started = performance.now();
          for (let i = part; i < part + 2000; i += 2) if (bucket.delete(revision(key, i))) deleted++;
          deleteMs += performance.now() - started;
          await turn();
        }
        await commitThen(write);
      })(),
    );
    worst = Math.max(worst, stallMs);
    const { lastCommit } = database.statistics();
    buildMs += lastCommit.rebalanceMs + lastCommit.spillMs;
    pages += lastCommit.pagesWritten;
    runs += lastCommit.runsWritten;
  }
  print(`delete every other key, ${deleted}, ${BATCH} a commit: delete`, perItem(deleteMs, deleted));
  print('  building pages', perItem(buildMs, deleted));
  print('  pages written, in so many runs', `${pages}, ${runs}`);
  print('  all, wall', perItem(performance.now() - began, deleted));
  print('  all, CPU of the process', perItem(cpuMs() - cpuBefore, deleted));
  print('  longest stall of the event loop', `${worst.toFixed(1)} ms`);
  database.close();
}

/** One key of each leaf page: ten thousand pages change in one commit. */
async function scattered(): Promise<void> {
  const database = open();
  const key = Buffer.alloc(17);
  const write = database.beginWrite();
  const bucket = write.bucket(NAME)!;
  let deleteMs = 0;
  let deleted = 0;
  const step = Math.max(1, Math.floor(KEYS / BATCH));
  const { stallMs } = await longestStall(
    (async () => {
      for (let part = 1; part < KEYS; part += step * 1000) {
        const started = performance.now();
        for (let i = part; i < Math.min(KEYS, part + step * 1000); i += step) {
          if (bucket.delete(revision(key, i | 1))) deleted++;
        }
        deleteMs += performance.now() - started;
        await turn();
      }
      await commitThen(write);
    })(),
  );
  const { lastCommit } = database.statistics();
  print(`delete ${deleted} keys, each on a page of its own: delete`, perItem(deleteMs, deleted));
  print('  building pages', perItem(lastCommit.rebalanceMs + lastCommit.spillMs, deleted));
  print('  pages written, in so many runs', `${lastCommit.pagesWritten}, ${lastCommit.runsWritten}`);
  print('  write and sync', `${lastCommit.writeMs.toFixed(0)} ms`);
  print('  longest stall of the event loop', `${stallMs.toFixed(1)} ms`);
  database.close();
}

/** After {@link compaction}: the file to half its size, 1 MiB rewritten a commit. */
async function defragmentation(): Promise<void> {
  const database = open();
  database.beginWrite().rollback();
  const before = database.statistics();
  const work = database.defragment();
  let steps = 0;
  let stepMs = 0;
  let longestStepMs = 0;
  let rewritten = 0;
  const cpuBefore = cpuMs();
  const began = performance.now();
  const { stallMs } = await longestStall(
    (async () => {
      for (let done = false; !done; steps++) {
        const write = database.beginWrite();
        const started = performance.now();
        const progress = work.step(write, 1 << 20);
        const tookMs = performance.now() - started;
        done = progress.done;
        rewritten += progress.rewrittenPages;
        stepMs += tookMs;
        longestStepMs = Math.max(longestStepMs, tookMs);
        await commitThen(write);
      }
    })(),
  );
  const after = database.statistics();
  const sizes = [before.fileSizeBytes, after.fileSizeBytes, after.sizeInUseBytes].map((size) => size >> 20);
  print('defragmentation: file before, after, in use, MiB', sizes.join(', '));
  print('  commits, pages rewritten', `${steps}, ${rewritten}`);
  print('  step, average and longest', `${(stepMs / steps).toFixed(2)} ms, ${longestStepMs.toFixed(1)} ms`);
  print(
    '  wall, CPU of the process',
    `${(performance.now() - began).toFixed(0)} ms, ${(cpuMs() - cpuBefore).toFixed(0)} ms`,
  );
  print('  longest stall of the event loop', `${stallMs.toFixed(1)} ms`);
  database.close();
}

const CASES: Record<string, () => void | Promise<void>> = {
  append,
  gets,
  scans,
  smallCommits,
  opening,
  scattered,
  compaction,
  defragmentation,
};

try {
  const wanted = process.argv.slice(2);
  // Everything else works on what was appended.
  for (const [name, run] of Object.entries(CASES)) {
    if (wanted.length === 0 || wanted.includes(name) || name === 'append') await run();
  }
} finally {
  rmSync(directory, { recursive: true });
}
