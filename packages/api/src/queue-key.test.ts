import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contenderKey, prefixEnd, queuePrefix } from './queue-key.ts';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
const text = (key: Uint8Array): string => Buffer.from(key).toString('latin1');

test("a contender's key is the name, a slash, and the lease in hex with its sign", () => {
  const prefix = queuePrefix(bytes('jobs'));
  assert.equal(text(prefix), 'jobs/');
  assert.equal(text(contenderKey(prefix, 0x4dn)), 'jobs/4d');
  assert.equal(text(contenderKey(prefix, -5n)), 'jobs/-5');
  assert.equal(text(contenderKey(queuePrefix(bytes('')), 2n ** 63n - 1n)), '/7fffffffffffffff');
});

test('the end of a prefix is the first key behind it', () => {
  assert.equal(text(prefixEnd(bytes('a/'))), 'a0');
  assert.equal(text(prefixEnd(bytes('a\xff\xff'))), 'b');
  assert.equal(text(prefixEnd(bytes('\xff'))), '\0');
  const prefix = Buffer.from('ab');
  prefixEnd(prefix);
  assert.equal(prefix.toString(), 'ab', 'the prefix itself stays as it is');
});
