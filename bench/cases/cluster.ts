/** Three members on one machine: cost of puts, failover, and a member that has missed a lot. */
import { setTimeout as sleep } from 'node:timers/promises';
import { encodePutRequest, PutRequest } from '@etcd/api/etcdserverpb';
import {
  type BenchCase,
  GENERATOR_ROW,
  type Goal,
  generatorShare,
  MB,
  perSecond,
  type Row,
  type Stage,
} from '../case.ts';
import { callOnce, openChannel } from '../load/connect.ts';
import type { Job, JobResult, KeySpace, Work } from '../load/job.ts';
import { LoadGenerator } from '../load/load-generator.ts';
import { PUT } from '../load/request-source.ts';
import { benchCertificates } from '../subject/certificates.ts';
import { Cluster, memberStatus } from '../subject/cluster.ts';
import { DiskLimit } from '../subject/disk-limit.ts';
import type { EtcdProcess } from '../subject/etcd-process.ts';
import { writtenBytes } from '../subject/process-usage.ts';

const MEMBERS = 3;
const SPACE: KeySpace = { prefix: '/bench/', count: 100_000 };
const VALUE_BYTES = 256;

interface ClusterLoad {
  readonly name: string;
  readonly about: string;
  readonly work: Work;
  readonly connections: number;
  readonly inFlight: number;
  readonly requests: number;
  /** Through all members instead of the leader. */
  readonly isSpread?: boolean;
  readonly isSecure?: boolean;
  readonly goals: { readonly cpu: Goal; readonly rate?: Goal };
}

const PUT_LOAD = {
  work: { kind: 'put', space: SPACE, valueBytes: VALUE_BYTES },
  connections: 100,
  inFlight: 10,
  requests: 100_000,
  goals: { cpu: { ratioAtMost: 1 / 3 }, rate: { ratioAtLeast: 2 } },
} as const;

const UPDATE_LOAD = {
  work: {
    kind: 'compare-and-put',
    space: { prefix: '/registry/pods/default/', count: 10_000 },
    valueBytes: 4_096,
  },
  connections: 10,
  inFlight: 5,
  requests: 20_000,
  goals: { cpu: { ratioAtMost: 0.3 } },
} as const;

function rowsOf({ goals }: ClusterLoad): readonly Row[] {
  const rate: Row = { figure: 'rate', label: 'requests per second', unit: 'per s' };
  return [
    { figure: 'cpu', label: 'CPU of all members per request', unit: 'us', goal: goals.cpu },
    goals.rate === undefined ? rate : { ...rate, goal: goals.rate },
    { figure: 'p50', label: 'median latency', unit: 'ms' },
    { figure: 'p99', label: 'p99 latency', unit: 'ms' },
    GENERATOR_ROW,
  ];
}

function clusterLoad(load: ClusterLoad): BenchCase {
  return {
    name: load.name,
    about: load.about,
    isLong: true,
    rows: rowsOf(load),
    open: async ({ program, isQuick }) => {
      const cluster = await Cluster.start(program, MEMBERS, load.isSecure ? await benchCertificates() : null);
      const generator = new LoadGenerator();
      const { connections, inFlight, work } = load;
      return {
        round: async () => {
          const targets = load.isSpread ? cluster.targets : [(await cluster.leader()).target];
          const result = await generator.run({
            targets,
            serverPids: cluster.pids,
            connections,
            work,
            pace: { inFlight, requests: isQuick ? load.requests / 20 : load.requests },
          });
          return {
            cpu: result.serverCpuUs / result.operations,
            rate: perSecond(result.operations, result.elapsedMs),
            p50: result.latency.p50,
            p99: result.latency.p99,
            generator: generatorShare(result),
          };
        },
        close: async () => {
          generator.close();
          await cluster.dispose();
        },
      };
    },
  };
}

