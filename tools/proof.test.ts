import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { namesOf, otherRows, README, readBugs, simulationRows, withProof } from './proof.ts';

const ROOT = new URL('..', import.meta.url).pathname;

test('README.md says what was tried, as the records have it', () => {
  const readme = readFileSync(README, 'utf8');
  for (const row of otherRows()) assert.ok(readme.includes(`${row}\n`), `node tools/proof.ts: ${row}`);
  // Its record grows by itself; the page that is made with it has the newest figures.
  for (const row of simulationRows()) assert.ok(readme.includes(row.slice(0, row.indexOf(' | '))));
  assert.equal(withProof(withProof(readme)), withProof(readme));
});

test('what finds a bug of the track record now is there', () => {
  const files = globSync(['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts'], { cwd: ROOT }).map(
    (file) => `/${file.replace('/src/', '/')}`,
  );
  const plants = globSync('packages/sim/src/*plant*.ts', { cwd: ROOT })
    .map((file) => readFileSync(`${ROOT}${file}`, 'utf8'))
    .join();
  const isThere = (name: string): boolean => {
    if (name.endsWith('.test.ts')) return files.some((file) => file.endsWith(`/${name}`));
    return name.includes('/') ? existsSync(`${ROOT}${name}`) : plants.includes(name);
  };
  const bugs = readBugs();
  assert.ok(bugs.length > 30);
  for (const bug of bugs) {
    assert.ok(/`|seed|simulation/.test(bug.found), `nothing finds this now: ${bug.wrong}`);
    for (const name of namesOf(bug)) assert.ok(isThere(name), `${name}, of: ${bug.wrong}`);
  }
});
