/** What was kept of every target is taken well, and the fuzzer finds what it has to find. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import type { FuzzTarget } from '@etcd/testing';
import { judgeInput } from './judge-input.ts';
import { mutate } from './mutate.ts';
import { PAGE, pageOf, readResults } from './record.ts';
import { loadTargets, readKept, targetFiles } from './targets.ts';

/** Of what was kept for slow targets one in so many is fed. */
const SLOW_SHARE = 4;

for (const file of targetFiles()) {
  for (const target of await loadTargets(file)) {
    test(`S17 S21 ${target.name}: seeds, regressions and kept inputs are taken well`, async () => {
      const { regressions, corpus } = readKept(target.name);
      const kept = target.isSlow === true ? corpus.filter((_, i) => i % SLOW_SHARE === 0) : corpus;
      for (const input of [...target.seeds(), ...regressions, ...kept]) {
        const finding = await judgeInput(target, input);
        assert.equal(finding, null, `${Buffer.from(input).toString('base64')}: ${finding?.details}`);
      }
    });
  }
}

function targetOf(run: FuzzTarget['run']): FuzzTarget {
  return { name: 'trial', what: 'a trial', seeds: () => [new Uint8Array(0)], run };
}

test('an input that throws, has no end, or makes a target hold much is told', async () => {
  const input = Uint8Array.of(1);
  assert.equal(
    await judgeInput(
      targetOf(() => {}),
      input,
    ),
    null,
  );
  const thrown = await judgeInput(
    targetOf(() => {
      throw new TypeError('wrong');
    }),
    input,
  );
  assert.equal(thrown?.kind, 'error');
  assert.match(thrown!.details, /TypeError: wrong/);
  let isOver = false;
  const endless = targetOf(() => {
    while (!isOver);
  });
  assert.equal((await judgeInput(endless, input, 100))?.kind, 'hang');
  const waiting = targetOf(() => new Promise<void>(() => {}));
  assert.equal((await judgeInput(waiting, input, 100))?.kind, 'hang');
  const late = targetOf(() => Promise.reject(new RangeError('later')));
  assert.match((await judgeInput(late, input))!.details, /RangeError: later/);
  isOver = true;
  const held: Uint8Array[] = [];
  const greedy = targetOf(() => void held.push(new Uint8Array(64 * 1024 * 1024)));
  assert.equal((await judgeInput(greedy, input))?.kind, 'memory');
  held.length = 0;
});

test('changes leave what they were made from as it was, and stay within the length', () => {
  const corpus = [Uint8Array.from({ length: 40 }, (_, i) => i), new Uint8Array(0)];
  const before = corpus.map((input) => Buffer.from(input).toString('hex'));
  const source = { random: new SeededRandom(1), corpus, tokens: [Buffer.from('token')], maxBytes: 50 };
  const made = new Set<string>();
  for (let i = 0; i < 500; i++) {
    const input = mutate(source);
    assert.ok(input.length <= 50);
    made.add(Buffer.from(input).toString('hex'));
  }
  assert.ok(made.size > 300);
  assert.deepEqual(
    corpus.map((input) => Buffer.from(input).toString('hex')),
    before,
  );
});

test('docs/fuzzing.md is what the record says', () => {
  assert.equal(readFileSync(PAGE, 'utf8'), pageOf(readResults()), 'node tools/fuzz/record.ts');
});
