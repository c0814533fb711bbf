import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PAGE_PATH, pageOf } from './document.ts';
import { RESULTS_PATH, readRuns } from './record.ts';

test('docs/robustness.md is what the record says', () => {
  assert.equal(
    readFileSync(PAGE_PATH, 'utf8'),
    pageOf(readRuns(RESULTS_PATH)),
    'node tests/robustness/document.ts',
  );
});

test('what was recorded has every mix of members, faults of every kind, and no violation', () => {
  const rounds = readRuns(RESULTS_PATH).flatMap((run) => run.rounds);
  const members = new Set(rounds.map((round) => round.members));
  for (const mix of ['ours + ours + ours', '3.5 + ours + ours', 'ours + 3.7 + ours', '3.4 + ours + ours'])
    assert.ok(members.has(mix), mix);
  const kinds = new Set(rounds.flatMap(({ faults }) => Object.keys(faults)));
  for (const kind of [
    'kill',
    'pause',
    'isolate',
    'failing disk',
    'slow disk',
    'power cut',
    'damaged bytes',
    'other clock',
    'alarm',
  ])
    assert.ok(kinds.has(kind), kind);
  assert.deepEqual(
    rounds.flatMap(({ violations }) => violations),
    [],
  );
});
