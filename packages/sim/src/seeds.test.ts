/** Every seed that ever failed goes on being run. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadSimulation } from './load-simulation.ts';
import { type Traits, WITHOUT_NEWEST } from './traits.ts';

interface FailedSeed {
  readonly seed: number;
  readonly minutes: number;
  readonly members?: number;
  readonly traits?: Partial<Traits>;
  /** What was wrong then. */
  readonly found: string;
}

const { simulate } = await loadSimulation();

const { seeds } = JSON.parse(readFileSync(new URL('seeds.json', import.meta.url), 'utf8')) as {
  readonly seeds: readonly FailedSeed[];
};

for (const { seed, minutes, members, traits, found } of seeds) {
  test(`seed ${seed} of ${minutes} minutes, which showed that ${found}`, async () => {
    const { violation, tail } = await simulate({
      seed,
      minutes,
      members,
      sharesDraws: true,
      traits: { ...WITHOUT_NEWEST, ...traits },
    });
    assert.equal(
      violation,
      null,
      `${violation?.property}: ${violation?.details}\n${tail.slice(-30).join('\n')}`,
    );
  });
}
