import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadOnce } from './load-once.ts';

test('what is loaded is kept, whoever asks meanwhile waits for it, and a failure is tried again', async () => {
  const outcomes: (Error | string)[] = [new Error('no file'), 'loaded', 'again'];
  const load = loadOnce(async () => {
    const outcome = outcomes.shift()!;
    if (outcome instanceof Error) throw outcome;
    return outcome;
  });
  const [first, second] = await Promise.allSettled([load(), load()]);
  assert.deepEqual([first.status, second.status], ['rejected', 'rejected']);
  assert.deepEqual(await Promise.all([load(), load()]), ['loaded', 'loaded']);
  assert.equal(await load(), 'loaded');
  assert.deepEqual(outcomes, ['again']);
});
