/** A large store under a steady load: memory, and the longest time in which the server does nothing for anybody. */
import { type BenchCase, MB, SingleServer } from '../case.ts';
import type { KeySpace } from '../load/job.ts';
import { LoadGenerator } from '../load/load-generator.ts';
import { residentMemory } from '../subject/process-usage.ts';
import { fill } from './requests.ts';

const KEY_BYTES = 40;
const VALUE_BYTES = 16;
const PUTS_PER_SECOND = 20_000;
const PROBES_PER_SECOND = 500;

export const stall5m: BenchCase = {
  name: 'stall-5m',
  about:
    '5,000,000 keys of 40 bytes, then 20,000 puts a second for a minute, and a prober in a process of its own that ' +
    'asks for a key every 2 ms without consensus: its slowest answer is the longest stall',
  isLong: true,
  isFresh: true,
  rows: [
    { figure: 'resident', label: 'resident memory', unit: 'MB', goal: { ratioAtMost: 1.2 } },
    { figure: 'anonymous', label: 'of that, not pages of files', unit: 'MB' },
    { figure: 'stall', label: 'longest stall', unit: 'ms', goal: { atMost: 50 } },
    { figure: 'probe999', label: 'p99.9 latency of probes', unit: 'ms' },
    { figure: 'p50', label: 'median latency of puts', unit: 'ms' },
    { figure: 'p999', label: 'p99.9 latency of puts', unit: 'ms', goal: { ratioAtMost: 1 } },
    { figure: 'cpu', label: 'CPU per second', unit: 'ms' },
  ],
  open: async ({ program, isQuick }) => {
    const subject = await SingleServer.start(program);
    const prober = new LoadGenerator();
    const space: KeySpace = { prefix: '/stall/', keyBytes: KEY_BYTES, count: isQuick ? 50_000 : 5_000_000 };
    const seconds = isQuick ? 3 : 60;
    await fill(subject, space, VALUE_BYTES);
    return {
      round: async () => {
        const [puts, probes] = await Promise.all([
          subject.run({
            connections: 20,
            work: { kind: 'put', space, valueBytes: VALUE_BYTES },
            pace: { perSecond: isQuick ? PUTS_PER_SECOND / 10 : PUTS_PER_SECOND, seconds },
          }),
          prober.run({
            targets: [subject.server.target],
            serverPids: [],
            connections: 1,
            work: { kind: 'get', space, isSerializable: true },
            pace: { perSecond: PROBES_PER_SECOND, seconds },
          }),
        ]);
        const memory = residentMemory(subject.server.pid);
        return {
          resident: memory.bytes / MB,
          anonymous: memory.anonymousBytes / MB,
          stall: probes.latency.max,
          probe999: probes.latency.p999,
          p50: puts.latency.p50,
          p999: puts.latency.p999,
          cpu: puts.serverCpuUs / puts.elapsedMs,
        };
      },
      close: async () => {
        prober.close();
        await subject.close();
      },
    };
  },
};
