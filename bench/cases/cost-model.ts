/**
 * Where each microsecond of a request goes: what work on speed starts from. Ours only, since it looks inside: a profile and counters
 * of one part of a round, the kernel's counters of another without the profiler, system calls of a third, which strace makes slow.
 * The profile's times are of the clock: on a busy machine they contain waiting for a processor.
 */
import { type BenchCase, perSecond, type Row, type Sample, type Stage } from '../case.ts';
import type { KeySpace, Work } from '../load/job.ts';
import { benchCertificates } from '../subject/certificates.ts';
import { breakDown, COST_KINDS, type CostKind } from '../subject/cost-breakdown.ts';
import { ProbedEtcd, type SystemCalls } from '../subject/probed-etcd.ts';
import { writtenBytes } from '../subject/process-usage.ts';
import { fill } from './requests.ts';

const OBJECTS: KeySpace = { prefix: '/registry/pods/default/', count: 10_000 };
const OBJECT_BYTES = 4_096;
const QUICK_SHARE = 50;

interface CostCase {
  readonly name: string;
  readonly about: string;
  readonly work: Work;
  readonly connections: number;
  readonly inFlight: number;
  readonly requests: number;
  readonly isSecure?: boolean;
}

const CASES: readonly CostCase[] = [
  {
    name: 'cost-model',
    about: 'where the time of a Put of 4 kB goes, 10 connections × 5 in flight',
    work: { kind: 'put', space: OBJECTS, valueBytes: OBJECT_BYTES },
    connections: 10,
    inFlight: 5,
    requests: 20_000,
  },
  {
    name: 'cost-model-put-1',
    about: 'where the time of a Put of 256 bytes goes, one in flight',
    work: { kind: 'put', space: OBJECTS, valueBytes: 256 },
    connections: 1,
    inFlight: 1,
    requests: 5_000,
  },
  {
    name: 'cost-model-list',
    about: 'where the time of a list of 500 objects of 4 kB goes, 4 connections with one in flight each',
    work: { kind: 'list', space: OBJECTS, pageKeys: 500 },
    connections: 4,
    inFlight: 1,
    requests: 400,
  },
  {
    name: 'cost-model-tls',
    about: 'cost-model over TLS',
    work: { kind: 'put', space: OBJECTS, valueBytes: OBJECT_BYTES },
    connections: 10,
    inFlight: 5,
    requests: 20_000,
    isSecure: true,
  },
];

const LABELS: Readonly<Record<CostKind, string>> = {
  collections: 'event loop: garbage collection',
  sync: 'event loop: writing the log and waiting for the disk',
  calls: 'event loop: system calls that write, and others',
  native: 'event loop: native code, socket reads, polling',
  copying: 'event loop: copying bytes',
  checksums: 'event loop: checksums',
  transport: 'event loop: transport',
  api: 'event loop: api',
  raft: 'event loop: raft',
  storage: 'event loop: storage',
  bbolt: 'event loop: bbolt',
  server: 'event loop: server',
  other: 'event loop: base and other code of ours',
  node: 'event loop: Node’s own code',
};

/** System calls that are told by name; those of one purpose together. */
const CALL_GROUPS: readonly (readonly [label: string, names: readonly string[]])[] = [
  ['fdatasync', ['fdatasync', 'fsync']],
  ['pwrite', ['pwrite64', 'pwritev', 'pwritev2']],
  ['write', ['write', 'writev', 'sendmsg', 'sendto']],
  ['read', ['read', 'readv', 'recvmsg', 'recvfrom', 'pread64', 'preadv']],
  ['epoll', ['epoll_wait', 'epoll_pwait', 'epoll_ctl']],
  ['futex', ['futex']],
  ['memory', ['mmap', 'munmap', 'madvise', 'mprotect', 'brk', 'mremap']],
];
const OTHER_CALLS = 'other';

/** Kinds of threads by the names that Node gives them. */
const POOL_THREAD = 'libuv-worker';
const LOOP_THREAD = 'event loop';

