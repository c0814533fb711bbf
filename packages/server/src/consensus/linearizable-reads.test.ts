/** When a read may be served: what counts as an answer to a question about the commit index, and what ends the waiting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { ReadState } from '@etcd/raft';
import { SimClock } from '@etcd/testing';
import { LinearizableReads, type LinearizableReadsOptions } from './linearizable-reads.ts';

/** The reads of one run of a process, and what it has asked the leader. */
function startReads(random: SeededRandom): { reads: LinearizableReads; asked: Uint8Array[] } {
  const asked: Uint8Array[] = [];
  const node = {
    readIndex: (context: Uint8Array) => void asked.push(context),
  } as unknown as LinearizableReadsOptions['node'];
  const reads = new LinearizableReads({
    node,
    clock: new SimClock(),
    logger: SILENT_LOGGER,
    requestTimeoutMs: 1000,
    wake: () => {},
    appliedIndex: () => 10,
    random,
    onSlow: () => {},
    onFailed: () => {},
  });
  return { reads, asked };
}

test('an answer that was meant for another member, or for a former run of this one, serves no read', () => {
  const random = new SeededRandom(1);
  const [former, reborn] = [startReads(random), startReads(random)];
  let served = 0;
  const reader = { onReadable: () => void served++, onUnreadable: () => {} };
  for (const { reads } of [former, reborn]) {
    reads.add(reader);
    reads.ask();
  }
  reborn.reads.onReadState(new ReadState(5, former.asked[0]!));
  assert.equal(served, 0);
  reborn.reads.onReadState(new ReadState(10, reborn.asked[0]!));
  assert.equal(served, 1);
});

const { ErrLeaderChanged, ErrStopped, ErrTimeout } = INTERNAL_ERRORS.errors;
const TIMEOUT_MS = 2000;

/** Reads of a member that has applied so much; the leader's answers are up to the test. */
class World {
  readonly clock = new SimClock();
  readonly asked: Uint8Array[] = [];
  /** By name of a reader: served (null), or why not. */
  readonly told: [string, InternalError | null][] = [];
  readonly reads: LinearizableReads;
  appliedIndex = 10;
  wakes = 0;
  slow = 0;
  failed = 0;

  constructor() {
    this.reads = new LinearizableReads({
      node: { readIndex: (context: Uint8Array) => void this.asked.push(context) } as never,
      clock: this.clock,
      logger: SILENT_LOGGER,
      requestTimeoutMs: TIMEOUT_MS,
      random: new SeededRandom(1),
      wake: () => this.wakes++,
      appliedIndex: () => this.appliedIndex,
      onSlow: () => this.slow++,
      onFailed: () => this.failed++,
    });
  }

  add(name: string): void {
    this.reads.add({
      onReadable: () => this.told.push([name, null]),
      onUnreadable: (error) => this.told.push([name, error]),
    });
  }

  /** Asks for `name` alone. */
  ask(name: string): void {
    this.add(name);
    this.reads.ask();
  }

  answer(index: number, question = this.asked.at(-1)!): void {
    this.reads.onReadState(new ReadState(index, question));
  }

  tick(ms: number): void {
    this.clock.advance(ms);
    this.reads.onTick();
  }

  get served(): string[] {
    return this.told.flatMap(([name, error]) => (error === null ? [name] : []));
  }
}

test('all reads of a turn share one question; who comes later waits for the next, which is asked for at once', () => {
  const world = new World();
  world.add('a');
  world.add('b');
  world.reads.ask();
  world.ask('late');
  assert.equal(world.asked.length, 1);
  assert.equal(world.reads.waitingCount, 3);
  const { wakes } = world;
  world.answer(10);
  assert.deepEqual([world.served, world.wakes], [['a', 'b'], wakes + 1]);
  world.reads.ask();
  assert.equal(world.asked.length, 2);
  world.answer(10, world.asked[0]);
  assert.deepEqual(world.served, ['a', 'b'], 'an answer from before it asked tells it nothing');
  world.answer(10);
  assert.deepEqual([world.served, world.reads.waitingCount], [['a', 'b', 'late'], 0]);
});

