/**
 * What the store costs on a real disk: CPU of the process (threads and kernel included) per operation, memory, longest stall of
 * the event loop.
 *
 *   node --expose-gc packages/storage/src/mvcc/store.bench.ts [case ...]
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  Compare,
  CompareTarget,
  CompareTargetUnion,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { SeededRandom } from '@etcd/base';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { Backend } from '../backend/index.ts';
import { executeRange, RangeScan } from './range.ts';
import { Store, type StoreOptions } from './store.ts';
import { executeTxn, put } from './txn.ts';

const gc = (globalThis as { gc?: () => void }).gc;
const directory = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'store-bench-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The longest time between two turns of the event loop, to a millisecond. */
class Stalls {
  readonly #delay = monitorEventLoopDelay({ resolution: 1 });

  constructor() {
    this.#delay.enable();
  }

  stop(): number {
    this.#delay.disable();
    return this.#delay.max / 1e6;
  }
}

function report(name: string, count: number, cpuMs: number, extra = ''): void {
  const each = ((cpuMs * 1000) / count).toFixed(2).padStart(8);
  process.stdout.write(`${name.padEnd(56)} ${each} us CPU${extra === '' ? '' : `   ${extra}`}\n`);
}

function memory(): string {
  gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  return `rss ${mb(rss)}, heap ${mb(heapUsed)}, external ${mb(external)}`;
}

/** Runs `step` for i in [0, count), `burst` in a turn, and reports. */
async function measured(
  name: string,
  count: number,
  burst: number,
  step: (i: number) => void,
): Promise<void> {
  const stalls = new Stalls();
  const begin = process.cpuUsage();
  const beginMs = performance.now();
  for (let i = 0; i < count; ) {
    for (const end = Math.min(i + burst, count); i < end; i++) step(i);
    await turn();
  }
  const used = process.cpuUsage(begin);
  const wallUs = ((performance.now() - beginMs) * 1000) / count;
  const longest = stalls.stop().toFixed(1);
  report(
    name,
    count,
    (used.user + used.system) / 1000,
    `${wallUs.toFixed(2)} us wall, longest stall ${longest} ms`,
  );
}

let files = 0;

async function openStore(
  options: Partial<StoreOptions> = {},
  path = join(directory, `db${files++}`),
): Promise<Store> {
  const clock = new NodeClock();
  const backend = new Backend({
    disk: new NodeDisk(),
    clock,
    path,
    onFatal: (error) => {
      throw error;
    },
  });
  const store = new Store({ backend, clock, ...options });
  await new Promise<void>((resolve, reject) => {
    store.restoreThen((error) => (error === null ? resolve() : reject(error)));
  });
  return store;
}

function closeStore(store: Store): Promise<void> {
  store.close();
  return new Promise((resolve, reject) => {
    store.backend.closeThen((error) => (error === null ? resolve() : reject(error)));
  });
}

const commit = (store: Store): Promise<void> =>
  new Promise((resolve) => store.backend.commitNowThen(() => resolve()));

/** Made once, so that making requests is not measured. */
function putRequests(count: number, keys: number, valueBytes: number): PutRequest[] {
  const random = new SeededRandom(1);
  const value = Buffer.alloc(valueBytes, 'v');
  const names = Array.from({ length: keys }, (_, i) => {
    const suffix = (random.uint32() % 60466176).toString(36).padStart(5, '0');
    return Buffer.from(`/registry/pods/ns-${random.below(500)}/name-${suffix}-${i.toString(36)}`);
  });
  return Array.from({ length: count }, () => new PutRequest({ key: names[random.below(keys)]!, value }));
}

