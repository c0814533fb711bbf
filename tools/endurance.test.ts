import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { addRun, cellText, type EnduranceRun } from './endurance/record.ts';

const GREEN: EnduranceRun = {
  date: '2026-11-29',
  commit: 'abc1234',
  files: 370,
  busyLoops: 2,
  minutes: 31,
  failed: [],
};

test('runs add up on a page that is read again: totals, names with their counts, green ones in a row', () => {
  const flaky = 'tests/x.test.ts: a lease ends; in time';
  const other = cellText('packages/y.test.ts: a `quoted` | name ');
  let page = addRun('', GREEN);
  assert.match(page, /^1 runs in 31 minutes: 1 green, 0 red; the last 1 in a row are green\.$/m);
  page = addRun(page, { ...GREEN, failed: [flaky, other] });
  page = addRun(page, { ...GREEN, minutes: 40, failed: [flaky] });
  page = addRun(page, GREEN);
  page = addRun(page, GREEN);
  assert.match(
    page,
    /^5 runs in 164 minutes: 3 green, 2 red; the last 2 in a row are green\. What failed:$/m,
  );
  assert.ok(page.includes(`\n- 2 × \`${flaky}\`\n- 1 × \`packages/y.test.ts: a 'quoted' ¦ name\`\n`));
  assert.equal(page.match(/^\| 2026-11-29 /gm)?.length, 5);
  assert.ok(page.includes(`| 31 | \`${flaky}\`<br>\`${other}\` |\n`));
});

test('failed tests are told once, by file and name, and not what only contains them', () => {
  const directory = mkdtempSync(join(tmpdir(), 'failed-reporter-'));
  try {
    writeFileSync(
      join(directory, 'x.test.mjs'),
      `import { describe, test } from 'node:test';
       test('good', () => {});
       test('bad', () => { throw new Error('no'); });
       describe('some', () => { test('inner', () => { throw new Error('no'); }); test('fine', () => {}); });`,
    );
    const reporter = new URL('failed-reporter.ts', import.meta.url).pathname;
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const args = ['--test', `--test-reporter=${reporter}`, join(directory, 'x.test.mjs')];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env });
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.replace(/^.*\/x\.test\.mjs/, 'x')),
      ['x: bad', 'x: inner'],
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
