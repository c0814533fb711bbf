/** Requests in a closed loop, one case a kind: what each costs the server, and how many it can take. */
import { execFileSync } from 'node:child_process';
import {
  type BenchCase,
  GENERATOR_ROW,
  type Goal,
  generatorShare,
  perSecond,
  type Row,
  SingleServer,
} from '../case.ts';
import type { KeySpace, Work } from '../load/job.ts';
import { benchCertificates } from '../subject/certificates.ts';

const VALUE_BYTES = 256;
const MANY_KEYS: KeySpace = { prefix: '/bench/', count: 100_000 };
const OBJECTS: KeySpace = { prefix: '/registry/pods/default/', count: 10_000 };
const OBJECT_BYTES = 4_096;
const QUICK_SHARE = 50;

interface ClosedLoop {
  readonly name: string;
  readonly about: string;
  readonly work: Work;
  readonly connections: number;
  readonly inFlight: number;
  /** In one round. */
  readonly requests: number;
  /** Keys that are there before the first round. */
  readonly fill?: { readonly space: KeySpace; readonly valueBytes: number };
  /** Over TLS, with certificates of both sides. */
  readonly isSecure?: boolean;
  /** Only if it is named. */
  readonly isLong?: boolean;
  /** A round is too short to warm a server up: {@link warmUp} does it. */
  readonly isWarmedUp?: boolean;
  readonly goals: {
    readonly cpu?: Goal;
    readonly rate?: Goal;
    readonly median?: Goal;
    readonly p99?: Goal;
  };
}

const HUNDRED_BY_TEN = { connections: 100, inFlight: 10 };
const FEW_CLIENTS = { connections: 10, inFlight: 5 };
/** What an API server does with single objects. */
const OBJECT_GOALS = { cpu: { ratioAtMost: 0.25 }, rate: { ratioAtLeast: 2.5 }, p99: { ratioAtMost: 0.5 } };
const LIST_GOALS = { cpu: { ratioAtMost: 0.25 }, rate: { ratioAtLeast: 2 } };
const ONE_KEY = { space: { prefix: '/bench/', count: 1 }, valueBytes: VALUE_BYTES };
const ALL_OBJECTS = { space: OBJECTS, valueBytes: OBJECT_BYTES };