test('a read waits until everything is applied that was committed when it asked, each for its own index', () => {
  const world = new World();
  world.ask('at 12');
  world.answer(12);
  world.ask('at 11');
  world.answer(11);
  assert.deepEqual([world.served, world.reads.waitingCount], [[], 2]);
  world.reads.onApplied(10);
  assert.deepEqual(world.served, []);
  world.reads.onApplied(11);
  assert.deepEqual(world.served, ['at 11']);
  world.reads.onApplied(13);
  assert.deepEqual([world.served, world.reads.waitingCount], [['at 11', 'at 12'], 0]);
  world.reads.onApplied(14);
  assert.equal(world.told.length, 2, 'each is told once');
});

test('a question without an answer is asked again, and an answer to any of its tries counts', () => {
  const world = new World();
  world.ask('a');
  world.tick(499);
  assert.equal(world.asked.length, 1);
  world.tick(1);
  world.tick(499);
  world.tick(1);
  assert.equal(world.asked.length, 3);
  assert.equal(
    new Set(world.asked.map((name) => Buffer.from(name).toString('hex'))).size,
    3,
    'names are used once',
  );
  world.answer(10, world.asked[1]);
  assert.deepEqual(world.served, ['a']);
  world.answer(10, world.asked[2]);
  assert.deepEqual([world.told.length, world.slow], [1, 1], 'one that comes late is no answer any more');
});

test('who has waited for too long is told so, and those that came behind get a question of their own', () => {
  const world = new World();
  world.ask('a');
  world.add('b');
  world.tick(TIMEOUT_MS - 1);
  assert.deepEqual(world.told, []);
  world.wakes = 0;
  world.tick(1);
  assert.equal(world.wakes, 1, 'for those that wait');
  assert.deepEqual([world.told, world.slow], [[['a', ErrTimeout]], 1]);
  world.reads.ask();
  world.answer(10);
  assert.deepEqual(world.served, ['b']);
  world.tick(TIMEOUT_MS);
  assert.equal(world.told.length, 2, 'without a question nothing times out');
});

test('a change of the leader fails what was asked, but not what has its answer or was not asked yet', () => {
  const world = new World();
  world.ask('answered');
  world.answer(12);
  world.ask('asked');
  world.add('waiting');
  world.reads.onLeaderChanged();
  assert.deepEqual([world.told, world.failed], [[['asked', ErrLeaderChanged]], 1]);
  world.answer(12);
  assert.deepEqual(world.told.length, 1, 'the answer of the former leader comes too late');
  world.reads.ask();
  world.answer(12);
  world.reads.onApplied(12);
  assert.deepEqual(world.served, ['answered', 'waiting']);
  world.reads.onLeaderChanged();
  assert.equal(world.failed, 1, 'nothing was asked');
});

test('the first commit of a term has the question asked again: before it the leader could not answer', () => {
  const world = new World();
  world.reads.onFirstCommitInTerm();
  assert.equal(world.asked.length, 0);
  world.ask('a');
  world.reads.onFirstCommitInTerm();
  assert.equal(world.asked.length, 2);
  world.answer(10);
  assert.deepEqual(world.served, ['a']);
});

test('when the member stops everybody who waits is told, wherever it waits, and nobody twice', () => {
  const world = new World();
  world.ask('answered');
  world.answer(12);
  world.ask('asked');
  world.add('waiting');
  world.reads.stop();
  const expected = ['answered', 'asked', 'waiting'].map((name) => [name, ErrStopped]);
  assert.deepEqual([world.told, world.reads.waitingCount], [expected, 0]);
  world.answer(10);
  world.reads.onApplied(20);
  world.reads.onTick();
  world.reads.stop();
  assert.equal(world.told.length, 3);
});

test("answers with names of another length, as another program makes them, are nobody's", () => {
  const world = new World();
  world.ask('a');
  for (const length of [0, 8, 15, 17]) world.answer(10, new Uint8Array(length));
  assert.deepEqual([world.served, world.slow], [[], 4]);
});

test('who comes first has a turn made for it, who comes while a question is under way has not', () => {
  const world = new World();
  world.add('a');
  world.add('b');
  assert.equal(world.wakes, 2);
  world.reads.ask();
  const { wakes } = world;
  world.add('c');
  assert.equal(world.wakes, wakes);
});

test('a question is asked again after half a second, not before, and with each try anew', () => {
  const world = new World();
  world.ask('a');
  world.tick(499);
  assert.equal(world.asked.length, 1);
  world.tick(1);
  assert.equal(world.asked.length, 2);
  world.tick(499);
  assert.equal(world.asked.length, 2);
  world.tick(1);
  assert.equal(world.asked.length, 3);
});
