/**
 * `npm run mutants`: changes the core in small ways, one at a time and in memory, and runs the tests of the room that should find it. Survivors are
 * printed; those that make the same program, and those that no test looks at, are for somebody to tell apart.
 *
 *   --room A,B      these alone; all unless told
 *   --count K       so many mutants of each room, drawn at random; 40 unless told
 *   --seed N        of the draw; 1 unless told
 *   --simulate K    survivors are simulated as well, so many seeds each; 0 unless told
 *   --keep          the figures are added to `tools/mutants/results.json`, which makes docs/mutants.md
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SeededRandom } from '@etcd/base';
import { findMutants, type Mutant } from './find-mutants.ts';
import type { PlantedMutant } from './plant.ts';
import { addRoom, type RoomResult, type Survivor } from './record.ts';
import { ROOM_NAMES, type Room, roomOf } from './rooms.ts';
import { runTests } from './run-tests.ts';
import { findsBySimulation } from './simulate.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
/** Of one mutant: so many times what the tests take without one. */
const TIMEOUT_FACTOR = 5;
const LEAST_TIMEOUT_MS = 30_000;
const BASELINE_TIMEOUT_MS = 600_000;

const { values } = parseArgs({
  options: {
    room: { type: 'string', default: ROOM_NAMES.join(',') },
    count: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    simulate: { type: 'string', default: '0' },
    keep: { type: 'boolean', default: false },
  },
});

function drawn(mutants: readonly Mutant[], count: number, seed: number): Mutant[] {
  const random = new SeededRandom(seed);
  const left = [...mutants];
  const chosen: Mutant[] = [];
  while (chosen.length < count && left.length > 0) chosen.push(...left.splice(random.below(left.length), 1));
  return chosen;
}

function planted({ file, start, end, to }: Mutant): PlantedMutant {
  return { url: new URL(file, `file://${ROOT}`).href, start, end, to };
}

/** The tests beside a source first: they are the likeliest to fail. */
function ordered(tests: readonly string[], file: string): string[] {
  const own = file.replace(/\.ts$/, '.test.ts');
  return [...tests].sort((a, b) => Number(b === own) - Number(a === own));
}

async function mutateRoom(name: string, { sources, tests }: Room): Promise<RoomResult> {
  const all = sources.flatMap((file) => findMutants(file, readFileSync(ROOT + file, 'utf8')));
  const mutants = drawn(all, Number(values.count), Number(values.seed));
  const beginMs = performance.now();
  const baseline = await runTests(tests, null, BASELINE_TIMEOUT_MS, ROOT);
  if (baseline !== 'passed') throw new Error(`${name}: its tests have ${baseline} without a mutant`);
  const timeoutMs = Math.max(LEAST_TIMEOUT_MS, TIMEOUT_FACTOR * (performance.now() - beginMs));
  const survivors: Survivor[] = [];
  let simulated = 0;
  for (const mutant of mutants) {
    const outcome = await runTests(ordered(tests, mutant.file), planted(mutant), timeoutMs, ROOT);
    if (outcome !== 'passed') continue;
    if (findsBySimulation(planted(mutant), Number(values.simulate), ROOT)) {
      simulated++;
      continue;
    }
    const { file, line, from, to } = mutant;
    survivors.push({ file, line, from: oneLine(from), to: oneLine(to) });
    process.stdout.write(`  survives: ${file}:${line}: ${oneLine(from)} → ${oneLine(to)}\n`);
  }
  return { room: name, places: all.length, tried: mutants.length, simulated, survivors };
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, 100);
}

for (const name of values.room.split(',')) {
  const result = await mutateRoom(name, roomOf(name));
  const { tried, places, simulated, survivors } = result;
  const found = tried - survivors.length;
  const share = tried === 0 ? 0 : Math.round((100 * found) / tried);
  process.stdout.write(
    `${name}: ${found} of ${tried} found (${share} %), ${simulated} by simulation; ${places} places\n`,
  );
  if (values.keep) addRoom(result, Number(values.seed));
}
