/** The benchmark program end to end, as a smoke test beside real etcd: its figures mean nothing here. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { needs, REFERENCE, ROOT, SUBJECT } from '../support/programs.ts';
import { run } from '../support/run.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const MAIN = `${ROOT}bench/main.ts`;

interface Row {
  readonly case: string;
  readonly figure: string;
  readonly ours: number;
  readonly other: number | null;
  readonly ratio: number | null;
  readonly isMet: boolean | null;
}

test('two cases are measured on both programs, told and written', needs('etcd 3.5'), async () => {
  const jsonPath = join(temporaryDirectory(), 'bench.json');
  const cases = 'txn-100x10,range-10k';
  const { code, stdout, stderr } = await run(process.execPath, [
    ...[MAIN, '--quick', '--cases', cases, '--json', jsonPath],
    ...['--against', REFERENCE, '--ours', SUBJECT],
  ]);
  assert.equal(code, 0, stderr);
  const { rows } = JSON.parse(readFileSync(jsonPath, 'utf8')) as { rows: Row[] };
  assert.deepEqual([...new Set(rows.map((row) => row.case))], cases.split(','));
  const rate = rows.find((row) => row.case === 'txn-100x10' && row.figure === 'requests per second')!;
  assert.ok(rate.ours > 0 && rate.other! > 0, 'both programs answered');
  assert.ok(Math.abs(rate.ratio! - rate.ours / rate.other!) < 1e-9, 'the ratio is ours divided by the other');
  const peak = rows.find((row) => row.figure === 'peak extra memory / answer')!;
  assert.ok(peak.ours > 0 && peak.ours < 100, 'a peak of memory that can be');
  for (const row of rows) assert.ok(stdout.includes(row.figure), `${row.figure} is in the table`);
});

test('no memory is asked for outside the heap on the steady path but what sockets are read into', async () => {
  const jsonPath = join(temporaryDirectory(), 'memory.json');
  const { code, stderr, stdout } = await run(process.execPath, [
    ...[MAIN, '--quick', '--cases', 'steady-memory', '--json', jsonPath],
    // Not measured: the case looks inside, and ours only.
    ...['--against', SUBJECT, '--ours', SUBJECT],
  ]);
  assert.equal(code, 0, stderr);
  const { rows } = JSON.parse(readFileSync(jsonPath, 'utf8')) as { rows: Row[] };
  assert.equal(rows.length, 4);
  for (const row of rows) assert.equal(row.isMet, true, `${row.figure}: ${row.ours} bytes\n${stdout}`);
});

test('a wrong command line is explained, with the usage', async () => {
  for (const [args, complaint] of [
    [[], '--against is missing'],
    [['--against', '/nowhere/etcd'], '--against /nowhere/etcd: no such program'],
    [['--against', MAIN, '--cases', 'no-such'], 'there is no case no-such'],
    [['--against', MAIN, '--rounds', '0'], '--rounds 0'],
  ] as const) {
    const { code, stderr } = await run(process.execPath, [MAIN, '--ours', MAIN, ...args]);
    assert.equal(code, 2);
    assert.ok(stderr.includes(complaint), stderr);
    assert.ok(stderr.includes('npm run bench'), 'the usage follows');
  }
});