async function puts(): Promise<void> {
  const store = await openStore();
  const requests = putRequests(100_000, 100_000, 256);
  await measured('put, 256 bytes, new keys', 100_000, 200, (i) => put(store, requests[i]!));
  await measured('put, 256 bytes, over 100,000 keys', 900_000, 200, (i) =>
    put(store, requests[i % 100_000]!),
  );
  await commit(store);
  process.stdout.write(
    `  1,000,000 puts over 100,000 keys: ${memory()}, file ${(store.backend.sizeBytes / 1e6).toFixed(0)} MB\n`,
  );
  const ranges = requests.map(({ key }) => new RangeRequest({ key, limit: 1 }));
  let sum = 0;
  await measured('range of one key', 500_000, 200, (i) => {
    sum += executeRange(store, ranges[(i * 7919) % 100_000]!).kvs.count;
  });
  const hot = ranges.slice(0, 1000);
  await measured('range of one key, 1,000 hot ones', 500_000, 200, (i) => {
    sum += executeRange(store, hot[i % 1000]!).kvs.count;
  });
  await txns(store, requests);
  const prefix = new RangeRequest({ key: Buffer.from('/registry/'), rangeEnd: Buffer.from('/registry0') });
  await measured(
    'range of 10,000 keys in steps of 500, per key',
    40_000,
    1,
    rangeStepper(store, prefix, 10_000, 500),
  );
  const counting = new RangeRequest({ ...prefix, countOnly: true });
  await measured('count of 100,000 keys', 2000, 10, () => (sum += executeRange(store, counting).count));
  const begin = process.cpuUsage();
  await new Promise<void>((resolve) => store.hashes.hashByRevThen(0, () => resolve()));
  const used = process.cpuUsage(begin);
  report('HashKV, per revision', 1_000_000, (used.user + used.system) / 1000);
  await compaction(store);
  if (sum === -1) process.stdout.write('');
  await closeStore(store);
  await restore(store.backend.path);
}

/** Each call takes one step of `stepKeys`; a scan ends after `limit` keys. Called once for each step. */
function rangeStepper(
  store: Store,
  request: RangeRequest,
  limit: number,
  stepKeys: number,
): (i: number) => void {
  const limited = new RangeRequest({ ...request, limit });
  let scan = new RangeScan(store, limited);
  return (i) => {
    if (i % stepKeys !== 0) return;
    if (scan.step(stepKeys)) scan = new RangeScan(store, limited);
    scan.result.kvs.clear();
  };
}

async function txns(store: Store, requests: readonly PutRequest[]): Promise<void> {
  // What a Kubernetes API server sends: put if the key is still at the revision that was read.
  const revisions = new Float64Array(100_000);
  for (let i = 0; i < 100_000; i++) {
    const { key } = requests[i]!;
    const ref = store.index.find(key, 0, key.length);
    revisions[i] = store.index.main(ref);
  }
  const make = (i: number): TxnRequest =>
    new TxnRequest({
      compare: [
        new Compare({
          key: requests[i]!.key,
          target: CompareTarget.MOD,
          targetUnion: CompareTargetUnion.modRevision,
          modRevision: revisions[i]!,
        }),
      ],
      success: [new RequestOp({ requestPut: requests[i]! })],
      failure: [new RequestOp({ requestRange: new RangeRequest({ key: requests[i]!.key }) })],
    });
  const made = requests.slice(0, 100_000).map((_, i) => make(i));
  await measured('txn, compare and put (half of them fail)', 100_000, 200, (i) =>
    executeTxn(store, made[i]!),
  );
}

async function compaction(store: Store): Promise<void> {
  const stalls = new Stalls();
  const begin = process.cpuUsage();
  const beginMs = performance.now();
  await new Promise<void>((resolve) => store.compact(store.revision, resolve));
  const used = process.cpuUsage(begin);
  const seconds = ((performance.now() - beginMs) / 1000).toFixed(1);
  report(
    'compaction of 1,000,000 revisions over 100,000 keys',
    1_000_000,
    (used.user + used.system) / 1000,
    `${seconds} s, longest stall ${stalls.stop().toFixed(1)} ms`,
  );
  await commit(store);
}

