/** Simulated clusters: the same seed does the same, seeds run without a violation, and bugs that are put in are found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FOCUS } from './corpus.ts';
import { loadSimulation } from './load-simulation.ts';
import type { Plant } from './plant.ts';
import type { SimulationResult } from './simulation.ts';
import { WITHOUT_NEWEST } from './traits.ts';

const { simulate, PLANTS } = await loadSimulation();

/** Short simulations of everything; `npm run sim` runs many long ones. */
const SHORT_SEEDS = 60;
const SEEDS_PER_TEST = 20;
/** Of each test: in these it is also waited for that members hold nothing any more. */
const BOUNDED_SEEDS = 5;
const SHORT_MINUTES = 0.5;
const FIRST_SEED = 100_000;
/** Within so many seeds a planted bug must show. */
const PLANT_SEEDS = 60;
const PLANT_MINUTES = 2;

function explain({ seed, violation, tail }: SimulationResult): string {
  const again = `npm run sim -- --seed ${seed} --minutes ${SHORT_MINUTES} --trace`;
  return `${violation?.property}: ${violation?.details}\n${tail.slice(-30).join('\n')}\nagain: ${again}`;
}

for (const members of [3, 5]) {
  test(`a cluster of ${members} replays byte for byte from its seed`, async () => {
    const seed = 7;
    const [first, second] = [
      await simulate({ seed, minutes: 1, members }),
      await simulate({ seed, minutes: 1, members, print: () => {} }),
    ];
    assert.equal(first.violation, null, explain(first));
    assert.ok(first.faultCount > 0 && first.okCount > 0, 'nothing happened');
    // Reading along, as the second run does, changes nothing.
    assert.equal(second.traceHash, first.traceHash);
    assert.deepEqual({ ...second, tail: [] }, { ...first, tail: [] });
    const other = await simulate({ seed: seed + 1, minutes: 1, members });
    assert.notEqual(other.traceHash, first.traceHash);
  });
}

test('a cluster whose members speak HTTP replays byte for byte from its seed', async () => {
  const world = { seed: 5, minutes: 0.2, members: 3, traits: { ...PLAIN, hasHttpPeers: true } };
  const [first, second] = [await simulate(world), await simulate({ ...world, print: () => {} })];
  assert.equal(first.violation, null, explain(first));
  assert.ok(first.messageCount > 0 && first.okCount > 0, 'nothing happened');
  assert.equal(second.traceHash, first.traceHash);
});

for (let first = FIRST_SEED; first < FIRST_SEED + SHORT_SEEDS; first += SEEDS_PER_TEST) {
  test(`${SEEDS_PER_TEST} short simulations from seed ${first} on run without a violation`, async () => {
    let faults = 0;
    for (let seed = first; seed < first + SEEDS_PER_TEST; seed++) {
      const checksBounds = seed - first < BOUNDED_SEEDS;
      const result = await simulate({ seed, minutes: SHORT_MINUTES, checksBounds });
      assert.equal(result.violation, null, `seed ${seed}: ${explain(result)}`);
      faults += result.faultCount;
    }
    assert.ok(faults > SEEDS_PER_TEST, `only ${faults} faults in all of them`);
  });
}

/** What these bugs don't need, and what makes worlds take longer. */
const PLAIN = {
  ...WITHOUT_NEWEST,
  hasBulk: false,
  drawsSizes: false,
  failsDisks: false,
  hasWatchStyles: false,
};
const MIXED_UP = ['no failure', 'linearizability', 'equal states', 'exactly once', 'refusal', 'watch'];
const EXPECTED: Readonly<Record<keyof typeof PLANTS, readonly string[]>> = {
  // What was lost shows in a log that makes no sense any more, or in what the cluster decided twice.
  acknowledgesBeforeSync: [
    'no failure',
    'restart',
    'election safety',
    'leader completeness',
    'state machine safety',
    'log matching',
    'equal states',
  ],
  countsVotesTwice: [
    'election safety',
    'leader completeness',
    'state machine safety',
    'log matching',
    'no failure',
  ],
  // Answers go to others, of another kind even, and members apply what is not in the log.
  countsRequestsFromTheClock: MIXED_UP,
  findsRequestsById: MIXED_UP,
  forgetsEvents: ['watch', 'progress'],
  // A member that looks for what is gone ends; one that finds too little says so.
  goesOnInTheNewStore: ['linearizability', 'reads', 'no failure'],
  // All members do the same, and not what the log says.
  ignoresAuthRevision: ['linearizability', 'refusal', 'reads', 'watch', 'equal states'],
  // The others come to another verdict.
  judgesWhenProposing: ['equal states', 'linearizability', 'reads', 'watch', 'refusal'],
  compactsUnderReaders: ['linearizability', 'reads', 'no failure'],
  readsWithoutAsking: ['linearizability'],
  // The log itself refuses it.
  recordsSnapshotsBlindly: ['no failure'],
  trustsWhatItFinds: [
    'no failure',
    'restart',
    'election safety',
    'leader completeness',
    'state machine safety',
    'log matching',
    'equal states',
  ],
};

for (const [name, plant] of Object.entries(PLANTS) as [keyof typeof PLANTS, Plant][]) {
  test(`a planted bug is found: ${name}`, async (context) => {
    for (let seed = 1; seed <= PLANT_SEEDS; seed++) {
      const { traits, ...focus } = FOCUS[name] ?? {};
      const world = { minutes: PLANT_MINUTES, sharesDraws: true, ...focus, traits: { ...PLAIN, ...traits } };
      const { violation } = await simulate({ ...world, seed, plant });
      if (violation === null) continue;
      context.diagnostic(`seed ${seed}: ${violation.property}: ${violation.details.slice(0, 200)}`);
      // What is wrong in answers may be found on a disk first.
      assert.ok(['offline', ...EXPECTED[name]].includes(violation.property), violation.property);
      return;
    }
    assert.fail(`not within ${PLANT_SEEDS} seeds`);
  });
}
