import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { UnfinishedBodies, type UnfinishedBody } from './unfinished-bodies.ts';

const IDLE_MS = 60_000;

class Bodies {
  readonly clock = new SimClock();
  readonly bodies = new UnfinishedBodies({ clock: this.clock, maxBytes: 1000, idleMs: IDLE_MS });
  readonly idle: string[] = [];

  begin(name: string, isConversation = false): UnfinishedBody {
    return this.bodies.begin(isConversation, () => void this.idle.push(name));
  }
}

test('S20 what all of them hold is bounded, and given back', () => {
  const all = new Bodies();
  const { bodies } = all;
  const [first, second] = [all.begin('a'), all.begin('b')];
  assert.equal(first.hold(600), true);
  assert.equal(second.hold(400), true);
  assert.equal(second.hold(401), false);
  assert.equal(bodies.heldBytes, 1000);
  assert.equal(first.hold(100), true);
  assert.equal(second.hold(900), true);
  first.end();
  first.end();
  second.end();
  assert.deepEqual([bodies.heldBytes, bodies.count], [0, 0]);
  assert.equal(first.hold(500), true);
  assert.equal(bodies.heldBytes, 0);
});

test('S20 one that rests for too long is over, one that comes on is not', () => {
  const all = new Bodies();
  all.begin('silent');
  const slow = all.begin('slow');
  for (let i = 1; i < 10; i++) {
    slow.hold(i);
    all.clock.advance(IDLE_MS - 1);
  }
  assert.deepEqual(all.idle, ['silent']);
  all.clock.advance(2 * IDLE_MS);
  assert.deepEqual(all.idle, ['silent', 'slow']);
  assert.deepEqual([all.bodies.heldBytes, all.bodies.count], [0, 0]);
});

test('a conversation rests as long as it likes, but not in the middle of something', () => {
  const all = new Bodies();
  const talk = all.begin('talk', true);
  all.clock.advance(100 * IDLE_MS);
  assert.deepEqual(all.idle, []);
  talk.hold(5);
  talk.hold(0);
  all.clock.advance(100 * IDLE_MS);
  assert.deepEqual(all.idle, []);
  talk.hold(5);
  all.clock.advance(2 * IDLE_MS);
  assert.deepEqual(all.idle, ['talk']);
});

test('nobody is looked after where there is nobody', () => {
  const all = new Bodies();
  all.begin('a').end();
  all.clock.advance(10 * IDLE_MS);
  all.begin('b');
  all.clock.advance(2 * IDLE_MS);
  assert.deepEqual(all.idle, ['b']);
});
