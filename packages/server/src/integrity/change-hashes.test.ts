import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { RevisionLog } from '@etcd/storage/backend';
import { BLOCK_REVISIONS, ChangeHashes, KEPT_REVISIONS } from './change-hashes.ts';
import {
  answerStateHash,
  parseStateHashAnswer,
  parseStateHashQuestion,
  type StateHashAnswer,
  type StateHashQuestion,
  stateHashPath,
} from './state-hash-protocol.ts';

const SEED = 1024;

interface Change {
  readonly text: string;
  readonly isTombstone?: boolean;
}

/** A member that has applied transactions from a revision on. */
class Applied {
  readonly hashes = new ChangeHashes();
  #log: RevisionLog;

  constructor(before: number) {
    this.#log = new RevisionLog(before);
  }

  apply(...changes: readonly Change[]): void {
    const log = this.#log;
    const revision = log.lastMain + 1;
    for (const [sub, { text, isTombstone = false }] of changes.entries()) {
      const bytes = Buffer.from(text);
      log.reserve(revision, sub, isTombstone, bytes.length);
      log.buffer.set(bytes, log.start);
    }
    this.hashes.onChanges(revision, log);
    if (revision % BLOCK_REVISIONS === 0) log.trim(0, revision);
  }

  /** The store goes on from a snapshot at `revision`. */
  replace(revision: number): void {
    this.#log = new RevisionLog(revision);
  }

  /** What another member gets to hear. */
  ask(question: StateHashQuestion): StateHashAnswer | null {
    const parsed = parseStateHashQuestion(stateHashPath(question));
    assert.deepEqual(parsed, question);
    const body = Buffer.from(answerStateHash(this.hashes, parsed!));
    return parseStateHashAnswer(question, { status: 200, body });
  }
}

function hashOf(...changes: readonly Change[]): number {
  const member = new Applied(10);
  member.apply(...changes);
  return member.hashes.at(11);
}

test('a hash tells apart values, tombstones, the order of changes and where one ends', () => {
  const transactions: readonly (readonly Change[])[] = [
    [{ text: 'ab' }],
    [{ text: 'aB' }],
    [{ text: 'ab', isTombstone: true }],
    [{ text: 'a' }, { text: 'b' }],
    [{ text: 'b' }, { text: 'a' }],
    [{ text: 'abc' }],
    [{ text: 'ab' }, { text: 'c' }],
    [{ text: 'a' }, { text: 'bc' }],
  ];
  const hashes = transactions.map((changes) => hashOf(...changes));
  assert.equal(new Set(hashes).size, transactions.length);
  assert.deepEqual(
    hashes,
    transactions.map((changes) => hashOf(...changes)),
  );
});

test('members that began at different revisions agree about what both have applied', () => {
  const random = new SeededRandom(SEED);
  const early = new Applied(1);
  const late = new Applied(1500);
  for (let revision = 2; revision <= 5000; revision++) {
    const change = { text: `value ${random.uint32()}` };
    early.apply(change);
    if (revision > 1500) late.apply(change);
  }
  const answer = late.ask({ from: 1, to: 10_000, each: false })!;
  assert.deepEqual([answer.first, answer.last], [1501, 5000]);
  assert.deepEqual(answer.hashes, early.hashes.blocks(1501, 5000));
  assert.equal(answer.hashes.length, 4);
});

test('one change that differs shows in its block and its revision, and nowhere else', () => {
  const ours = new Applied(0);
  const theirs = new Applied(0);
  for (let revision = 1; revision <= 4000; revision++) {
    ours.apply({ text: `value ${revision}` });
    theirs.apply({ text: revision === 2500 ? 'another' : `value ${revision}` });
  }
  const blocks = theirs.ask({ from: 1, to: 4000, each: false })!;
  const expected = ours.hashes.blocks(1, 4000);
  const differing = blocks.hashes.flatMap((hash, i) => (hash === expected[i] ? [] : [i]));
  assert.deepEqual(differing, [2]);
  const each = theirs.ask({ from: 2048, to: 3071, each: true })!;
  const wrong = each.hashes.flatMap((hash, i) => (hash === ours.hashes.at(2048 + i) ? [] : [2048 + i]));
  assert.deepEqual(wrong, [2500]);
});

test('behind a gap only what follows is known, and what is asked beyond is left out', () => {
  const member = new Applied(0);
  for (let i = 0; i < 10; i++) member.apply({ text: 'before' });
  member.replace(100);
  for (let i = 0; i < 5; i++) member.apply({ text: 'after' });
  assert.deepEqual([member.hashes.first, member.hashes.last], [101, 105]);
  assert.equal(member.ask({ from: 1, to: 100, each: true })!.hashes.length, 0);
  assert.equal(member.ask({ from: 106, to: 200, each: false })!.hashes.length, 0);
  const { first, last } = member.ask({ from: 50, to: 103, each: true })!;
  assert.deepEqual([first, last], [101, 103]);
});

test('the oldest hashes give way, and the ring is read right around its end', () => {
  const member = new Applied(0);
  const count = KEPT_REVISIONS + 3 * BLOCK_REVISIONS;
  for (let revision = 1; revision <= count; revision++) member.apply({ text: String(revision) });
  const { first } = member.hashes;
  assert.equal(first, count - KEPT_REVISIONS + 1);
  const young = new Applied(KEPT_REVISIONS - 10);
  for (let revision = KEPT_REVISIONS - 9; revision <= count; revision++)
    young.apply({ text: String(revision) });
  const from = young.hashes.first;
  assert.deepEqual(member.hashes.blocks(from, count), young.hashes.blocks(from, count));
  // A question about everything is answered as far as an answer goes.
  const answer = member.ask({ from: 1, to: Number.MAX_SAFE_INTEGER, each: false })!;
  assert.equal(answer.first, first);
  assert.ok(answer.hashes.length <= 512);
});

test('answers that are none, or to another question, are refused', () => {
  const question = { from: 5, to: 8, each: true };
  const answers: readonly [string, unknown][] = [
    ['another format', { format: 2, first: 5, last: 5, revisions: [1] }],
    ['too few hashes', { format: 1, first: 5, last: 6, revisions: [1] }],
    ['blocks for revisions', { format: 1, first: 5, last: 5, blocks: [1] }],
    ['revisions not asked for', { format: 1, first: 4, last: 5, revisions: [1, 2] }],
    ['a hash that is none', { format: 1, first: 5, last: 5, revisions: [2 ** 32] }],
    ['half a revision', { format: 1, first: 5.5, last: 5.5, revisions: [1] }],
    ['null', null],
  ];
  for (const [what, value] of answers) {
    const body = Buffer.from(JSON.stringify(value));
    assert.equal(parseStateHashAnswer(question, { status: 200, body }), null, what);
  }
  assert.equal(parseStateHashAnswer(question, { status: 200, body: Buffer.from('{') }), null);
  for (const query of ['', '?from=1', '?from=0&to=3', '?from=a&to=3', '?from=1&to=1e99']) {
    assert.equal(parseStateHashQuestion(`/members/statehash${query}`), null, query);
  }
});
