/** Mutants are where they have to be, and one that is planted changes what a test sees. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { findMutants } from './find-mutants.ts';
import { PAGE, pageOf, readRooms } from './record.ts';
import { ROOM_NAMES, roomOf } from './rooms.ts';
import { runTests } from './run-tests.ts';

const SOURCE = `/** A module. */
import { assert } from './assert.ts';
function clamp(value: number, limit: number): number {
  assert(limit > 0, 'a limit');
  if (value < limit) return value as number;
  count();
  return limit - 1;
}
`;

test('conditions, limits, statements, operands and numbers are changed, what says nothing is not', () => {
  const found = findMutants('clamp.ts', SOURCE).map(({ line, from, to }) => `${line} ${from} → ${to}`);
  assert.deepEqual(
    found,
    [
      '5 value < limit → !(value < limit)',
      '5 < → <=',
      '6 count(); → ;',
      '8 limit - 1 → 1 - limit',
      '8 - → +',
      '8 1 → (1 + 1)',
    ].map((text) => text.replace(/^8/, '7')),
  );
});

test('every room has sources and tests', () => {
  for (const name of ROOM_NAMES) {
    const { sources, tests } = roomOf(name);
    assert.ok(sources.length > 0 && tests.length > 0, name);
  }
});

test('a mutant is found by a test that looks at it, and survives one that does not', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'etcd-mutants-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const source =
    'export { isBelow };\nconst isBelow = (value: number, limit: number): boolean => value < limit;\n';
  writeFileSync(join(directory, 'below.ts'), source);
  const testOf = (name: string, check: string): string => {
    const path = join(directory, name);
    const imports = `import { test } from 'node:test';\nimport assert from 'node:assert/strict';\nimport { isBelow } from './below.ts';\n`;
    writeFileSync(path, `${imports}test('it is', () => assert.equal(${check}, true));\n`);
    return path;
  };
  const [looks, looksAway] = [testOf('a.test.ts', '!isBelow(2, 2)'), testOf('b.test.ts', 'isBelow(1, 2)')];
  const [mutant] = findMutants('below.ts', source).filter(({ operator }) => operator === 'boundary');
  const { start, end, to } = mutant!;
  const planted = { url: pathToFileURL(join(directory, 'below.ts')).href, start, end, to };
  assert.equal(await runTests([looks], null, 60_000, directory), 'passed');
  assert.equal(await runTests([looks], planted, 60_000, directory), 'failed');
  assert.equal(await runTests([looksAway], planted, 60_000, directory), 'passed');
});

test('docs/mutants.md is what the record says', () => {
  assert.equal(readFileSync(PAGE, 'utf8'), pageOf(readRooms()), 'node tools/mutants/record.ts');
});
