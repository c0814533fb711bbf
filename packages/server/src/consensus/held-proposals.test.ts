import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { Entry, Message, MessageType } from '@etcd/api/raftpb';
import { SimClock } from '@etcd/testing';
import { HeldProposals } from './held-proposals.ts';

const TIMEOUT_MS = 7000;

function proposal(...sizes: number[]): Message {
  const entries = sizes.map((size) => new Entry({ data: new Uint8Array(size) }));
  return new Message({ type: MessageType.MsgProp, entries });
}

/** What is taken, until `limit` are. */
function taken(held: HeldProposals, limit = Number.POSITIVE_INFINITY): Message[] {
  const messages: Message[] = [];
  held.submit((message) => messages.length < limit && messages.push(message) > 0);
  return messages;
}

test('what others have passed on is taken once, in its order, as far as there is room', () => {
  const held = new HeldProposals(new SimClock(), TIMEOUT_MS);
  const [first, second, third] = [proposal(1), proposal(2), proposal(3)];
  for (const message of [first, second, third]) held.add(message);
  assert.deepEqual(taken(held, 0), []);
  assert.deepEqual(taken(held, 2), [first, second]);
  assert.deepEqual(taken(held), [third]);
  assert.deepEqual(taken(held), []);
});

test('nothing is proposed any more for which nobody waits', () => {
  const clock = new SimClock();
  const held = new HeldProposals(clock, TIMEOUT_MS);
  held.add(proposal(1));
  clock.advance(1000);
  const later = proposal(2);
  held.add(later);
  clock.advance(TIMEOUT_MS - 500);
  assert.deepEqual(taken(held), [later]);
});

test('S21 what is held has a bound in bytes, of which what is taken is free again', () => {
  const held = new HeldProposals(new SimClock(), TIMEOUT_MS);
  const size = 1024 * 1024;
  for (let i = 0; i < 100; i++) held.add(proposal(size, size));
  assert.ok(held.count > 20 && held.count <= 32, `${held.count} of 2 MiB`);
  const before = held.count;
  taken(held);
  for (let i = 0; i < 100; i++) held.add(proposal(size, size));
  assert.equal(held.count, before);
  taken(held);
  // Entries without data are not for nothing either.
  for (let i = 0; i < 10_000; i++) held.add(proposal(...new Array<number>(100).fill(0)));
  assert.ok(held.count < 6000);
});

test('S21 the bound on what is held is exact, an entry counts for 128 bytes more than its data', () => {
  const limit = 64 * 1024 * 1024;
  const countOf = (...proposals: Message[]): number => {
    const held = new HeldProposals(new SimClock(), TIMEOUT_MS);
    for (const message of proposals) held.add(message);
    return held.count;
  };
  assert.equal(countOf(proposal(limit - 128)), 1);
  assert.equal(countOf(proposal(limit - 127)), 0);
  assert.equal(countOf(proposal(limit / 2, limit / 2 - 256), proposal()), 2);
  assert.equal(countOf(proposal(limit / 2), proposal(limit / 2 - 256)), 2);
  assert.equal(countOf(proposal(limit / 2), proposal(limit / 2 - 255), proposal(0)), 2);
});

test('somebody may wait for a proposal up to the end of its time', () => {
  for (const [waitedMs, count] of [
    [TIMEOUT_MS, 1],
    [TIMEOUT_MS + 1, 0],
  ] as const) {
    const clock = new SimClock();
    const held = new HeldProposals(clock, TIMEOUT_MS);
    held.add(proposal(1));
    clock.advance(waitedMs);
    assert.equal(taken(held).length, count);
    assert.equal(held.count, 0);
  }
});
