/** What runs add to the record, and the page of it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { addRecord, addResult, newRecord, recordPage, type SimulationRecord } from './record.ts';
import { RecordFile } from './record-file.ts';
import type { SimulationResult } from './simulation.ts';

function resultOf(part: Partial<SimulationResult>): SimulationResult {
  return {
    seed: 7,
    isLong: false,
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
  addResult(record, resultOf({}), '{"seed":7}', 60_000);
  const violation = { property: 'watch', details: 'one `thing`\nand more', atMs: 3 };
  const world = '{"seed":7,"minutes":1}';
  addResult(record, resultOf({ faults: { kill: 1, pause: 5 }, violation }), world, 60_000);
  assert.equal(record.short.seeds, 2);
  assert.equal(record.short.simulatedMs, 86_400_000);
  assert.deepEqual(record.short.faults, { kill: 3, pause: 5 });
  assert.deepEqual(record.violations, [{ seed: 7, property: 'watch', details: 'one `thing`', world }]);
  const page = recordPage(record, [{ seed: 30, minutes: 3, found: 'leases ended' }]);
  for (const line of [
    '| simulated time | 1.00 days | 0.00 days | 1.00 days |',
    '| of processor time | 2 minutes | 0 minutes | 2 minutes |',
    '| answers judged | 2,400 | 0 | 2,400 |',
    '| faults injected | 8 | 0 | 8 |',
    '| pause | 5 | 0 | 5 |',
    "- seed 7, watch: `one 'thing'`",
    '| 30 | 3 | leases ended |',
  ]) {
    assert.ok(page.includes(line), `${line} in\n${page}`);
  }
  assert.ok(page.indexOf('| pause |') < page.indexOf('| kill |'));
});

test('worlds in which hours pass are counted apart, and records are added to each other', () => {
  const [record, other] = [newRecord(), newRecord()];
  addResult(record, resultOf({}), '', 0);
  const violation = { property: 'lease', details: 'ended early', atMs: 3 };
  addResult(other, resultOf({ isLong: true, faults: { stop: 1, kill: 1 }, violation }), '', 0);
  addRecord(record, other);
  const page = recordPage(record, []);
  for (const line of [
    '| simulated clusters | 1 | 1 | 2 |',
    '| simulated time | 0.50 days | 0.50 days | 1.00 days |',
    '| kill | 2 | 1 | 3 |',
    '| stop | 0 | 1 | 1 |',
    '| violations |  |  | 1 |',
  ]) {
    assert.ok(page.includes(line), `${line} in\n${page}`);
  }
});

test('a record without a violation says so', () => {
  assert.match(recordPage(newRecord(), []), /## Found in recorded runs\n\nNothing\./);
});

test('a record of its own is on disk after each world, and goes on where it was', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'sim-record-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const [path, other] = [join(directory, 'a.json'), join(directory, 'b.json')];
  new RecordFile(path).add(resultOf({}), '');
  new RecordFile(path).add(resultOf({}), '');
  new RecordFile(other).add(resultOf({ isLong: true }), '');
  new RecordFile(path).merge(other);
  const { short, long } = JSON.parse(readFileSync(path, 'utf8')) as SimulationRecord;
  assert.deepEqual([short.seeds, long.seeds], [2, 1]);
});
