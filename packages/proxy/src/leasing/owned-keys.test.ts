import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RangeRequest, ResponseHeader } from '@etcd/api/etcdserverpb';
import { KeyValue } from '@etcd/api/mvccpb';
import { answerOf, isInside, isOwnable, type OwnedKey, OwnedKeys } from './owned-keys.ts';

const PAIR = new KeyValue({
  key: Buffer.from('k'),
  value: Buffer.from('v'),
  modRevision: 9,
  createRevision: 5,
});
const KNOWN: OwnedKey = { header: new ResponseHeader({ revision: 9 }), pair: PAIR };

function rangeOf(more: Partial<RangeRequest> = {}): RangeRequest {
  return new RangeRequest({ key: Buffer.from('k'), ...more });
}

test('an owned key is answered as a member would', () => {
  assert.deepEqual(answerOf(KNOWN, rangeOf()).kvs, [PAIR]);
  assert.deepEqual(answerOf(KNOWN, rangeOf({ keysOnly: true })).kvs[0]?.value.length, 0);
  const counted = answerOf(KNOWN, rangeOf({ countOnly: true }));
  assert.deepEqual([counted.kvs.length, counted.count], [0, 1]);
  for (const [more, isShown] of [
    [{ minModRevision: 9 }, true],
    [{ minModRevision: 10 }, false],
    [{ maxModRevision: 9 }, true],
    [{ maxModRevision: 8 }, false],
    [{ minCreateRevision: 6 }, false],
    [{ maxCreateRevision: 4 }, false],
  ] as const) {
    assert.equal(answerOf(KNOWN, rangeOf(more)).kvs.length, isShown ? 1 : 0, JSON.stringify(more));
  }
  const absent = answerOf({ ...KNOWN, pair: null }, rangeOf());
  assert.deepEqual([absent.kvs.length, absent.count, absent.header?.revision], [0, 0, 9]);
});

test('only a single key as it is now can be owned', () => {
  assert.equal(isOwnable(rangeOf()), true);
  assert.equal(isOwnable(rangeOf({ rangeEnd: Buffer.from('l') })), false);
  assert.equal(isOwnable(rangeOf({ revision: 3 })), false);
  assert.equal(isOwnable(rangeOf({ sortOrder: 1 })), false);
  assert.equal(isOwnable(rangeOf({ key: new Uint8Array(0) })), false);
});

test('what was read before a write, or before it was taken away, is not remembered', () => {
  const owned = new OwnedKeys();
  const read = owned.now;
  owned.beginWrite('k', '')();
  owned.add('k', KNOWN, read);
  assert.equal(owned.get('k'), null);
  const again = owned.now;
  owned.revoke('k', 0);
  owned.add('k', KNOWN, again);
  assert.equal(owned.get('k'), null);
  const last = owned.now;
  owned.beginWrite('a', 'z')();
  owned.add('k', KNOWN, last);
  assert.equal(owned.get('k'), null);
  owned.add('k', KNOWN, owned.now);
  assert.equal(owned.get('k'), KNOWN);
});

test('while a key is written it is neither answered nor acquired', () => {
  const owned = new OwnedKeys();
  owned.add('k', KNOWN, owned.now);
  const ends = [owned.beginWrite('k', ''), owned.beginWrite('a', '\0')];
  for (const end of ends) {
    assert.equal(owned.get('k'), null);
    assert.equal(owned.mayAcquire('k', 0), false);
    owned.add('k', KNOWN, owned.now);
    assert.equal(owned.get('k'), null);
    end();
  }
  assert.equal(owned.mayAcquire('k', 0), true);
});

test('a key that was taken away is left alone for two seconds, and its claim is gone', () => {
  const owned = new OwnedKeys();
  owned.claim('k', 7);
  assert.equal(owned.claimOf('k'), 7);
  owned.revoke('k', 1000);
  assert.deepEqual([owned.claimOf('k'), owned.mayAcquire('k', 3000)], [0, false]);
  assert.equal(owned.mayAcquire('k', 3001), true);
});

test('keys that are owned are bounded, and all are given up at once', () => {
  const owned = new OwnedKeys();
  for (let i = 0; i < 10_000; i++) owned.add(`k${i}`, KNOWN, owned.now);
  assert.equal(owned.mayAcquire('more', 0), false);
  const read = owned.now;
  owned.claim('k', 3);
  owned.clear();
  owned.add('k', KNOWN, read);
  assert.deepEqual([owned.get('k1'), owned.get('k'), owned.claimOf('k')], [null, null, 0]);
});

test('keys are ordered as by a member', () => {
  assert.equal(isInside('b', 'b', ''), true);
  assert.equal(isInside('c', 'b', ''), false);
  assert.equal(isInside('c', 'b', '\0'), true);
  assert.equal(isInside('c', 'b', 'c'), false);
  assert.equal(isInside('\xff', 'b', 'c'), false);
});
