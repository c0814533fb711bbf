/**
 * Loaded into our server before it starts (`--import`), to say where its time goes: answers each line that comes over the Unix socket
 * named in this module's own query. `start` begins to look, with a profiler if the line goes on with `profile`; `stop` ends it and
 * answers a {@link ProbeReport} as a line of JSON.
 * It takes part in no other run: what it costs is in its own figures only.
 */
import { Session } from 'node:inspector';
import { createServer, type Socket } from 'node:net';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import type { ProbeReport, Profile } from './probe-report.ts';

/** Often enough for a round of a second, and rare enough not to be seen itself. */
const SAMPLING_INTERVAL_US = 250;
/** Often enough that a collection in between hides little. */
const MEMORY_INTERVAL_MS = 5;

const NO_PROFILE: Profile = { nodes: [], samples: [], timeDeltas: [] };

const session = new Session();
session.connect();

const collections = { minor: 0, minorMs: 0, major: 0, majorMs: 0, otherMs: 0 };
new PerformanceObserver((list) => {
  for (const { detail, duration } of list.getEntries() as unknown as {
    detail: { kind: number };
    duration: number;
  }[]) {
    if (detail.kind === constants.NODE_PERFORMANCE_GC_MINOR) {
      collections.minor++;
      collections.minorMs += duration;
    } else if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) {
      collections.major++;
      collections.majorMs += duration;
    } else collections.otherMs += duration;
  }
}).observe({ entryTypes: ['gc'] });

let before = { ...collections };
let allocatedBytes = 0;
let lastBytes = 0;
let timer: NodeJS.Timeout | null = null;

function lookAtMemory(): void {
  const { external } = process.memoryUsage();
  if (external > lastBytes) allocatedBytes += external - lastBytes;
  lastBytes = external;
}

function start(isProfiled: boolean, done: () => void): void {
  before = { ...collections };
  allocatedBytes = 0;
  lastBytes = process.memoryUsage().external;
  timer = setInterval(lookAtMemory, MEMORY_INTERVAL_MS);
  if (!isProfiled) return done();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: SAMPLING_INTERVAL_US });
  session.post('Profiler.start', () => done());
}

function stop(done: (report: ProbeReport) => void): void {
  clearInterval(timer!);
  lookAtMemory();
  session.post('Profiler.stop', (_error, stopped) => {
    // The observer hears of a collection in a later turn.
    setImmediate(() => {
      const profile = (stopped?.profile ?? NO_PROFILE) as Profile;
      const difference = (name: keyof typeof collections): number => collections[name] - before[name];
      done({
        profile,
        collections: {
          minor: difference('minor'),
          minorMs: difference('minorMs'),
          major: difference('major'),
          majorMs: difference('majorMs'),
          otherMs: difference('otherMs'),
        },
        allocatedBytes,
      });
    });
  });
}

createServer((socket: Socket) => {
  socket.setEncoding('latin1');
  socket.on('data', (line: string) => {
    if (line.startsWith('start')) start(line.includes('profile'), () => socket.write('{}\n'));
    else stop((report) => socket.end(`${JSON.stringify(report)}\n`));
  });
})
  .listen(new URL(import.meta.url).searchParams.get('socket')!)
  .unref();
