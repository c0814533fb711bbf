/** What distributed tracing costs: off in words, and on for a hundredth of the calls, beside a member that is told nothing of it. */
import net from 'node:net';
import { NodeClock } from '@etcd/base/node';
import { GrpcServer, socketDuplex } from '@etcd/transport';
import { type BenchCase, SingleServer } from '../case.ts';
import type { Work } from '../load/job.ts';
import { fill } from './requests.ts';

const EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
const ONE_KEY = { prefix: '/bench/', count: 1 };
const VALUE_BYTES = 256;
const LOAD = { connections: 100, inFlight: 10 };
const PER_MILLION = 10_000;

const WORKS: readonly (readonly [name: string, work: Work])[] = [
  ['put', { kind: 'put', space: { prefix: '/bench/', count: 100_000 }, valueBytes: VALUE_BYTES }],
  ['range', { kind: 'get', space: ONE_KEY, isSerializable: false }],
];

/** Takes all spans, and looks at none. */
class Collector {
  readonly #grpc = new GrpcServer({ clock: new NodeClock() });
  readonly #server = net.createServer((socket) => this.#grpc.accept(socketDuplex(socket)));

  constructor() {
    this.#grpc.unary(EXPORT, (call) => call.respond(new Uint8Array(0)));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  close(): void {
    this.#grpc.close();
    this.#server.close();
  }
}

const tracingFlags = (address: string): readonly string[] => [
  '--enable-distributed-tracing',
  `--distributed-tracing-address=${address}`,
  `--distributed-tracing-sampling-rate=${PER_MILLION}`,
];

export const tracingCase: BenchCase = {
  name: 'tracing',
  about:
    'Put and linearizable Range of a key, 100 connections × 10 in flight: CPU with tracing to that without',
  rows: WORKS.flatMap(([name]) => [
    { figure: name, label: `CPU per ${name}, nothing said of tracing`, unit: 'us' as const },
    { figure: `${name}-off`, label: `CPU per ${name}, switched off, to that`, unit: '×' as const },
    {
      figure: `${name}-on`,
      label: `CPU per ${name}, of a hundred calls one traced, to that`,
      unit: '×' as const,
      goal: { atMost: 1.05 },
    },
  ]),
  open: async ({ program, isQuick }) => {
    const collector = new Collector();
    const address = await collector.listen();
    const subjects: SingleServer[] = [];
    for (const flags of [[], ['--enable-distributed-tracing=false'], tracingFlags(address)]) {
      const subject = await SingleServer.start(program, null, '', flags);
      await fill(subject, ONE_KEY, VALUE_BYTES);
      subjects.push(subject);
    }
    return {
      round: async () => {
        const sample: Record<string, number> = {};
        for (const [name, work] of WORKS) {
          const requests = isQuick ? 1_000 : 100_000;
          const [plain = 0, off = 0, on = 0] = await cpuOfEach(subjects, work, requests);
          sample[name] = plain;
          sample[`${name}-off`] = off / plain;
          sample[`${name}-on`] = on / plain;
        }
        return sample;
      },
      close: async () => {
        for (const subject of subjects) await subject.close();
        collector.close();
      },
    };
  },
};

/** In small portions by turns, so that what else the machine does meets all of them. */
const PORTIONS = 5;

/** Microseconds per request. */
async function cpuOfEach(
  subjects: readonly SingleServer[],
  work: Work,
  requests: number,
): Promise<readonly number[]> {
  const sums = subjects.map(() => 0);
  const { connections, inFlight } = LOAD;
  for (let portion = 0; portion < PORTIONS; portion++) {
    for (const [i, subject] of subjects.entries()) {
      const result = await subject.run({
        connections,
        work,
        pace: { inFlight, requests: requests / PORTIONS },
      });
      sums[i]! += result.serverCpuUs / result.operations / PORTIONS;
    }
  }
  return sums;
}
