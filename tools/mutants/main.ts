/**
 * `npm run mutants`: changes the core in small ways, one at a time and in memory, and runs the tests of the room that should find it. Survivors are
 * printed; those that make the same program are listed in `equivalents/`.
 *
 *   --room A,B      these alone; all unless told
 *   --count K       so many mutants of each room, drawn at random; 40 unless told
 *   --seed N        of the draw; 1 unless told
 *   --simulate K    survivors are simulated as well, so many seeds each; 0 unless told
 *   --keep          the figures are added to `tools/mutants/results/`, which makes docs/mutants.md
 *   --fresh         kept as those of mutants that nobody had seen before
 *   --again         only those that survived when the figures of this seed were last kept: a sample that is worked on
 *
 * Ends with 1 when a mutant that is listed as the same program is found.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SeededRandom } from '@etcd/base';
import { equivalentKeys } from './equivalents.ts';
import { findMutants, keyOf, type Mutant } from './find-mutants.ts';
import {
  addSample,
  countsOf,
  latestSample,
  type RoomResult,
  readSamples,
  type Survivor,
  shareOf,
} from './record.ts';
import { RoomTests } from './room-tests.ts';
import { ROOM_NAMES, type Room, roomOf } from './rooms.ts';
import { findsBySimulation } from './simulate.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

const { values } = parseArgs({
  options: {
    room: { type: 'string', default: ROOM_NAMES.join(',') },
    count: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    simulate: { type: 'string', default: '0' },
    keep: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    again: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);

function drawn(mutants: readonly Mutant[], count: number): Mutant[] {
  const random = new SeededRandom(seed);
  const left = [...mutants];
  const chosen: Mutant[] = [];
  while (chosen.length < count && left.length > 0) chosen.push(...left.splice(random.below(left.length), 1));
  return chosen;
}

/** What is tried now, and what is known of the others of the sample. */
function sampleOf(name: string, all: readonly Mutant[]): [mutants: readonly Mutant[], tried: number] {
  if (!values.again) {
    const mutants = drawn(all, Number(values.count));
    return [mutants, mutants.length];
  }
  const sample = latestSample(readSamples(name), seed);
  if (sample === undefined) throw new Error(`no figures are kept of ${name} and seed ${seed}`);
  const keys = new Set(sample.survivors.map(keyOf));
  const mutants = all.filter((mutant) => keys.has(keyOf(mutant)));
  // What is not in the source any more was no mutant of it.
  return [mutants, sample.tried - (keys.size - mutants.length)];
}

async function mutateRoom(name: string, room: Room): Promise<RoomResult> {
  const all = room.sources.flatMap((file) => findMutants(file, readFileSync(ROOT + file, 'utf8')));
  const [mutants, tried] = sampleOf(name, all);
  const tests = new RoomTests(room, ROOT);
  await tests.check();
  const same = equivalentKeys(name);
  const survivors: Survivor[] = [];
  let simulated = values.again ? latestSample(readSamples(name), seed)!.simulated : 0;
  for (const mutant of mutants) {
    const { file, line, text, nth, from, to } = mutant;
    const isSame = same.has(keyOf(mutant));
    let isFound = (await tests.find(mutant)) !== 'passed';
    if (!isFound && !isSame && findsBySimulation(mutant, Number(values.simulate), ROOT)) {
      isFound = true;
      simulated++;
    }
    if (!isFound) survivors.push({ file, line, text, nth, from, to });
    if (isFound === isSame) {
      if (isSame) process.exitCode = 1;
      const what = isSame ? 'listed as the same program, and found' : 'survives';
      process.stdout.write(`  ${what}: ${file}:${line} (${nth}): ${text}\n      ${from} → ${to}\n`);
    }
  }
  return { places: all.length, tried, simulated, survivors };
}

for (const name of values.room.split(',')) {
  const result = await mutateRoom(name, roomOf(name));
  const counts = countsOf(result, equivalentKeys(name));
  const { tried, found, equivalent } = counts;
  process.stdout.write(
    `${name}: ${found} of ${tried} found, ${equivalent} are the same program (${shareOf(counts)}), ${result.simulated} found by simulation; ${result.places} places\n`,
  );
  if (values.keep) addSample(name, result, seed, values.fresh);
}
