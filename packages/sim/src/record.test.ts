/** What runs add to the record, and the page of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addResult, newRecord, recordPage } from './record.ts';
import type { SimulationResult } from './simulation.ts';

function resultOf(part: Partial<SimulationResult>): SimulationResult {
  return {
    seed: 7,
    simulatedMs: 43_200_000,
    okCount: 1200,
    readCount: 3,
    eventCount: 4,
    messageCount: 5,
    entryCount: 6,
    leaderCount: 2,
    snapshotCount: 1,
    faults: { kill: 2 },
    violation: null,
    ...part,
  } as Partial<SimulationResult> as SimulationResult;
}

test('runs add up, faults by kind, and what was found is kept with its world', () => {
  const record = newRecord();
  addResult(record, resultOf({}), '{"seed":7}');
  const violation = { property: 'watch', details: 'one `thing`\nand more', atMs: 3 };
  addResult(record, resultOf({ faults: { kill: 1, pause: 5 }, violation }), '{"seed":7,"minutes":1}');
  assert.equal(record.seeds, 2);
  assert.equal(record.simulatedMs, 86_400_000);
  assert.deepEqual(record.faults, { kill: 3, pause: 5 });
  assert.deepEqual(record.violations, [
    { seed: 7, property: 'watch', details: 'one `thing`', world: '{"seed":7,"minutes":1}' },
  ]);
  const page = recordPage(record, [{ seed: 30, minutes: 3, found: 'leases ended' }]);
  for (const line of [
    '| simulated time | 1.00 days |',
    '| answers judged | 2,400 |',
    '| faults injected | 8 |',
    '| pause | 5 |',
    "- seed 7, watch: `one 'thing'`",
    '| 30 | 3 | leases ended |',
  ]) {
    assert.ok(page.includes(line), `${line} in\n${page}`);
  }
  assert.ok(page.indexOf('| pause |') < page.indexOf('| kill |'));
});

test('a record without a violation says so', () => {
  assert.match(recordPage(newRecord(), []), /## Found in recorded runs\n\nNothing\./);
});
