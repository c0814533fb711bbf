/** The JSON gateway over HTTP/1.1 beside the same requests over gRPC: what the gateway adds to each. */
import { type BenchCase, GENERATOR_ROW, generatorShare, perSecond, SingleServer } from '../case.ts';
import type { Work } from '../load/job.ts';
import { fill } from './requests.ts';

const CONNECTIONS = 50;
const ONE_KEY = { prefix: '/bench/', count: 1 };
const VALUE_BYTES = 256;

function gatewayCase(name: string, about: string, work: Work): BenchCase {
  return {
    name,
    about: `${about} as JSON over HTTP/1.1, ${CONNECTIONS} connections with one in flight each`,
    rows: [
      { figure: 'cpu', label: 'CPU per request', unit: 'us', goal: { ratioAtMost: 1 / 3 } },
      { figure: 'added', label: 'CPU beyond the same over gRPC', unit: 'us', goal: { atMost: 30 } },
      { figure: 'rate', label: 'requests per second', unit: 'per s' },
      { figure: 'p50', label: 'median latency', unit: 'ms' },
      GENERATOR_ROW,
    ],
    open: async ({ program, isQuick }) => {
      const subject = await SingleServer.start(program);
      await fill(subject, ONE_KEY, VALUE_BYTES);
      const job = {
        connections: CONNECTIONS,
        work,
        pace: { inFlight: 1, requests: isQuick ? 500 : 30_000 },
      };
      return {
        round: async () => {
          const grpc = await subject.run(job);
          const json = await subject.run({ ...job, isOverGateway: true });
          const cpu = json.serverCpuUs / json.operations;
          return {
            cpu,
            added: cpu - grpc.serverCpuUs / grpc.operations,
            rate: perSecond(json.operations, json.elapsedMs),
            p50: json.latency.p50,
            generator: generatorShare(json),
          };
        },
        close: () => subject.close(),
      };
    },
  };
}

export const gatewayCases: readonly BenchCase[] = [
  gatewayCase('gateway-put', 'Put, 256-byte values over 100,000 keys,', {
    kind: 'put',
    space: { prefix: '/bench/', count: 100_000 },
    valueBytes: VALUE_BYTES,
  }),
  gatewayCase('gateway-range', 'linearizable Range of one key', {
    kind: 'get',
    space: ONE_KEY,
    isSerializable: false,
  }),
];
