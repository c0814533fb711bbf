/**
 * Memory that is asked for outside V8's heap while requests come one after another and nothing grows: it makes the collector's work. Node
 * reads every socket into memory of its own, as much as has come; the rest should be memory that is used again.
 */
import type { BenchCase, Row, Sample } from '../case.ts';
import type { Job, Work } from '../load/job.ts';
import { endOf } from '../load/template.ts';
import { ProbedEtcd } from '../subject/probed-etcd.ts';

const SPACE = { prefix: '/registry/pods/default/', count: 1_000 };
const VALUE_BYTES = 4_096;
const REQUESTS = 10_000;
const QUICK_REQUESTS = 2_000;
/** Until then the log in memory, and the revisions there, grow. */
const WARM_UP_REQUESTS = 8_000;
const WATCHERS = { connections: 2, watchersPerConnection: 5 };
/** A request of a value, as it comes over the wire. */
const WRITE_BYTES = 4_250;
/** What else may be asked for now and then, as pages of a cache that still grows. */
const SLACK_BYTES = 1_500;
const READ_BYTES = 1_000;

const PUT: Work = { kind: 'put', space: SPACE, valueBytes: VALUE_BYTES };
const TXN: Work = {
  kind: 'compare-and-put',
  space: { ...SPACE, prefix: '/registry/leases/' },
  valueBytes: VALUE_BYTES,
};
const GET: Work = { kind: 'get', space: { ...SPACE, count: 1 }, isSerializable: false };

const ROWS: readonly Row[] = [
  { figure: 'put', label: 'per Put of 4 kB', unit: 'bytes', goal: { atMost: WRITE_BYTES + SLACK_BYTES } },
  { figure: 'txn', label: 'per Txn of 4 kB', unit: 'bytes', goal: { atMost: WRITE_BYTES + SLACK_BYTES } },
  { figure: 'range', label: 'per Range of 4 kB', unit: 'bytes', goal: { atMost: READ_BYTES } },
  {
    figure: 'watch',
    label: 'per Put of 4 kB with 10 watchers',
    unit: 'bytes',
    goal: { atMost: WRITE_BYTES + 2 * SLACK_BYTES },
  },
];

export const steadyMemory: BenchCase = {
  name: 'steady-memory',
  about: 'memory asked for outside the heap on the steady path, 10 connections × 5 in flight',
  isOursOnly: true,
  isFresh: true,
  rows: ROWS,
  open: async ({ program, isQuick }) => {
    const requests = isQuick ? QUICK_REQUESTS : REQUESTS;
    const probed = await ProbedEtcd.start(program);
    const run = (work: Work, watch?: Job['watch'], count = requests) =>
      probed.subject.run({
        connections: 10,
        work,
        pace: { inFlight: 5, requests: count },
        ...(watch === undefined ? {} : { watch }),
      });
    const perRequest = async (work: () => Promise<unknown>): Promise<number> =>
      (await probed.watch(work)).allocatedBytes / requests;
    const watch = {
      ...WATCHERS,
      key: SPACE.prefix,
      rangeEnd: endOf(SPACE).toString(),
      isKubernetes: false,
      progressEveryMs: 0,
      eventsEach: requests,
    };
    return {
      round: async (): Promise<Sample> => {
        await run(PUT, undefined, WARM_UP_REQUESTS);
        return {
          put: await perRequest(() => run(PUT)),
          txn: await perRequest(() => run(TXN)),
          range: await perRequest(() => run(GET)),
          watch: await perRequest(() => run(PUT, watch)),
        };
      },
      close: () => probed.close(),
    };
  },
};