const LOADS: readonly ClusterLoad[] = [
  {
    ...PUT_LOAD,
    name: 'cluster-put-leader',
    about: 'three members: puts of 256 bytes, 100 × 10, through the leader',
  },
  {
    ...PUT_LOAD,
    name: 'cluster-put-spread',
    about: 'three members: puts of 256 bytes, 100 × 10, spread over all',
    isSpread: true,
  },
  {
    ...PUT_LOAD,
    name: 'tls-cluster-put-leader',
    about: 'cluster-put-leader with TLS everywhere',
    isSecure: true,
  },
  {
    ...UPDATE_LOAD,
    name: 'cluster-k8s-update',
    about: 'three members: k8s-update through the leader',
  },
  {
    ...UPDATE_LOAD,
    name: 'tls-cluster-k8s-update',
    about: 'cluster-k8s-update with TLS everywhere',
    isSecure: true,
  },
];

/** Over three rounds, more than twenty. */
const KILLS_PER_ROUND = 7;
const ATTEMPT_EVERY_MS = 10;
const ATTEMPT_TIMEOUT_MS = 10_000;
/** Between two kills, so that the member that comes back has caught up. */
const SETTLE_MS = 1_000;

/** Milliseconds until one of `members` acknowledges a write; each is asked again and again. */
async function firstWriteMs(members: readonly EtcdProcess[]): Promise<number> {
  const startMs = performance.now();
  const request = encodePutRequest(new PutRequest({ key: Buffer.from('failover') }));
  const channels = await Promise.all(members.map((member) => openChannel(member.target)));
  let isAcknowledged = false;
  await new Promise<void>((resolve) => {
    const attempt = (): void => {
      if (isAcknowledged) return;
      for (const channel of channels) {
        callOnce(channel, PUT, request, ATTEMPT_TIMEOUT_MS).then(
          () => {
            isAcknowledged = true;
            resolve();
          },
          // Refused for want of a leader: a later attempt will do.
          () => {},
        );
      }
      setTimeout(attempt, ATTEMPT_EVERY_MS);
    };
    attempt();
  });
  const elapsedMs = performance.now() - startMs;
  for (const channel of channels) channel.close();
  return elapsedMs;
}

async function failOver(cluster: Cluster): Promise<number> {
  const leader = await cluster.leader();
  await leader.stop('SIGKILL');
  const elapsedMs = await firstWriteMs(cluster.others(leader));
  leader.relaunch();
  await leader.answers();
  await sleep(SETTLE_MS);
  return elapsedMs;
}

const failover: BenchCase = {
  name: 'failover',
  about: 'the leader of three is killed; time until another acknowledges a write; default timeouts',
  isLong: true,
  rows: [
    { figure: 'median', label: 'median time', unit: 'ms', goal: { ratioAtMost: 1 } },
    { figure: 'longest', label: 'longest time', unit: 'ms' },
  ],
  open: async ({ program, isQuick }) => {
    const cluster = await Cluster.start(program, MEMBERS);
    return {
      round: async () => {
        const times: number[] = [];
        while (times.length < (isQuick ? 1 : KILLS_PER_ROUND)) times.push(await failOver(cluster));
        times.sort((a, b) => a - b);
        return { median: times[times.length >> 1]!, longest: times.at(-1)! };
      },
      close: () => cluster.dispose(),
    };
  },
};

const MISSED_BYTES = 1_000_000_000;
const MISSED_VALUE_BYTES = 100_000;
/** For each member, so that all together stay below what one disk can do. */
const DISK_BYTES_PER_SECOND = 40_000_000;
const MISSED_SPACE: KeySpace = { prefix: '/missed/', count: 2_000 };
const PUTS_AT_A_TIME = 5_000;
/** What compiles code by what it has seen has seen puts of this size by then. */
const WARM_UP_PUTS = 40_000;

const CHECK_EVERY_MS = 50;
const BEFORE_MS = 3000;
const MAX_SETTLE_S = 60;

/** Puts in chunks until `isOver`, which is asked meanwhile and may take its time; returns how many a second. */
async function putRate(put: () => Promise<JobResult>, isOver: () => Promise<boolean>): Promise<number> {
  let isDone = false;
  const asking = (async () => {
    while (!(await isOver())) await sleep(CHECK_EVERY_MS);
    isDone = true;
  })();
  let puts = 0;
  let elapsedMs = 0;
  do {
    const result = await put();
    puts += result.operations;
    elapsedMs += result.elapsedMs;
  } while (!isDone);
  await asking;
  return perSecond(puts, elapsedMs);
}

