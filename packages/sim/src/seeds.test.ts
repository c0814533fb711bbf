/** Every seed that ever failed goes on being run. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { simulate } from './simulation.ts';

interface FailedSeed {
  readonly seed: number;
  readonly minutes: number;
  readonly members?: number;
  /** What was wrong then. */
  readonly found: string;
}

const { seeds } = JSON.parse(readFileSync(new URL('seeds.json', import.meta.url), 'utf8')) as {
  readonly seeds: readonly FailedSeed[];
};

for (const { seed, minutes, members, found } of seeds) {
  test(`seed ${seed} of ${minutes} minutes, which showed that ${found}`, async () => {
    const { violation, tail } = await simulate({ seed, minutes, members });
    assert.equal(
      violation,
      null,
      `${violation?.property}: ${violation?.details}\n${tail.slice(-30).join('\n')}`,
    );
  });
}
