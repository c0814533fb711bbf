/** Watch fan-out. */
import {
  type BenchCase,
  GENERATOR_ROW,
  generatorShare,
  perSecond,
  type RunningCase,
  SingleServer,
  type Stage,
} from '../case.ts';
import type { ClientFiles } from '../load/connect.ts';
import { endOf } from '../load/template.ts';
import { benchCertificates } from '../subject/certificates.ts';

const ONE_KEY = { prefix: '/watched/', count: 1 };
const OBJECTS = { prefix: '/registry/leases/', count: 5_000 };

export const watch200: BenchCase = {
  name: 'watch-200',
  about: '200 watchers of one key on 20 connections, a stream each; puts of 64 bytes, 10 in flight',
  rows: [
    { figure: 'cpu', label: 'CPU per event', unit: 'us', goal: { ratioAtMost: 1 / 5 } },
    { figure: 'rate', label: 'events per second', unit: 'per s', goal: { ratioAtLeast: 3 } },
    GENERATOR_ROW,
  ],
  open: async ({ program, isQuick }) => {
    const subject = await SingleServer.start(program);
    const requests = isQuick ? 100 : 4_000;
    return {
      round: async () => {
        const result = await subject.run({
          connections: 1,
          work: { kind: 'put', space: ONE_KEY, valueBytes: 64 },
          pace: { inFlight: 10, requests },
          watch: {
            connections: 20,
            watchersPerConnection: 10,
            key: ONE_KEY.prefix,
            rangeEnd: endOf(ONE_KEY).toString(),
            isKubernetes: false,
            progressEveryMs: 0,
            eventsEach: requests,
          },
        });
        return {
          cpu: result.serverCpuUs / result.events,
          rate: perSecond(result.events, result.elapsedMs),
          generator: generatorShare(result),
        };
      },
      close: () => subject.close(),
    };
  },
};

/** How much an API server of a middling cluster asks for. */
const REQUESTS_PER_SECOND = 1_000;

const DAY: Omit<BenchCase, 'open'> = {
  name: 'k8s-mixed',
  about:
    '1,000 requests a second as an API server mixes them (updates, gets, lists, counts, leases, compactions), ' +
    'with 50 watches of all objects that get previous values and ask for progress',
  rows: [
    { figure: 'cpu', label: 'CPU per second', unit: 'ms', goal: { ratioAtMost: 0.3 } },
    { figure: 'p50', label: 'median latency', unit: 'ms' },
    { figure: 'p99', label: 'p99 latency', unit: 'ms', goal: { ratioAtMost: 0.5 } },
    { figure: 'p999', label: 'p99.9 latency', unit: 'ms' },
    GENERATOR_ROW,
  ],
};

async function openDay({ program, isQuick }: Stage, tls: ClientFiles | null): Promise<RunningCase> {
  const subject = await SingleServer.start(program, tls);
  const seconds = isQuick ? 2 : 10;
  return {
    round: async () => {
      const result = await subject.run({
        connections: 10,
        work: { kind: 'kubernetes', space: OBJECTS, valueBytes: 1_024 },
        pace: { perSecond: REQUESTS_PER_SECOND, seconds },
        watch: {
          connections: 50,
          watchersPerConnection: 1,
          key: OBJECTS.prefix,
          rangeEnd: endOf(OBJECTS).toString(),
          isKubernetes: true,
          progressEveryMs: 100,
          eventsEach: 0,
        },
      });
      return {
        cpu: result.serverCpuUs / result.elapsedMs,
        p50: result.latency.p50,
        p99: result.latency.p99,
        p999: result.latency.p999,
        generator: generatorShare(result),
      };
    },
    close: () => subject.close(),
  };
}

export const kubernetesDays: readonly BenchCase[] = [
  { ...DAY, open: (stage) => openDay(stage, null) },
  {
    ...DAY,
    name: 'tls-k8s-mixed',
    about: 'k8s-mixed over TLS',
    isLong: true,
    open: async (stage) => openDay(stage, await benchCertificates()),
  },
];
