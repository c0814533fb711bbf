/** `etcdctl check …`: whether a cluster is good enough for a load. */
import type { EtcdClient } from '@etcd/client';
import {
  type Command,
  ExitError,
  type FlagDefinition,
  goQuote,
  type Invocation,
  type Io,
  Progress,
} from '@etcd/host/cli';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { Load } from '../load.ts';
import { type Session, withSession } from '../session.ts';

interface PerfModel {
  readonly writesPerSecond: number;
  readonly clientCount: number;
}

interface ScaleModel {
  readonly pairCount: number;
  readonly clientCount: number;
}

const PERF_SECONDS = 60;
const SECOND_MS = 1000;
const CLEANUP_TIMEOUT_MS = 30_000;
const MAX_LATENCY_MS = 500;
const MAX_DEVIATION_MS = 100;
const MIN_SHARE = 0.9;

const PERF_MODELS: Readonly<Record<string, PerfModel>> = {
  s: { writesPerSecond: 150, clientCount: 50 },
  m: { writesPerSecond: 1000, clientCount: 200 },
  l: { writesPerSecond: 8000, clientCount: 500 },
  xl: { writesPerSecond: 15_000, clientCount: 1000 },
};

const SCALE_MODELS: Readonly<Record<string, ScaleModel>> = {
  s: { pairCount: 10_000, clientCount: 50 },
  m: { pairCount: 100_000, clientCount: 200 },
  l: { pairCount: 1_000_000, clientCount: 500 },
  xl: { pairCount: 3_000_000, clientCount: 1000 },
};

const MODEL_NAMES: Readonly<Record<string, string>> = {
  s: 's',
  small: 's',
  m: 'm',
  medium: 'm',
  l: 'l',
  large: 'l',
  xl: 'xl',
  xLarge: 'xl',
};

function checkFlags(prefix: string): readonly FlagDefinition[] {
  return [
    {
      name: 'load',
      type: 'string',
      default: 's',
      usage: 'the load: s (small), m (medium), l (large), xl (xLarge)',
      values: ['small', 'medium', 'large', 'xLarge'],
    },
    { name: 'prefix', type: 'string', default: prefix, usage: 'what the keys of the check begin with' },
    { name: 'auto-compact', type: 'bool', usage: 'compact the store afterwards' },
    { name: 'auto-defrag', type: 'bool', usage: 'defragment the endpoints afterwards' },
  ];
}

const PERF: Command = {
  name: 'perf',
  usage: '[options]',
  summary: 'Says whether the cluster is fast enough for a load, in a minute',
  flags: checkFlags('/etcdctl-check-perf/'),
  run: (invocation) => withSession(invocation, (session) => checkPerf(session)),
};

const DATASCALE: Command = {
  name: 'datascale',
  usage: '[options]',
  summary: 'Says how much memory the first endpoint takes for a load',
  flags: checkFlags('/etcdctl-check-datascale/'),
  run: (invocation) => withSession(invocation, (session) => checkScale(session)),
};

export const CHECK: Command = {
  name: 'check',
  usage: '<subcommand>',
  summary: 'Commands that check whether a cluster is good enough',
  group: GROUP.UTILITY,
  commands: [PERF, DATASCALE],
};

function modelName({ flags }: Invocation): string {
  const name = MODEL_NAMES[flags.text('load')];
  if (name === undefined) throw new ExitError(EXIT.BAD_FEATURE, `unknown load option ${flags.text('load')}`);
  return name;
}

async function clientsFor(session: Session, count: number): Promise<readonly EtcdClient[]> {
  const clients: EtcdClient[] = [];
  for (let i = 0; i < count; i++) clients.push(await session.client());
  return clients;
}

async function refuseKeys(client: EtcdClient, prefix: string): Promise<void> {
  const { kvs } = await client.kv.get(prefix, { prefix: true, limit: 1 });
  if (kvs.length === 0) return;
  const problem = `prefix ${goQuote(prefix)} has keys. Delete with 'etcdctl del --prefix ${prefix}' first`;
  throw new ExitError(EXIT.INVALID_INPUT, problem);
}

async function checkPerf(session: Session): Promise<void> {
  const { invocation } = session;
  const { flags, io } = invocation;
  const model = PERF_MODELS[modelName(invocation)];
  if (model === undefined) return;
  const clients = await clientsFor(session, model.clientCount);
  const [client] = clients;
  if (client === undefined) return;
  const prefix = flags.text('prefix');
  await refuseKeys(client, prefix);

  const progress = await Progress.start('check', 'items');
  const load = new Load(clients, prefix, { keyBytes: 256, valueBytes: 1024 });
  await load.runFor(PERF_SECONDS * SECOND_MS, model.writesPerSecond, (seconds) =>
    progress.update(seconds, PERF_SECONDS),
  );
  progress.end();
  await cleanUp(client, prefix, flags.bool('auto-compact'), io);
  if (flags.bool('auto-defrag')) await defragment(session, io);
  if (!reportPerf(load, model, io)) throw new ExitError(EXIT.ERROR, '');
}

