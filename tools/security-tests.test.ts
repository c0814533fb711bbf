import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  listedTests,
  numberedTests,
  partProblem,
  readPage,
  shownParts,
  withTests,
} from './security-tests.ts';

const REQUIREMENTS = Array.from({ length: 28 }, (_, i) => `S${String(i + 1).padStart(2, '0')}`);

test('every security requirement is in the document, and there are tests that carry its number', () => {
  const listed = listedTests(readPage());
  assert.deepEqual([...listed.keys()], REQUIREMENTS);
  const numbered = numberedTests();
  for (const number of REQUIREMENTS) {
    assert.ok(numbered.has(number), `no test has ${number} in its name`);
    for (const file of listed.get(number)!) {
      const again = 'node tools/security-tests.ts';
      assert.ok(numbered.get(number)!.includes(file), `${file} shows nothing of ${number}: ${again}`);
    }
  }
});

test('each part of S15 to S28 has a test of that name, with that number', () => {
  const parts = shownParts(readPage());
  assert.deepEqual([...new Set(parts.map(({ number }) => number))], REQUIREMENTS.slice(14));
  assert.deepEqual(
    parts.map(partProblem).filter((problem) => problem !== null),
    [],
  );
});

test('the tests of a requirement take the place of those that were named before', () => {
  const page = '| S01 | who may read | [old](../a/old.test.ts) |\n| S02 | what | – |\n';
  const tests = new Map([['S01', ['a/new.test.ts', 'b/other.test.ts']]]);
  const written = withTests(page, tests);
  assert.equal(
    written,
    '| S01 | who may read | [new](../a/new.test.ts), [other](../b/other.test.ts) |\n| S02 | what | – |\n',
  );
  assert.deepEqual(listedTests(written).get('S01'), ['a/new.test.ts', 'b/other.test.ts']);
});
