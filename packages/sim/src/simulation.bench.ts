/**
 * How fast time is simulated, on one core: three members, four clients who get about two hundred answers in each simulated second, no faults. CPU
 * is counted, not elapsed time, so that other work on the machine changes little.
 */
import { loadSimulation } from './load-simulation.ts';
import { WITHOUT_NEWEST } from './traits.ts';

const { simulate } = await loadSimulation();
const world = {
  minutes: 0.5,
  members: 3,
  faults: [],
  traits: {
    ...WITHOUT_NEWEST,
    probesStarts: false,
    hasUsers: false,
    hasBulk: false,
    drawsSizes: false,
    failsDisks: false,
    hasWatchStyles: false,
  },
  limits: { snapshotCount: 1000, catchUpEntries: 500, batchIntervalMs: 100, segmentBytes: 65_536 },
  load: { clients: 6, thinkMs: 12 },
} as const;

for (const seed of [1, 2, 3]) {
  const before = process.cpuUsage();
  const { simulatedMs, okCount, readCount, messageCount, violation } = await simulate({ ...world, seed });
  const { user, system } = process.cpuUsage(before);
  const cpuMs = (user + system) / 1000;
  const perSecond = (count: number): string => ((count * 1000) / simulatedMs).toFixed(0);
  process.stdout.write(
    [
      `seed ${seed}: ${(simulatedMs / cpuMs).toFixed(1)} times real time`,
      `${perSecond(okCount)} answers, ${perSecond(readCount)} reads of everything and ${perSecond(messageCount)} messages a simulated second`,
      `${violation?.property ?? 'no violation'}\n`,
    ].join('; '),
  );
}