function reportPerf(load: Load, model: PerfModel, io: Io): boolean {
  const verdicts: boolean[] = [];
  if (load.errors.size > 0) {
    io.line('FAIL: too many errors');
    for (const [text, count] of load.errors) io.line(`FAIL: ERROR(${text}) -> ${count}`);
    verdicts.push(false);
  }
  const perSecond = load.perSecond;
  const isFast = perSecond / model.writesPerSecond > MIN_SHARE;
  const throughput = `${Math.floor(perSecond) + 1} writes/s`;
  io.line(isFast ? `PASS: Throughput is ${throughput}` : `FAIL: Throughput too low: ${throughput}`);
  const slowest = `${(load.slowestMs / SECOND_MS).toFixed(6)}s`;
  const isSteady = load.slowestMs <= MAX_LATENCY_MS;
  io.line(isSteady ? `PASS: Slowest request took ${slowest}` : `Slowest request took too long: ${slowest}`);
  const deviation = `${(load.deviationMs / SECOND_MS).toFixed(6)}s`;
  const isEven = load.deviationMs <= MAX_DEVIATION_MS;
  io.line(isEven ? `PASS: Stddev is ${deviation}` : `Stddev too high: ${deviation}`);
  const isGood = [...verdicts, isFast, isSteady, isEven].every(Boolean);
  io.line(isGood ? 'PASS' : 'FAIL');
  return isGood;
}

async function checkScale(session: Session): Promise<void> {
  const { invocation } = session;
  const { flags, io } = invocation;
  const model = SCALE_MODELS[modelName(invocation)];
  if (model === undefined) return;
  const clients = await clientsFor(session, model.clientCount);
  const [client] = clients;
  const [endpoint] = session.endpoints;
  if (client === undefined || endpoint === undefined) return;
  const prefix = flags.text('prefix');
  await refuseKeys(client, prefix);
  const bytesBefore = await residentBytes(endpoint, io);
  if (bytesBefore === 0) throw unreadable(io, 'before');

  const { pairCount, clientCount } = model;
  const workload = `${pairCount} key-value pairs, 1024 bytes per key-value, ${clientCount} concurrent clients`;
  io.line(`Start data scale check for work load [${workload}].`);
  const progress = await Progress.start('check', 'items');
  const load = new Load(clients, prefix, { keyBytes: 512, valueBytes: 512 });
  await load.runCount(pairCount, (count) => progress.update(count, pairCount));
  progress.end();
  const bytesAfter = await residentBytes(endpoint, io);
  if (bytesAfter === 0) throw unreadable(io, 'after');
  const { header } = await client.kv.delete(prefix, { prefix: true, timeoutMs: CLEANUP_TIMEOUT_MS });
  if (flags.bool('auto-compact')) await compact(client, header?.revision ?? 0, io);
  if (flags.bool('auto-defrag')) await defragment(session, io);
  if (load.errors.size > 0) {
    io.line('FAIL: too many errors');
    for (const [text, count] of load.errors) io.line(`FAIL: ERROR(${text}) -> ${count}`);
    throw new ExitError(EXIT.ERROR, '');
  }
  const megabytes = (bytesAfter - bytesBefore) / (1024 * 1024);
  io.line(`PASS: Approximate system memory used : ${megabytes.toFixed(2)} MB.`);
}

function unreadable(io: Io, when: string): ExitError {
  io.line(`FAIL: Could not read process_resident_memory_bytes ${when} the put operations.`);
  return new ExitError(EXIT.ERROR, '');
}

/** From the endpoint's metrics; 0 where they do not say. */
async function residentBytes(endpoint: string, io: Io): Promise<number> {
  const base = /^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`;
  try {
    const text = await (await fetch(`${base}/metrics`)).text();
    const found = /^process_resident_memory_bytes\s+(\S+)/m.exec(text)?.[1];
    if (found !== undefined) return Number(found);
    io.line('could not find: process_resident_memory_bytes');
  } catch (error) {
    io.line(`fetch error: ${describeError(error)}`);
  }
  return 0;
}

async function cleanUp(client: EtcdClient, prefix: string, compacts: boolean, io: Io): Promise<void> {
  try {
    const { header } = await client.kv.delete(prefix, { prefix: true, timeoutMs: CLEANUP_TIMEOUT_MS });
    if (compacts) await compact(client, header?.revision ?? 0, io);
  } catch (error) {
    io.line(`FAIL: Cleanup failed during key deletion: ERROR(${describeError(error)})`);
  }
}

async function compact(client: EtcdClient, revision: number, io: Io): Promise<void> {
  io.line(`Compacting with revision ${revision}`);
  await client.kv.compact(revision, { physical: true, timeoutMs: CLEANUP_TIMEOUT_MS });
  io.line(`Compacted with revision ${revision}`);
}

async function defragment(session: Session, io: Io): Promise<void> {
  for (const endpoint of session.endpoints) {
    io.line(`Defragmenting ${goQuote(endpoint)}`);
    const client = await session.client([endpoint]);
    await client.maintenance.defragment({ timeoutMs: CLEANUP_TIMEOUT_MS });
    io.line(`Defragmented ${goQuote(endpoint)}`);
  }
}
