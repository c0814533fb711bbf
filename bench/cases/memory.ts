/** Resident memory after many puts, and how soon the server is back on that data. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchCase, MB, SingleServer } from '../case.ts';
import { keyOf } from '../load/template.ts';
import { residentMemory } from '../subject/process-usage.ts';

const SPACE = { prefix: '/bench/', count: 100_000 };
const VALUE_BYTES = 256;
/** What is held only until the next commit, or the next collection of garbage, goes in this time. */
const SETTLE_MS = 3_000;

async function restartMs(subject: SingleServer, signal: 'SIGTERM' | 'SIGKILL'): Promise<number> {
  const { server } = subject;
  await server.stop(signal);
  const startMs = performance.now();
  server.relaunch();
  await server.answers(keyOf(SPACE, 0).toString());
  return performance.now() - startMs;
}

export const memory1m: BenchCase = {
  name: 'memory-1m',
  about: '1,000,000 puts of 256 bytes over 100,000 keys, then restarts; each round on a server of its own',
  isFresh: true,
  rows: [
    { figure: 'resident', label: 'resident memory', unit: 'MB', goal: { ratioAtMost: 1 } },
    { figure: 'anonymous', label: 'of that, not pages of files', unit: 'MB' },
    { figure: 'peak', label: 'peak', unit: 'MB' },
    { figure: 'restart', label: 'restart after SIGTERM', unit: 'ms', goal: { ratioAtMost: 1 } },
    { figure: 'recovery', label: 'restart after kill -9', unit: 'ms', goal: { ratioAtMost: 1 } },
    { figure: 'restarted', label: 'resident memory after it', unit: 'MB' },
  ],
  open: async ({ program, isQuick }) => {
    const subject = await SingleServer.start(program);
    return {
      round: async () => {
        await subject.run({
          connections: 100,
          work: { kind: 'put', space: SPACE, valueBytes: VALUE_BYTES },
          pace: { inFlight: 10, requests: isQuick ? 20_000 : 1_000_000 },
        });
        await sleep(SETTLE_MS);
        const memory = residentMemory(subject.server.pid);
        const restart = await restartMs(subject, 'SIGTERM');
        await sleep(SETTLE_MS);
        const restarted = residentMemory(subject.server.pid);
        const recovery = await restartMs(subject, 'SIGKILL');
        return {
          resident: memory.bytes / MB,
          anonymous: memory.anonymousBytes / MB,
          peak: memory.peakBytes / MB,
          restart,
          recovery,
          restarted: restarted.bytes / MB,
        };
      },
      close: () => subject.close(),
    };
  },
};
