import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { RevisionLog } from '@etcd/storage/backend';
import { Integrity } from './integrity.ts';
import { FakeHost, SECOND, THIRD } from './testing/fake-members.ts';

const ROUND_MS = 6000;
const STEP_ASIDE_MS = 5000;

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/** The member applies `changes`, from revision 2 on. */
function apply(integrity: Integrity, changes: readonly string[]): void {
  const log = new RevisionLog(1);
  for (const [i, change] of changes.entries()) {
    const bytes = Buffer.from(change);
    log.reserve(i + 2, 0, false, bytes.length);
    log.buffer.set(bytes, log.start);
    integrity.onChanges(i + 2, log);
  }
}

/** What the others have applied too. */
function sharedChanges(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `change ${i + 2}`);
}

test('what was applied is told to whoever asks for a range of it, as one hash per block or revision', () => {
  const integrity = new Integrity(new FakeHost([]));
  apply(integrity, ['a', 'b', 'c']);
  const ask = (query: string) => {
    const { status, body, contentType } = integrity.answer({
      method: 'GET',
      path: `/members/statehash?${query}`,
    });
    assert.deepEqual([status, contentType], [200, 'application/json']);
    return JSON.parse(text(body)) as {
      format: number;
      first: number;
      last: number;
      blocks?: number[];
      revisions?: number[];
    };
  };
  const blocks = ask('from=1&to=100');
  assert.deepEqual([blocks.format, blocks.first, blocks.last, blocks.blocks!.length], [1, 2, 4, 1]);
  const each = ask('from=3&to=4&each=true');
  assert.deepEqual([each.first, each.last, each.revisions!.length], [3, 4, 2]);
  const none = ask('from=5&to=9');
  assert.ok(none.first > none.last);
});

test('S21 what is no question about revisions gets a 400 that says what is one', () => {
  const integrity = new Integrity(new FakeHost([]));
  const requests = [
    { method: 'GET', path: '/members/statehash' },
    { method: 'GET', path: '/members/statehash?from=0&to=5' },
    { method: 'GET', path: '/members/statehash?from=1&to=x' },
    { method: 'GET', path: '/members/statehash?from=1.5&to=9' },
    { method: 'GET', path: `/members/statehash?from=1&to=${2 ** 60}` },
    { method: 'PUT', path: '/members/statehash?from=1&to=5' },
    { method: 'DELETE', path: '/members/statehash' },
  ];
  for (const request of requests) {
    const { status, body } = integrity.answer(request);
    assert.deepEqual([status, text(body)], [400, 'GET with a range of revisions, or POST'], request.path);
  }
});

test('a POST asks for a scrub, which comes though the last one was a moment ago', () => {
  const host = new FakeHost([SECOND]);
  const integrity = new Integrity(host);
  integrity.start();
  host.clock.advance(120_000);
  const before = host.ownStore.hashedAtMs.length;
  host.clock.advance(300_000);
  assert.equal(host.ownStore.hashedAtMs.length, before);
  assert.equal(integrity.answer({ method: 'POST', path: '/members/statehash' }).status, 202);
  host.clock.advance(100_000);
  assert.equal(host.ownStore.hashedAtMs.length, before + 1);
});

test('the check before serving is made with the gate InitialCorruptCheck, and not without it', () => {
  for (const isOn of [true, false]) {
    const host = new FakeHost([SECOND], { featureGates: `InitialCorruptCheck=${isOn}` });
    host.others[0]!.store = { hash: 7, compactRevision: -1 };
    const integrity = new Integrity(host);
    const problems: (string | null)[] = [];
    integrity.checkThen((problem) => problems.push(problem));
    host.clock.advance(1000);
    assert.deepEqual(problems, [isOn ? '1 found data inconsistency with peers' : null]);
  }
});

test('a member that finds that it differs is fenced, gives up the leadership again and again, and compares no more', () => {
  const host = new FakeHost([SECOND, THIRD]);
  const integrity = new Integrity(host);
  integrity.start();
  apply(integrity, ['wrong', ...sharedChanges(9).slice(1)]);
  for (const { changes } of host.others) changes.apply(9);
  host.clock.advance(ROUND_MS);
  assert.ok(integrity.isFenced);
  assert.equal(host.metrics.integrityFenced.value, 1);
  assert.ok(host.asides > 0);
  const { asides } = host;
  const asked = host.fake.asked.length;
  host.clock.advance(10 * STEP_ASIDE_MS);
  assert.equal(host.asides, asides + 10);
  assert.equal(host.fake.asked.length, asked);
  const answer = integrity.answer({ method: 'GET', path: '/members/statehash?from=2&to=2&each=true' });
  assert.equal(answer.status, 200, 'what it has applied is still told');
  integrity.stop();
  host.clock.advance(10 * STEP_ASIDE_MS);
  assert.equal(host.asides, asides + 10);
});

test('a fence of an earlier run stands before anything is compared', () => {
  const host = new FakeHost([SECOND, THIRD]);
  new Integrity(host).fence.raise({ revision: 5, foundIn: 'store' });
  const next = new Integrity(host);
  assert.ok(next.isFenced);
  next.start();
  host.clock.advance(20 * ROUND_MS);
  assert.deepEqual(host.fake.asked, []);
  assert.ok(host.asides > 0);
});

test('a sound member compares on and steps aside for nobody', () => {
  const host = new FakeHost([SECOND, THIRD]);
  const integrity = new Integrity(host);
  integrity.start();
  apply(integrity, sharedChanges(20));
  for (const { changes } of host.others) changes.apply(20);
  host.clock.advance(ROUND_MS);
  assert.equal(host.metrics.integrityComparedRevisionsTotal.value, 40);
  assert.deepEqual([integrity.isFenced, host.asides], [false, 0]);
  integrity.stop();
});

test('S21 a torn fence file still fences', () => {
  for (const torn of ['', '{', '{"revision":"x"}', 'null']) {
    const host = new FakeHost([]);
    const bytes = Buffer.from(torn);
    const file = host.disk.openFile('/data/member/fenced', {
      access: 'readwrite',
      create: true,
      mode: 0o600,
    });
    if (bytes.length > 0) file.write(bytes, 0, bytes.length, 0);
    file.close();
    assert.deepEqual(new Integrity(host).fence.facts, { revision: 0, foundIn: 'store' }, torn);
  }
});
