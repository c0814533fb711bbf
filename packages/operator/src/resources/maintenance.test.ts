import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FieldReader } from './fields.ts';
import { nextWindowMs, readMaintenance } from './maintenance.ts';

function windowsOf(...windows: object[]): ReturnType<typeof readMaintenance>['windows'] {
  const reader = new FieldReader();
  const read = readMaintenance(reader, { windows });
  assert.deepEqual(reader.problems, []);
  return read.windows;
}

const at = (text: string): number => Date.parse(`${text}:00Z`);

test('a window is open from its start on for its time, past midnight too; else the next one is waited for', () => {
  // A Saturday.
  const now = at('2026-06-06T23:30');
  assert.equal(nextWindowMs([], now), now);
  const nightly = windowsOf({ start: '23:00', durationMinutes: 120 });
  assert.equal(nextWindowMs(nightly, now), now);
  assert.equal(nextWindowMs(nightly, at('2026-06-07T00:59')), at('2026-06-07T00:59'));
  assert.equal(nextWindowMs(nightly, at('2026-06-07T01:00')), at('2026-06-07T23:00'));
  const weekly = windowsOf({ days: ['Sat'], start: '23:00', durationMinutes: 60 });
  assert.equal(nextWindowMs(weekly, now), now);
  assert.equal(nextWindowMs(weekly, at('2026-06-07T00:00')), at('2026-06-13T23:00'));
  const both = windowsOf(
    { days: ['Mon'], start: '04:00', durationMinutes: 60 },
    { days: ['Sat'], start: '23:00', durationMinutes: 60 },
  );
  assert.equal(nextWindowMs(both, at('2026-06-07T00:00')), at('2026-06-08T04:00'));
});

test('windows and rules that make no sense are named', () => {
  const reader = new FieldReader();
  readMaintenance(reader, {
    windows: [{ days: ['Samstag'], start: '24:00', durationMinutes: 1 }, 7],
    defragmentationRule: 'dbSize - 1',
  });
  assert.deepEqual(
    reader.problems.map(({ field, problem }) => `${field} ${problem}`),
    [
      'spec.maintenance.windows[0].days must be of Sun, Mon, Tue, Wed, Thu, Fri, Sat',
      'spec.maintenance.windows[0].start must be a time in UTC, as 02:30',
      'spec.maintenance.windows[0].durationMinutes must be an integer from 15 to 1440',
      'spec.maintenance.windows[1] must be an object',
      'spec.maintenance.windows[1].start must be a text that is not empty',
      'spec.maintenance.windows[1].durationMinutes must be an integer from 15 to 1440',
      "spec.maintenance.defragmentationRule the rule isn't a boolean expression",
    ],
  );
});
