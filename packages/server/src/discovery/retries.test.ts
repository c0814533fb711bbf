/** How long a service that is away is asked again, and what ends the asking. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { untilAnswered } from './retries.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** When it was tried, in seconds, and how it ended. */
async function tries(outcomes: readonly (string | Error)[]): Promise<{ atS: number[]; end: string }> {
  const clock = new SimClock();
  const startMs = clock.now();
  const atS: number[] = [];
  let end = '';
  const passes = (error: unknown): boolean => error instanceof RangeError;
  untilAnswered({ clock, logger: SILENT_LOGGER, step: 'status check', passes }, () => {
    atS.push((clock.now() - startMs) / 1000);
    const outcome = outcomes[atS.length - 1]!;
    return typeof outcome === 'string' ? Promise.resolve(outcome) : Promise.reject(outcome);
  }).then(
    (answer) => (end = answer),
    (error: Error) => (end = error.message),
  );
  for (await settled(); end === ''; await settled()) clock.advance(1000);
  return { atS, end };
}

test('each failure that passes by itself is waited out twice as long as the one before, up to a bound', async () => {
  const away = new RangeError('away');
  const { atS, end } = await tries([away, away, away, away, away, away, away, 'here']);
  assert.deepEqual([atS, end], [[0, 2, 6, 14, 30, 62, 94, 126], 'here']);
});

test('an answer, and an error that does not pass, end it at once', async () => {
  assert.deepEqual(await tries(['here']), { atS: [0], end: 'here' });
  const refused = new TypeError('refused');
  assert.deepEqual(await tries([new RangeError('away'), refused]), { atS: [0, 2], end: 'refused' });
});
