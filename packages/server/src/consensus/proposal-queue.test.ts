/** What waits to be proposed: in which order and in what portions raft gets it, who is told that it does not, and how much may wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfChange, Message } from '@etcd/api/raftpb';
import { SILENT_LOGGER } from '@etcd/base';
import { StepError } from '@etcd/raft';
import { SimClock } from '@etcd/testing';
import { ProposalQueue } from './proposal-queue.ts';

const SELF = 1n;
const MIB = 1024 * 1024;

/** Raft as far as proposals go. */
class Raft {
  readonly id = SELF;
  lead = SELF;
  transferee = 0n;
  refuses = false;
  /** What came, one entry for each call. */
  readonly got: string[] = [];

  propose(batch: readonly Uint8Array[]): StepError | null {
    this.got.push(batch.length > 5 ? `${batch.length}` : batch.map((data) => Buffer.from(data)).join());
    return this.refuses ? StepError.ProposalDropped : null;
  }

  proposeConfChange({ id }: ConfChange): StepError | null {
    this.got.push(`change ${id}`);
    return this.refuses ? StepError.ProposalDropped : null;
  }

  step({ index }: Message): StepError | null {
    this.got.push(`held ${index}`);
    return this.refuses ? StepError.ProposalDropped : null;
  }
}

function newQueue(): { queue: ProposalQueue; raft: Raft; dropped: number[] } {
  const raft = new Raft();
  const dropped: number[] = [];
  const queue = new ProposalQueue({
    node: raft as never,
    clock: new SimClock(),
    logger: SILENT_LOGGER,
    requestTimeoutMs: 1000,
    onDropped: (id) => dropped.push(id),
  });
  return { queue, raft, dropped };
}

function fill(queue: ProposalQueue): void {
  queue.add(Buffer.from('a'), 1);
  queue.addAsLeader(Buffer.from('own'), 2);
  queue.addConfChange(new ConfChange({ id: 3n }), 3);
  queue.hold(new Message({ index: 4 }));
  queue.add(Buffer.from('b'), 5);
}

test('a leader gets its own decisions first, then what others passed on, changes, and requests as one batch', () => {
  const { queue, raft, dropped } = newQueue();
  fill(queue);
  assert.equal(queue.submit(), false, 'nothing is left');
  assert.deepEqual(raft.got, ['own', 'held 4', 'change 3', 'a,b']);
  assert.equal(queue.submit(), false);
  assert.deepEqual([raft.got.length, dropped], [4, []], 'each is proposed once');
});

test('without a leader all waits but what only a leader may propose; while one hands over, that waits too', () => {
  const { queue, raft, dropped } = newQueue();
  fill(queue);
  raft.transferee = 2n;
  queue.submit();
  assert.deepEqual([raft.got, dropped], [[], []]);
  raft.transferee = 0n;
  raft.lead = 0n;
  queue.submit();
  assert.deepEqual([raft.got, dropped, queue.count], [[], [2], 2]);
  raft.lead = 7n;
  queue.submit();
  assert.deepEqual(raft.got, ['held 4', 'change 3', 'a,b'], 'another leader takes what is passed on to it');
});

test('whoever proposes is told of each proposal that raft does not take; what others passed on is kept', () => {
  const { queue, raft, dropped } = newQueue();
  fill(queue);
  raft.refuses = true;
  queue.submit();
  assert.deepEqual(dropped, [2, 3, 1, 5]);
  raft.refuses = false;
  raft.got.length = 0;
  queue.submit();
  assert.deepEqual(raft.got, ['held 4']);
});

test('a batch has a bound in number and in bytes; what is over it comes with the next', () => {
  const { queue, raft } = newQueue();
  for (let i = 0; i < 5000; i++) queue.add(Buffer.from('x'), i);
  assert.deepEqual([queue.submit(), queue.submit(), queue.submit()], [true, true, false]);
  assert.deepEqual(raft.got, ['2048', '2048', '904']);
  const large = newQueue();
  for (let i = 0; i < 10; i++) large.queue.add(new Uint8Array(MIB), i);
  large.queue.submit();
  assert.equal(large.queue.count, 6, 'four of a MiB are a batch');
});

test('S20 there is no room beyond a bound in bytes, in number, and in changes of the configuration, until some are gone', () => {
  const inBytes = newQueue();
  const data = new Uint8Array(16 * MIB);
  for (let i = 0; i < 16; i++) {
    assert.equal(inBytes.queue.hasRoom, true);
    inBytes.queue.add(data, i);
  }
  assert.equal(inBytes.queue.hasRoom, false);
  inBytes.queue.submit();
  assert.equal(inBytes.queue.hasRoom, true);
  const inNumber = newQueue();
  for (let i = 0; i < 200_000; i++) inNumber.queue.add(data.subarray(0, 1), i);
  assert.equal(inNumber.queue.hasRoom, false);
  inNumber.queue.forget((id) => id > 0);
  assert.equal(inNumber.queue.hasRoom, true);
  const changes = newQueue();
  for (let i = 0; i < 1000; i++) changes.queue.addConfChange(new ConfChange(), i);
  assert.equal(changes.queue.hasRoom, false);
  changes.queue.forget(() => false);
  assert.equal(changes.queue.hasRoom, true);
});

test('what nobody awaits any more is never proposed, and what is left keeps its ids', () => {
  const { queue, raft, dropped } = newQueue();
  fill(queue);
  queue.forget((id) => id === 5);
  raft.refuses = true;
  queue.submit();
  assert.deepEqual([raft.got.includes('b'), raft.got.includes('change 3')], [true, false]);
  assert.deepEqual(dropped, [2, 5]);
});

test('who is told that a batch was not taken is of that batch alone', () => {
  const { queue, raft, dropped } = newQueue();
  for (let i = 0; i < 3000; i++) queue.add(Buffer.from('x'), i);
  raft.refuses = true;
  assert.equal(queue.submit(), true);
  assert.deepEqual([dropped.length, dropped.at(-1), queue.count], [2048, 2047, 952]);
  assert.equal(queue.submit(), false);
  assert.deepEqual([dropped.length, dropped.at(-1)], [3000, 2999]);
});
