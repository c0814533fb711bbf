/**
 * How fast time is simulated, on one core: three members, no faults, under loads of several kinds, and long worlds as they are. CPU is counted, not
 * elapsed time, so that other work on the machine changes little; it still does, by half.
 *
 *     node --max-semi-space-size=64 packages/sim/src/simulation.bench.ts
 */
import { loadSimulation } from './load-simulation.ts';
import type { SimulationOptions, SimulationResult } from './simulation.ts';
import { WITHOUT_NEWEST } from './traits.ts';
import { FULL_PACE } from './world.ts';

const { simulate } = await loadSimulation();

const READERS = ['r1', 'r2', 'r3', 'operator'];
const WATCHERS = ['w1', 'w2', 'w3'];
const QUIET = [...READERS, ...WATCHERS];

const CALM = {
  minutes: 2,
  members: 3,
  faults: [],
  pace: FULL_PACE,
  checksBounds: false,
  traits: {
    ...WITHOUT_NEWEST,
    hasTwins: false,
    countsAlike: false,
    losesTime: false,
    takesBytesLate: false,
    probesStarts: false,
    hasUsers: false,
    hasBulk: false,
    drawsSizes: false,
    failsDisks: false,
    hasWatchStyles: false,
  },
  limits: { snapshotCount: 10_000, catchUpEntries: 500, batchIntervalMs: 100, segmentBytes: 1_048_576 },
} as const satisfies Partial<SimulationOptions>;

const BURST = { clients: 4, thinkMs: 850, atOnce: 50 } as const;

const CASES: readonly (readonly [string, Partial<SimulationOptions>])[] = [
  ['nobody asks anything', { idle: [...QUIET, 'c1'], load: { clients: 1, thinkMs: 1000 }, minutes: 10 }],
  ['one request at a time of each of six', { idle: QUIET, load: { clients: 6, thinkMs: 20 } }],
  ['fifty at once of each of four', { idle: QUIET, load: BURST }],
  ['the same, nine of ten are reads of one key', { idle: QUIET, load: { ...BURST, readShare: 0.9 } }],
  ['the same, and three watchers', { idle: READERS, load: { ...BURST, readShare: 0.9 } }],
  ['one at a time, watchers and readers of everything', { load: { clients: 6, thinkMs: 12 } }],
];

/** Seeds in which clients ask about as often as they want to. */
const SEEDS = [3, 4] as const;
const LONG_SEEDS = [1, 2, 3, 4, 5, 6] as const;

async function measured(world: SimulationOptions): Promise<SimulationResult & { readonly cpuMs: number }> {
  const before = process.cpuUsage();
  const result = await simulate(world);
  const { user, system } = process.cpuUsage(before);
  return { ...result, cpuMs: (user + system) / 1000 };
}

function say(what: string, result: SimulationResult & { readonly cpuMs: number }): void {
  const { seed, simulatedMs, cpuMs, okCount, failedCount, readCount, messageCount, violation } = result;
  const perSecond = (count: number): string => ((count * 1000) / simulatedMs).toFixed(1);
  const answers = okCount + failedCount;
  const facts = [
    `${what}, seed ${seed}: ${(simulatedMs / cpuMs).toFixed(0)} times real time`,
    `${perSecond(answers)} answers, ${perSecond(readCount)} reads of everything and ${perSecond(messageCount)} messages a second`,
    answers === 0 ? '' : `${((cpuMs * 1000) / answers).toFixed(0)} µs for an answer`,
    violation === null ? '' : violation.property,
  ];
  process.stdout.write(`${facts.filter((fact) => fact !== '').join('; ')}\n`);
}

// What is measured first would pay for the compiler.
await simulate({ ...CALM, seed: 1, load: BURST, idle: QUIET });
for (const [what, world] of CASES) {
  for (const seed of SEEDS) say(what, await measured({ ...CALM, ...world, seed }));
}
let [simulatedMs, cpuMs] = [0, 0];
for (const seed of LONG_SEEDS) {
  const result = await measured({ seed, isLong: true, minutes: 240 });
  say('a long world', result);
  simulatedMs += result.simulatedMs;
  cpuMs += result.cpuMs;
}
process.stdout.write(`long worlds together: ${(simulatedMs / cpuMs).toFixed(0)} times real time\n`);