async function restore(path: string): Promise<void> {
  const size = (statSync(path).size / 1e6).toFixed(0);
  const stalls = new Stalls();
  const begin = process.cpuUsage();
  const beginMs = performance.now();
  const store = await openStore({}, path);
  const used = process.cpuUsage(begin);
  const ms = (performance.now() - beginMs).toFixed(0);
  report(
    `restore of ${store.index.keyCount} keys, file ${size} MB`,
    store.index.keyCount,
    (used.user + used.system) / 1000,
    `${ms} ms, longest stall ${stalls.stop().toFixed(1)} ms`,
  );
  await closeStore(store);
}

async function restoreMillion(): Promise<void> {
  const store = await openStore();
  const requests = putRequests(1_000_000, 100_000, 100);
  await measured('put, 100 bytes, over 100,000 keys', 1_000_000, 200, (i) => put(store, requests[i]!));
  await closeStore(store);
  const begin = process.cpuUsage();
  const stalls = new Stalls();
  const again = await openStore({}, store.backend.path);
  const used = process.cpuUsage(begin);
  report(
    'restore of 1,000,000 revisions of 100,000 keys, per revision',
    1_000_000,
    (used.user + used.system) / 1000,
    `longest stall ${stalls.stop().toFixed(1)} ms`,
  );
  await closeStore(again);
}

/** Keys that are made as they are needed, so that the bench has none in memory. */
function numberedKey(target: Buffer, number: number): void {
  // A permutation of the numbers, so that keys come in no order.
  const mixed = (Math.imul(number, 0x9e3779b1) ^ 0x5bd1e995) >>> 0;
  target.write(
    `/registry/events/ns-${String(mixed % 5000).padStart(4, '0')}/${String(number).padStart(15, '0')}`,
    'latin1',
  );
}

async function fiveMillion(): Promise<void> {
  const count = 5_000_000;
  const store = await openStore();
  const key = Buffer.alloc(40);
  const request = new PutRequest({ key, value: Buffer.alloc(40, 'v') });
  const write = (number: number): void => {
    numberedKey(key, number);
    put(store, request);
  };
  await measured('put, 5,000,000 new keys of 40 bytes, 40 bytes each', count, 200, write);
  await commit(store);
  process.stdout.write(
    `  ${memory()}, index ${(store.index.memoryBytes / count).toFixed(0)} bytes a key, file ${(store.backend.sizeBytes / 1e6).toFixed(0)} MB\n`,
  );
  await steadily('then 20,000 puts a second', 20, write, count);
  process.stdout.write(`  ${memory()}\n`);
  const begin = process.cpuUsage();
  const stalls = new Stalls();
  const compacted = new Promise<void>((resolve) => store.compact(store.revision, resolve));
  await steadily('the same while compacting', 20, write, count);
  await compacted;
  const used = process.cpuUsage(begin);
  report(
    'compaction and puts together',
    1,
    (used.user + used.system) / 1000,
    `longest stall ${stalls.stop().toFixed(1)} ms`,
  );
  process.stdout.write(`  ${memory()}\n`);
  await closeStore(store);
  await restore(store.backend.path);
}

/** 20,000 a second for `seconds`: as much as is due every few milliseconds. */
async function steadily(
  name: string,
  seconds: number,
  write: (number: number) => void,
  keys: number,
): Promise<void> {
  const random = new SeededRandom(3);
  const stalls = new Stalls();
  const begin = process.cpuUsage();
  const beginMs = performance.now();
  let done = 0;
  let latestMs = 0;
  while (done < seconds * 20_000) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const due = Math.floor((performance.now() - beginMs) * 20);
    latestMs = Math.max(latestMs, (due - done) / 20);
    for (; done < due; done++) write(random.below(keys));
  }
  const used = process.cpuUsage(begin);
  report(
    name,
    done,
    (used.user + used.system) / 1000,
    `longest stall ${stalls.stop().toFixed(1)} ms, latest put ${latestMs.toFixed(0)} ms`,
  );
}

const CASES: Readonly<Record<string, () => Promise<void>>> = { puts, restoreMillion, fiveMillion };
// A clock's timers alone do not keep the process running.
const keepAlive = setInterval(() => {}, 1000);
const wanted = process.argv.slice(2);
for (const [name, run] of Object.entries(CASES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  await run();
}
clearInterval(keepAlive);
