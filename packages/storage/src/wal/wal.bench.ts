/**
 * What the log costs, with entries of 300 bytes: encoding, durable batches on the disk under `BENCH_DIR` (the system's
 * temporary directory unless told), what preparing segments with zeros gains, and reading back. `node packages/storage/src/wal/wal.bench.ts`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Entry, HardState } from '@etcd/api/raftpb';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { BatchEncoder } from './batch-encoder.ts';
import { createWal, openWal, readWal, validSnapshots, type Wal, type WalOptions } from './index.ts';

const DATA_BYTES = 300;
const root = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'wal-bench-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));

function entries(from: number, count: number): Entry[] {
  return Array.from({ length: count }, (_, i) => {
    const data = Buffer.allocUnsafe(DATA_BYTES);
    for (let j = 0; j < DATA_BYTES; j++) data[j] = (i * 31 + j * 7) & 0xff;
    return new Entry({ term: 7, index: from + i, data });
  });
}

function print(name: string, text: string): void {
  process.stdout.write(`${name.padEnd(34)} ${text}\n`);
}

function benchEncode(): void {
  const batch = entries(1_000_000, 1000);
  const encoder = new BatchEncoder(0);
  let bestNs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 6; attempt++) {
    const startMs = performance.now();
    for (let round = 0; round < 500; round++) {
      for (const entry of batch) encoder.addEntry(entry);
      encoder.clear();
    }
    bestNs = Math.min(bestNs, (performance.now() - startMs) * 2);
  }
  print('encode', `${bestNs.toFixed(0)} ns/entry`);
}

function options(name: string, zeroFill: boolean): WalOptions {
  return { disk: new NodeDisk(), directory: join(root, name), clock: new NodeClock(), zeroFill };
}

interface Feed {
  readonly wal: Wal;
  readonly batch: Entry[];
  readonly state: HardState;
}

/** The next batch: the same bytes with the next indices, and the commit index moving along, as under load. */
function advance({ wal, batch, state }: Feed): void {
  const first = wal.lastIndex + 1;
  for (let i = 0; i < batch.length; i++) batch[i]!.index = first + i;
  state.commit = wal.lastIndex;
}

function runInline(feed: Feed, batches: number): Promise<void> {
  return new Promise((resolve) => {
    let left = batches;
    const turn = (): void => {
      // A turn of the event loop now and then, as a server has: the next segment is prepared in between.
      for (let i = 0; i < 8 && left > 0; i++, left--) {
        advance(feed);
        feed.wal.save(feed.state, feed.batch);
      }
      if (left > 0) setImmediate(turn);
      else resolve();
    };
    turn();
  });
}

function runAsync(feed: Feed, batches: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = batches;
    const next = (error: Error | null): void => {
      if (error !== null) return reject(error);
      if (left-- === 0) return resolve();
      advance(feed);
      feed.wal.saveThen(feed.state, feed.batch, next);
    };
    next(null);
  });
}

async function benchSave(style: 'inline' | 'async', count: number, batches: number): Promise<void> {
  await measureSave(
    `${style} x${count}`,
    style === 'inline' ? runInline : runAsync,
    count,
    200,
    batches,
    true,
  );
}

/** Whole segments: the first is never prepared, the second is, while the first fills with batches of the same size. */
async function benchZeros(count: number): Promise<void> {
  const batches = Math.ceil(64_000_000 / (count * 344 + 40));
  for (const zeroFill of [false, true]) {
    const name = `segment x${count}, ${zeroFill ? 'zeros' : 'reserved'}`;
    await measureSave(name, runInline, count, batches, batches, zeroFill);
  }
}

async function measureSave(
  name: string,
  run: (feed: Feed, batches: number) => Promise<void>,
  count: number,
  warmBatches: number,
  batches: number,
  zeroFill: boolean,
): Promise<void> {
  const wal = createWal(options('save', zeroFill), new Uint8Array(20));
  const feed = { wal, batch: entries(1, count), state: new HardState({ term: 7, vote: 1n }) };
  await run(feed, warmBatches);
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await run(feed, batches);
  const elapsedMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  wal.close();
  const cpuUs = ((user + system) / batches).toFixed(0);
  const perBatch = `${((elapsedMs * 1000) / batches).toFixed(0)} us, ${cpuUs} us CPU a batch`;
  print(name, `${perBatch}, ${Math.round((count * batches * 1000) / elapsedMs)} entries/s`);
  rmSync(join(root, 'save'), { recursive: true });
}

async function benchRead(): Promise<void> {
  const wal = createWal(options('read', true), new Uint8Array(20));
  const feed = { wal, batch: entries(1, 1000), state: new HardState({ term: 7, vote: 1n }) };
  await runAsync(feed, 700);
  wal.close();
  const megabytes = (700 * 1000 * 344) / 1e6;
  const timed = (name: string, act: () => void): void => {
    let bestMs = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 5; attempt++) {
      const startMs = performance.now();
      act();
      bestMs = Math.min(bestMs, performance.now() - startMs);
    }
    const perEntry = ((bestMs * 1e6) / 700_000).toFixed(0);
    print(
      name,
      `${bestMs.toFixed(0)} ms, ${Math.round((megabytes * 1000) / bestMs)} MB/s, ${perEntry} ns/entry`,
    );
  };
  const start = { index: 0, term: 0 };
  let count = 0;
  const counting = { append: (): number => count++, reset: (): void => {} };
  timed(`list snapshots of ${megabytes.toFixed(0)} MB`, () => validSnapshots(options('read', true)));
  timed('read all entries', () => readWal(options('read', true), start, counting));
  timed('open for writing', () => openWal(options('read', true), start, counting).wal.close());
}

benchEncode();
for (const style of ['inline', 'async'] as const) {
  await benchSave(style, 1, 4000);
  await benchSave(style, 10, 3000);
  await benchSave(style, 100, 1500);
  await benchSave(style, 1000, 150);
}
for (const count of [10, 30]) await benchZeros(count);
await benchRead();
