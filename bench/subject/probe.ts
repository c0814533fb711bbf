/**
 * Loaded into our server before it starts (`--import`), to say where its time goes: answers each line that comes over the Unix socket
 * named in this module's own query. `start` begins to look, with a profiler if the line goes on with `profile`, at each turn of the event loop if it
 * goes on with `turns`; `stop` ends it and
 * answers a {@link ProbeReport} as a line of JSON.
 * It takes part in no other run: what it costs is in its own figures only.
 */
import { Session } from 'node:inspector';
import { createServer, type Socket } from 'node:net';
import { constants, PerformanceObserver, performance } from 'node:perf_hooks';
import type { ProbeReport, Profile, Turns } from './probe-report.ts';

/** Often enough for a round of a second, and rare enough not to be seen itself. */
const SAMPLING_INTERVAL_US = 250;
/** Often enough that a collection in between hides little. */
const MEMORY_INTERVAL_MS = 5;

const NO_PROFILE: Profile = { nodes: [], samples: [], timeDeltas: [] };

const session = new Session();
session.connect();

const collections = { minor: 0, minorMs: 0, major: 0, majorMs: 0, otherMs: 0 };
/** When garbage was collected since the start. */
let collected: { readonly fromMs: number; readonly toMs: number }[] = [];
new PerformanceObserver((list) => {
  for (const { detail, startTime, duration } of list.getEntries() as unknown as {
    detail: { kind: number };
    startTime: number;
    duration: number;
  }[]) {
    if (watcher !== null) collected.push({ fromMs: startTime, toMs: startTime + duration });
    if (detail.kind === constants.NODE_PERFORMANCE_GC_MINOR) {
      collections.minor++;
      collections.minorMs += duration;
    } else if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) {
      collections.major++;
      collections.majorMs += duration;
    } else collections.otherMs += duration;
  }
}).observe({ entryTypes: ['gc'] });

/** Turns that are worth a second look: it is known only afterwards in which garbage was collected. */
const LONG_TURN_MS = 0.1;
const MAX_LONG_TURNS = 100_000;

class TurnWatcher {
  #count = 0;
  #lastMs = performance.now();
  #isOver = false;
  readonly #long: { readonly fromMs: number; readonly toMs: number }[] = [];

  /** Looks as often as the event loop turns, which does not rest meanwhile. */
  readonly look = (): void => {
    const nowMs = performance.now();
    this.#count++;
    if (nowMs - this.#lastMs > LONG_TURN_MS && this.#long.length < MAX_LONG_TURNS) {
      this.#long.push({ fromMs: this.#lastMs, toMs: nowMs });
    }
    this.#lastMs = nowMs;
    if (!this.#isOver) setImmediate(this.look);
  };

  stop(): void {
    this.#isOver = true;
  }

  report(): Turns {
    const own = this.#long.filter(
      ({ fromMs, toMs }) => !collected.some((one) => one.fromMs < toMs && one.toMs > fromMs),
    );
    return { count: this.#count, longestMs: Math.max(0, ...own.map(({ fromMs, toMs }) => toMs - fromMs)) };
  }
}

let watcher: TurnWatcher | null = null;
let before = { ...collections };
let allocatedBytes = 0;
let lastBytes = 0;
let timer: NodeJS.Timeout | null = null;

function lookAtMemory(): void {
  const { external } = process.memoryUsage();
  if (external > lastBytes) allocatedBytes += external - lastBytes;
  lastBytes = external;
}

function start(isProfiled: boolean, looksAtTurns: boolean, done: () => void): void {
  collected = [];
  watcher = looksAtTurns ? new TurnWatcher() : null;
  watcher?.look();
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
  watcher?.stop();
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
        turns: watcher?.report() ?? null,
        allocatedBytes,
      });
    });
  });
}

createServer((socket: Socket) => {
  socket.setEncoding('latin1');
  socket.on('data', (line: string) => {
    if (line.startsWith('start'))
      start(line.includes('profile'), line.includes('turns'), () => socket.write('{}\n'));
    else stop((report) => socket.end(`${JSON.stringify(report)}\n`));
  });
})
  .listen(new URL(import.meta.url).searchParams.get('socket')!)
  .unref();