const LOOPS: readonly ClosedLoop[] = [
  {
    name: 'put-100x10',
    about: 'Put, 256-byte values over 100,000 keys, 100 connections × 10 in flight',
    work: { kind: 'put', space: MANY_KEYS, valueBytes: VALUE_BYTES },
    ...HUNDRED_BY_TEN,
    requests: 100_000,
    goals: { cpu: { ratioAtMost: 0.12 }, rate: { ratioAtLeast: 3 } },
  },
  {
    name: 'put-1',
    about: 'Put, 256-byte values, one in flight',
    work: { kind: 'put', space: MANY_KEYS, valueBytes: VALUE_BYTES },
    connections: 1,
    inFlight: 1,
    requests: 5_000,
    isWarmedUp: true,
    goals: { median: { ratioAtMost: 0.6 } },
  },
  {
    name: 'put-4x1',
    about: 'Put, 256-byte values, 4 connections with one in flight each',
    work: { kind: 'put', space: MANY_KEYS, valueBytes: VALUE_BYTES },
    connections: 4,
    inFlight: 1,
    requests: 10_000,
    isWarmedUp: true,
    goals: { cpu: { ratioAtMost: 0.35 }, median: { ratioAtMost: 0.6 } },
  },
  {
    name: 'range-linearizable-100x10',
    about: 'linearizable Range of one key, 100 connections × 10 in flight',
    work: { kind: 'get', space: ONE_KEY.space, isSerializable: false },
    ...HUNDRED_BY_TEN,
    requests: 200_000,
    fill: ONE_KEY,
    goals: { cpu: { ratioAtMost: 1 / 6 }, rate: { ratioAtLeast: 3 } },
  },
  {
    name: 'range-serializable-100x10',
    about: 'serializable Range of one key, 100 connections × 10 in flight',
    work: { kind: 'get', space: ONE_KEY.space, isSerializable: true },
    ...HUNDRED_BY_TEN,
    requests: 200_000,
    fill: ONE_KEY,
    goals: { cpu: { ratioAtMost: 1 / 6 }, rate: { ratioAtLeast: 3 } },
  },
  {
    name: 'txn-100x10',
    about: 'Txn, put if the revision is the known one, 256-byte values, 100 connections × 10 in flight',
    work: { kind: 'compare-and-put', space: MANY_KEYS, valueBytes: VALUE_BYTES },
    ...HUNDRED_BY_TEN,
    requests: 100_000,
    goals: { cpu: { ratioAtMost: 0.12 } },
  },
  {
    name: 'k8s-update',
    about: 'an API server updates 10,000 objects of 4 kB, 10 connections × 5 in flight',
    work: { kind: 'compare-and-put', space: OBJECTS, valueBytes: OBJECT_BYTES },
    ...FEW_CLIENTS,
    requests: 20_000,
    isWarmedUp: true,
    goals: OBJECT_GOALS,
  },
  {
    name: 'k8s-create-delete',
    about: 'an API server creates and deletes objects of 4 kB, 10 connections × 5 in flight',
    work: { kind: 'create-and-delete', space: OBJECTS, valueBytes: OBJECT_BYTES },
    ...FEW_CLIENTS,
    requests: 20_000,
    isWarmedUp: true,
    goals: OBJECT_GOALS,
  },
  {
    name: 'k8s-conflict',
    about: 'an API server updates with a stale revision and gets the object of 4 kB instead',
    work: { kind: 'conflict', space: OBJECTS, valueBytes: OBJECT_BYTES },
    ...FEW_CLIENTS,
    requests: 20_000,
    fill: ALL_OBJECTS,
    isWarmedUp: true,
    goals: OBJECT_GOALS,
  },
  {
    name: 'k8s-list-500',
    about: 'lists of 10,000 objects of 4 kB in pages of 500, later pages at the first one’s revision',
    work: { kind: 'list', space: OBJECTS, pageKeys: 500 },
    connections: 4,
    inFlight: 1,
    requests: 400,
    fill: ALL_OBJECTS,
    goals: LIST_GOALS,
  },
  {
    name: 'k8s-list-10000',
    about: 'a watch cache reads 10,000 objects of 4 kB in one page',
    work: { kind: 'list', space: OBJECTS, pageKeys: 10_000 },
    connections: 1,
    inFlight: 1,
    requests: 20,
    fill: ALL_OBJECTS,
    goals: LIST_GOALS,
  },
  {
    name: 'k8s-stream-500',
    about: 'as k8s-list-500, each page a RangeStream; etcd 3.5 does not have it',
    work: { kind: 'list', space: OBJECTS, pageKeys: 500, isStreamed: true },
    connections: 4,
    inFlight: 1,
    requests: 400,
    fill: ALL_OBJECTS,
    isLong: true,
    goals: LIST_GOALS,
  },
  {
    name: 'k8s-stream-10000',
    about: 'as k8s-list-10000, as a RangeStream; etcd 3.5 does not have it',
    work: { kind: 'list', space: OBJECTS, pageKeys: 10_000, isStreamed: true },
    connections: 1,
    inFlight: 1,
    requests: 20,
    fill: ALL_OBJECTS,
    isLong: true,
    goals: LIST_GOALS,
  },
  {
    name: 'k8s-count',
    about: 'counts 10,000 objects',
    work: { kind: 'count', space: OBJECTS },
    connections: 4,
    inFlight: 1,
    requests: 2_000,
    fill: ALL_OBJECTS,
    goals: {},
  },
  {
    name: 'k8s-lease-grant',
    about: 'grants leases of an hour',
    work: { kind: 'grant', ttlSeconds: 3_600 },
    ...FEW_CLIENTS,
    requests: 20_000,
    goals: {},
  },
];

/** What an API server does it does over TLS. */
const SECURE_TOO: ReadonlySet<string> = new Set([
  ...['put-1', 'put-4x1', 'txn-100x10', 'k8s-update', 'k8s-create-delete', 'k8s-conflict'],
  ...['k8s-list-500', 'k8s-list-10000', 'k8s-stream-500', 'k8s-stream-10000'],
]);