/** Waits until members that have taken in much have written it, so that what is measured next is not measured beside that. */
async function writesSettled(members: readonly EtcdProcess[]): Promise<void> {
  const written = (): number => members.reduce((sum, { pid }) => sum + writtenBytes(pid), 0);
  for (let before = written(), seconds = 0; seconds < MAX_SETTLE_S; seconds++) {
    await sleep(1000);
    const now = written();
    if (now - before < DISK_BYTES_PER_SECOND / 10) return;
    before = now;
  }
}

async function catchUpRound(cluster: Cluster, generator: LoadGenerator, { isQuick }: Stage) {
  const leader = await cluster.leader();
  const missing = cluster.others(leader)[0]!;
  const run = (job: Pick<Job, 'connections' | 'work' | 'pace'>): Promise<JobResult> =>
    generator.run({ ...job, targets: [leader.target], serverPids: [] });
  await missing.stop('SIGTERM');
  const missedBytes = isQuick ? MISSED_BYTES / 100 : MISSED_BYTES;
  await run({
    connections: 4,
    work: { kind: 'put', space: MISSED_SPACE, valueBytes: MISSED_VALUE_BYTES },
    pace: { inFlight: 2, requests: missedBytes / MISSED_VALUE_BYTES },
  });
  await writesSettled([leader, ...cluster.others(leader).slice(1)]);
  const put = (requests = PUTS_AT_A_TIME): Promise<JobResult> =>
    run({
      connections: 10,
      work: { kind: 'put', space: SPACE, valueBytes: VALUE_BYTES },
      pace: { inFlight: 10, requests },
    });
  if (!isQuick) await put(WARM_UP_PUTS);
  const beforeMs = performance.now();
  const before = await putRate(put, () => Promise.resolve(performance.now() - beforeMs > BEFORE_MS));
  const target = (await memberStatus(leader)).appliedIndex;
  const startMs = performance.now();
  missing.relaunch();
  let caughtUpMs = 0;
  const hasCaughtUp = async (): Promise<boolean> => {
    const index = await memberStatus(missing).then(
      (status) => status.appliedIndex,
      () => 0,
    );
    if (index >= target) caughtUpMs ||= performance.now() - startMs;
    return caughtUpMs > 0;
  };
  const during = await putRate(put, hasCaughtUp);
  return { before, during, share: during / before, catchUp: caughtUpMs };
}

/** False: the kernel, or the user's rights, do not allow it. */
function limitDisks({ members }: Cluster): boolean {
  for (const member of members) {
    const limit = DiskLimit.create(member.directory, DISK_BYTES_PER_SECOND);
    if (limit === null) return false;
    member.limitDisk(limit);
  }
  return true;
}

const catchUp: BenchCase = {
  name: 'catch-up',
  about:
    'one of three members has missed 1 GB and catches up under a load of puts; each member writes 40 MB a second to the disk at most, ' +
    'by a limit of the kernel (root only, else without: the limit is 0)',
  isLong: true,
  isFresh: true,
  rows: [
    { figure: 'share', label: 'put rate meanwhile / before', unit: '×', goal: { atLeast: 0.75 } },
    { figure: 'before', label: 'puts per second before', unit: 'per s' },
    { figure: 'during', label: 'puts per second meanwhile', unit: 'per s' },
    { figure: 'catchUp', label: 'time to catch up', unit: 'ms' },
    { figure: 'limit', label: 'limit of each member’s disk', unit: 'MB/s' },
  ],
  open: async (stage) => {
    const cluster = await Cluster.start(stage.program, MEMBERS);
    const generator = new LoadGenerator();
    const limit = limitDisks(cluster) ? DISK_BYTES_PER_SECOND / MB : 0;
    return {
      round: async () => ({ ...(await catchUpRound(cluster, generator, stage)), limit }),
      close: async () => {
        generator.close();
        await cluster.dispose();
      },
    };
  },
};

export const clusterCases: readonly BenchCase[] = [...LOADS.map(clusterLoad), failover, catchUp];