const ROWS: readonly Row[] = [
  { figure: 'cpu', label: 'CPU per request', unit: 'us' },
  { figure: 'rate', label: 'requests per second', unit: 'per s' },
  { figure: 'loop', label: 'thread of the event loop', unit: 'us' },
  { figure: 'pool', label: 'threads that write files', unit: 'us' },
  { figure: 'v8', label: 'threads of V8 and Node', unit: 'us' },
  ...COST_KINDS.map((kind): Row => ({ figure: kind, label: LABELS[kind], unit: 'us' })),
  { figure: 'gc-share', label: 'garbage collection, share of busy time', unit: '%', goal: { atMost: 5 } },
  { figure: 'minor', label: 'collections of new objects, per 1,000 requests', unit: '×' },
  { figure: 'major', label: 'full collections, per 1,000 requests', unit: '×' },
  { figure: 'allocated', label: 'memory asked for outside the heap', unit: 'bytes' },
  { figure: 'written', label: 'written to the disk', unit: 'bytes' },
  ...CALL_GROUPS.map(
    ([label]): Row => ({ figure: `call-${label}`, label: `system calls: ${label}`, unit: '×' }),
  ),
  { figure: `call-${OTHER_CALLS}`, label: 'system calls: all others', unit: '×' },
];

/** By group, per request; none without strace. */
function callFigures(calls: SystemCalls | null, requests: number): Record<string, number> {
  const figures: Record<string, number> = {};
  let named = 0;
  for (const [label, names] of CALL_GROUPS) {
    const count = names.reduce((sum, name) => sum + (calls?.get(name) ?? 0), 0);
    named += count;
    figures[`call-${label}`] = count / requests;
  }
  const all = calls === null ? 0 : [...calls.values()].reduce((sum, count) => sum + count, 0);
  figures[`call-${OTHER_CALLS}`] = (all - named) / requests;
  return figures;
}

function costCase(one: CostCase): BenchCase {
  const open = async ({ program, isQuick }: Stage) => {
    const probed = await ProbedEtcd.start(program, one.isSecure ? await benchCertificates() : null);
    const { subject, pid } = probed;
    if (one.work.kind === 'list') await fill(subject, OBJECTS, OBJECT_BYTES);
    const { connections, inFlight, work } = one;
    const full = isQuick ? Math.max(connections * inFlight, one.requests / QUICK_SHARE) : one.requests;
    const load = (requests: number) => subject.run({ connections, work, pace: { inFlight, requests } });
    return {
      round: async (): Promise<Sample> => {
        const threads = probed.threadTimesUs();
        const written = writtenBytes(pid);
        const plain = await load(full);
        const perRequest = (count: number): number => count / plain.operations;
        const spent = (name: string): number =>
          (probed.threadTimesUs().get(name) ?? 0) - (threads.get(name) ?? 0);
        const [loop, pool] = [perRequest(spent(LOOP_THREAD)), perRequest(spent(POOL_THREAD))];
        const cpu = perRequest(plain.serverCpuUs);
        const writtenEach = perRequest(writtenBytes(pid) - written);
        const { profile, collections, allocatedBytes } = await probed.watch(() => load(full), 'profile');
        const times = breakDown(profile);
        const busy = [...times.values()].reduce((sum, time) => sum + time, 0);
        const traced = Math.max(connections * inFlight, full / 10);
        const calls = await probed.countSystemCalls(() => load(traced));
        return {
          cpu,
          rate: perSecond(plain.operations, plain.elapsedMs),
          loop,
          pool,
          v8: Math.max(0, cpu - loop - pool),
          ...Object.fromEntries([...times].map(([kind, time]) => [kind, time / full])),
          'gc-share': (100 * times.get('collections')!) / busy,
          minor: (1000 * collections.minor) / full,
          major: (1000 * collections.major) / full,
          allocated: allocatedBytes / full,
          written: writtenEach,
          ...callFigures(calls, traced),
        };
      },
      close: () => probed.close(),
    };
  };
  return { name: one.name, about: one.about, rows: ROWS, isOursOnly: true, isLong: true, open };
}

export const costModels: readonly BenchCase[] = CASES.map(costCase);