const SECURE_LOOPS: readonly ClosedLoop[] = [
  {
    name: 'tls-put-100x10',
    about: 'Put over TLS, 256-byte values over 100,000 keys, 100 connections × 10 in flight',
    work: { kind: 'put', space: MANY_KEYS, valueBytes: VALUE_BYTES },
    ...HUNDRED_BY_TEN,
    requests: 100_000,
    isSecure: true,
    goals: { cpu: { ratioAtMost: 1 / 5 } },
  },
  {
    name: 'tls-range-100x10',
    about: 'linearizable Range of one key over TLS, 100 connections × 10 in flight',
    work: { kind: 'get', space: ONE_KEY.space, isSerializable: false },
    ...HUNDRED_BY_TEN,
    requests: 200_000,
    fill: ONE_KEY,
    isSecure: true,
    goals: { cpu: { ratioAtMost: 1 / 5 } },
  },
  {
    name: 'tls-put-20x1',
    about: 'Put over TLS, 256-byte values, 20 connections with one in flight each',
    work: { kind: 'put', space: MANY_KEYS, valueBytes: VALUE_BYTES },
    connections: 20,
    inFlight: 1,
    requests: 20_000,
    isSecure: true,
    goals: { cpu: { ratioAtMost: 1 / 2 } },
  },
  ...LOOPS.filter((loop) => SECURE_TOO.has(loop.name)).map((loop) => ({
    ...loop,
    name: `tls-${loop.name}`,
    about: `${loop.name} over TLS`,
    isSecure: true,
    isLong: true,
  })),
];

function rowsOf({ goals }: ClosedLoop): readonly Row[] {
  const row = (figure: string, label: string, unit: Row['unit'], goal?: Goal): Row =>
    goal === undefined ? { figure, label, unit } : { figure, label, unit, goal };
  return [
    row('cpu', 'CPU per request', 'us', goals.cpu),
    row('rate', 'requests per second', 'per s', goals.rate),
    row('p50', 'median latency', 'ms', goals.median),
    row('p99', 'p99 latency', 'ms', goals.p99),
    GENERATOR_ROW,
  ];
}

/** Etcd has it since 3.7. */
function hasRangeStream(program: string): boolean {
  const text = execFileSync(program, ['--version'], { encoding: 'utf8' });
  const [, major, minor] = /^etcd Version: (\d+)\.(\d+)/m.exec(text) ?? [];
  return Number(major) > 3 || Number(minor) >= 7;
}

function closedLoopCase(loop: ClosedLoop): BenchCase {
  return {
    name: loop.name,
    about: loop.about,
    isLong: loop.isLong === true,
    otherCan: (program) => !(loop.work.kind === 'list' && loop.work.isStreamed) || hasRangeStream(program),
    rows: rowsOf(loop),
    open: async ({ program, isQuick }) => {
      const subject = await SingleServer.start(program, loop.isSecure ? await benchCertificates() : null);
      if (loop.fill !== undefined) await fill(subject, loop.fill.space, loop.fill.valueBytes);
      if (!isQuick && loop.isWarmedUp) await warmUp(subject, loop.work);
      const atLeast = loop.connections * loop.inFlight;
      const requests = isQuick ? Math.max(atLeast, loop.requests / QUICK_SHARE) : loop.requests;
      const { connections, inFlight, work } = loop;
      return {
        round: async () => {
          const result = await subject.run({ connections, work, pace: { inFlight, requests } });
          return {
            cpu: result.serverCpuUs / result.operations,
            rate: perSecond(result.operations, result.elapsedMs),
            p50: result.latency.p50,
            p99: result.latency.p99,
            generator: generatorShare(result),
          };
        },
        close: () => subject.close(),
      };
    },
  };
}

const WARM_UP_REQUESTS = 40_000;

/**
 * The same work with many in flight, for both servers: a just-in-time compiler is at work for so many requests, which take longer than
 * all rounds where few are in flight, and would be most of what a round counts. A server has them behind it within minutes.
 */
async function warmUp(subject: SingleServer, work: Work): Promise<void> {
  await subject.run({ connections: 100, work, pace: { inFlight: 10, requests: WARM_UP_REQUESTS } });
}

/** The most bytes of values in one transaction: requests have a limit of 1.5 MiB. */
const MAX_FILL_BYTES = 1_000_000;
/** The most operations that etcd takes in one transaction by default is 128. */
const MAX_FILL_OPS = 100;

/** Writes every key of the space once. */
export async function fill(subject: SingleServer, space: KeySpace, valueBytes: number): Promise<void> {
  const perTxn = Math.min(MAX_FILL_OPS, Math.floor(MAX_FILL_BYTES / valueBytes));
  await subject.run({
    connections: 4,
    work: { kind: 'fill', space, valueBytes, perTxn },
    pace: { inFlight: 2, requests: Math.ceil(space.count / perTxn) },
  });
}

export const requestCases: readonly BenchCase[] = LOOPS.map(closedLoopCase);
export const secureRequestCases: readonly BenchCase[] = SECURE_LOOPS.map(closedLoopCase);
