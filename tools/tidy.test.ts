import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tidy } from './tidy.ts';

test('the tree is tidy', () => {
  assert.deepEqual(tidy(new URL('..', import.meta.url).pathname), []);
});
