/** Mutants are where they have to be, and one that is planted changes what a test sees. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { isCovered } from './coverage.ts';
import { readEquivalents } from './equivalents.ts';
import { findMutants, keyOf } from './find-mutants.ts';
import { latestSample, PAGE, pageOf, type RecordedSample, readRecord } from './record.ts';
import { ROOM_NAMES, roomOf } from './rooms.ts';
import { runTests } from './run-tests.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

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
  const limits = { cpuMs: 60_000, elapsedMs: 600_000 };
  assert.equal(await runTests([looks], null, limits, directory), 'passed');
  assert.equal(await runTests([looks], planted, limits, directory), 'failed');
  assert.equal(await runTests([looksAway], planted, limits, directory), 'passed');
});

test('mutants of lines that say the same are told apart, wherever the lines are', () => {
  const source = 'if (a < b) f();\nif (a < b) f();\n';
  const keys = findMutants('a.ts', source).map(keyOf);
  assert.equal(new Set(keys).size, keys.length);
  assert.deepEqual(findMutants('a.ts', `\n${source}`).map(keyOf), keys);
});

test('the shortest stretch around a place says whether a test runs through it', () => {
  const stretches = [
    [0, 100, 1],
    [10, 50, 0],
    [20, 30, 1],
  ] as const;
  const covered = [5, 10, 25, 30, 50, 99, 100].map((offset) => isCovered(stretches, offset));
  assert.deepEqual(covered, [true, false, true, false, true, true, false]);
  assert.equal(isCovered(undefined, 0), false);
});

test('what is listed as the same program is a change of the source of today', () => {
  for (const name of ROOM_NAMES) {
    const keys = new Set<string>();
    const known = readEquivalents(name);
    for (const file of new Set(known.map((equivalent) => equivalent.file))) {
      assert.ok(roomOf(name).sources.includes(file), `${name}: ${file}`);
      for (const mutant of findMutants(file, readFileSync(ROOT + file, 'utf8'))) keys.add(keyOf(mutant));
    }
    for (const equivalent of known) {
      assert.ok(keys.has(keyOf(equivalent)), `${name}: ${equivalent.file}: ${equivalent.text}`);
      assert.ok(equivalent.reason.length > 20, equivalent.text);
    }
    assert.equal(new Set(known.map(keyOf)).size, known.length, name);
  }
});

test('the same program does not count, and samples are added up by their kind', () => {
  const mutant = (text: string) => ({ file: 'a.ts', line: 1, text, nth: 1, from: '<', to: '<=' });
  const sample = (isFresh: boolean, survivors: RecordedSample['survivors']): RecordedSample => ({
    ...{ date: '2026-01-01', commit: 'abc', seed: 1, places: 50, tried: 11 },
    simulated: isFresh ? 1 : 0,
    isFresh,
    survivors,
  });
  const page = pageOf([
    {
      room: 'wal',
      samples: [sample(true, [mutant('a < b'), mutant('c < d')]), sample(false, [mutant('c < d')])],
      equivalents: [{ ...mutant('c < d'), reason: 'they are never equal' }],
    },
  ]);
  assert.match(page, /fresh samples, 9 of 11 mutants were found, 8 by tests and 1 by simulation alone/);
  assert.match(page, /and 1 make the same program: 80 % by tests, 90 % by both/);
  assert.match(page, /worked on, 10 of 11 mutants were found, 10 by tests and 0 by simulation alone/);
  assert.match(page, /and 1 make the same program: 100 % by tests, 100 % by both/);
});

test('what a fresh sample let pass is listed until it has been worked on', () => {
  const survivor = { file: 'a.ts', line: 1, text: 'a < b', nth: 1, from: '<', to: '<=' };
  const base = { date: '2026-01-01', commit: 'abc', places: 50, tried: 11, simulated: 0 };
  const fresh: RecordedSample = { ...base, seed: 2, isFresh: true, survivors: [survivor] };
  const workedOn: RecordedSample = { ...base, seed: 2, isFresh: false, survivors: [] };
  const listed = (...samples: RecordedSample[]): number =>
    pageOf([{ room: 'wal', samples, equivalents: [] }]).match(/a\.ts:1 /g)?.length ?? 0;
  assert.equal(listed(fresh), 1);
  assert.equal(listed({ ...workedOn, seed: 3 }, fresh), 1);
  assert.equal(listed(fresh, workedOn), 0);
  assert.deepEqual(latestSample([fresh, workedOn], 2), workedOn);
  assert.deepEqual(latestSample([workedOn, fresh], 2), workedOn);
  assert.equal(latestSample([fresh], 3), undefined);
});

test('docs/mutants.md is what the record says', () => {
  assert.equal(readFileSync(PAGE, 'utf8'), pageOf(readRecord()), 'node tools/mutants/record.ts');
});
