import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { Fence } from './fence.ts';
import { Findings } from './findings.ts';
import { Scrubber } from './scrubber.ts';
import { FakeHost, hashAnswer, type OtherMember, SECOND, THIRD } from './testing/fake-members.ts';

/** The longest time between two looks at whether a scrub is due. */
const CHECK_MS = 80_000;
const INTERVAL_MS = 4 * 60 * 60_000;
const CONFIRMATION_MS = 10_000;
const SETTLE_MS = 1000;
const { ErrCompacted } = INTERNAL_ERRORS.mvcc;

class Scrubs {
  readonly host: FakeHost;
  readonly fence: Fence;
  readonly findings: Findings;
  readonly scrubber: Scrubber;
  hasForeignMember = false;

  constructor(...others: readonly bigint[]) {
    this.host = new FakeHost(others);
    const { disk, logger } = this.host;
    this.fence = new Fence({ disk, directory: '/data/member', logger });
    this.findings = new Findings(this.host, this.fence);
    this.scrubber = new Scrubber({
      host: this.host,
      findings: this.findings,
      hasForeignMember: () => this.hasForeignMember,
    });
    this.scrubber.start();
  }

  other(id: bigint): OtherMember {
    return this.host.others.find((member) => member.id === id)!;
  }

  get count(): number {
    return this.host.ownStore.hashedAtMs.length;
  }

  /** Until the next scrub has its answers. */
  next(): void {
    const { clock } = this.host;
    const before = this.count;
    assert.ok(
      clock.advanceUntil(() => this.count > before, CHECK_MS),
      'a scrub',
    );
    clock.advance(SETTLE_MS);
  }
}

const EQUAL = 'the whole store is the same as on other members';

test('the whole store is compared soon after the start, at one revision, and then every four hours', () => {
  const scrubs = new Scrubs(SECOND, THIRD);
  const { host } = scrubs;
  scrubs.next();
  assert.ok(host.clock.now() >= 60_000 && host.clock.now() <= CHECK_MS + SETTLE_MS);
  const lines = host.lines(EQUAL);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /"revision":10,"compact-revision":-1,"number-of-members":3/);
  assert.deepEqual(
    host.fake.asked.map(({ request }) => Buffer.from(request.body!).toString()),
    ['{"revision":10}', '{"revision":10}'],
  );
  host.clock.advance(INTERVAL_MS - CHECK_MS);
  assert.equal(scrubs.count, 1);
  host.clock.advance(2 * CHECK_MS);
  assert.equal(scrubs.count, 2);
});

test('the others get a second to come to the revision that is compared', () => {
  const scrubs = new Scrubs(SECOND);
  const { host } = scrubs;
  scrubs.next();
  assert.equal(host.fake.asked[0]!.atMs, host.ownStore.hashedAtMs[0]! + SETTLE_MS);
});

test('a difference is believed when it has been seen three times in a row, ten seconds apart', () => {
  const scrubs = new Scrubs(SECOND, THIRD);
  const { host, findings } = scrubs;
  scrubs.other(THIRD).store = { hash: 7, compactRevision: -1 };
  scrubs.next();
  scrubs.next();
  assert.equal(findings.isDiffering(THIRD), false);
  assert.equal(host.metrics.integrityMismatchesTotal.value, 2);
  scrubs.next();
  assert.ok(findings.isDiffering(THIRD));
  const [first, second, third] = host.ownStore.hashedAtMs;
  assert.equal(second! - first!, SETTLE_MS + CONFIRMATION_MS);
  assert.equal(third! - second!, SETTLE_MS + CONFIRMATION_MS);
  assert.match(host.lines('the data of a member differ')[0]!, /"revision":10,"found-in":"store"/);
});

test('a difference that passes fences nobody, and is counted from the beginning when it comes again', () => {
  const scrubs = new Scrubs(SECOND, THIRD);
  const { host, findings, scrubber } = scrubs;
  const sound = scrubs.other(THIRD).store;
  const differs = { hash: 7, compactRevision: -1 };
  for (const store of [differs, differs, sound, differs, differs]) {
    scrubs.other(THIRD).store = store;
    scrubber.want();
    scrubs.next();
  }
  assert.equal(host.metrics.integrityMismatchesTotal.value, 4);
  assert.equal(findings.isDiffering(THIRD), false);
  assert.equal(host.lines(EQUAL).length, 1);
});

test('the member that differs itself is fenced, and the others are told to look at themselves', () => {
  const scrubs = new Scrubs(SECOND, THIRD);
  const { host, fence } = scrubs;
  host.ownStore.hash = 7;
  for (let i = 0; i < 3; i++) scrubs.next();
  assert.deepEqual(fence.facts, { revision: 10, foundIn: 'store' });
  for (const id of [SECOND, THIRD]) {
    assert.deepEqual(host.askedOf(id, 'statehash'), ['POST /members/statehash']);
  }
});

test('without a majority nobody is told, and the search does not go on for ever', () => {
  const scrubs = new Scrubs(SECOND);
  const { host, fence } = scrubs;
  host.ownStore.hash = 7;
  for (let i = 0; i < 3; i++) scrubs.next();
  assert.equal(host.lines('there is no majority that tells whose are right').length, 1);
  assert.deepEqual(host.askedOf(SECOND, 'statehash'), []);
  assert.equal(fence.isRaised, false);
  host.clock.advance(INTERVAL_MS / 2);
  assert.equal(scrubs.count, 3);
});

test('members at another compaction, behind, or silent are not compared, and it is tried again', () => {
  const scrubs = new Scrubs(SECOND, THIRD);
  const { host } = scrubs;
  scrubs.other(SECOND).store = { hash: 7, compactRevision: 4 };
  scrubs.other(THIRD).store = null;
  scrubs.next();
  assert.equal(host.metrics.integrityMismatchesTotal.value, 0);
  assert.equal(host.lines(EQUAL).length, 0);
  scrubs.other(SECOND).store = { hash: 100, compactRevision: -1 };
  scrubs.next();
  assert.match(host.lines(EQUAL)[0]!, /"number-of-members":2/);
});

test('a store that is being replaced or compacted is not hashed, nor one without a member to compare with', () => {
  const scrubs = new Scrubs(SECOND);
  const { host } = scrubs;
  const { ownStore } = host;
  const obstacles: readonly ((isThere: boolean) => void)[] = [
    (isThere) => (ownStore.isReady = !isThere),
    (isThere) => (ownStore.isCompacting = isThere),
    (isThere) => (scrubs.other(SECOND).isActive = !isThere),
  ];
  for (const obstacle of obstacles) {
    obstacle(true);
    host.clock.advance(3 * CHECK_MS);
    obstacle(false);
  }
  assert.equal(scrubs.count, 0);
  scrubs.next();
  assert.equal(host.lines(EQUAL).length, 1);
});

test('a hash that fails is no finding, and the next one comes', () => {
  const scrubs = new Scrubs(SECOND);
  const { host } = scrubs;
  host.ownStore.error = ErrCompacted;
  scrubs.next();
  assert.deepEqual(host.fake.asked, []);
  host.ownStore.error = null;
  scrubs.next();
  assert.equal(host.lines(EQUAL).length, 1);
});

test('while a member is there that can be compared in no other way, every new revision is looked at', () => {
  const scrubs = new Scrubs(SECOND);
  const { host } = scrubs;
  scrubs.hasForeignMember = true;
  scrubs.next();
  host.clock.advance(5 * CHECK_MS);
  assert.equal(scrubs.count, 1, 'nothing has changed');
  host.ownStore.revision = 11;
  scrubs.next();
  assert.equal(scrubs.count, 2);
});

test('S20 hashing a large store takes at most a twentieth of the time, however often it is wanted', () => {
  const scrubs = new Scrubs(SECOND);
  const { host, scrubber } = scrubs;
  const tookMs = 20_000;
  host.ownStore.tookMs = tookMs;
  for (let minutes = 0; minutes < 60; minutes++) {
    scrubber.want();
    host.clock.advance(60_000);
  }
  const starts = host.ownStore.hashedAtMs;
  assert.ok(starts.length >= 3);
  for (const [i, atMs] of starts.slice(1).entries()) assert.ok(atMs - starts[i]! >= 20 * tookMs);
});

test('a member that is known to differ is not compared again', () => {
  const scrubs = new Scrubs(SECOND, THIRD);
  scrubs.other(THIRD).instead = ({ path }) => (path === '/members/hashkv' ? hashAnswer(7, -1, 10) : null);
  for (let i = 0; i < 3; i++) scrubs.next();
  const count = scrubs.host.askedOf(THIRD, 'hashkv').length;
  scrubs.scrubber.want();
  scrubs.next();
  assert.equal(scrubs.host.askedOf(THIRD, 'hashkv').length, count);
  assert.match(scrubs.host.lines(EQUAL)[0]!, /"number-of-members":2/);
});

test('a stopped scrubber begins nothing, and ends what it has begun', () => {
  const scrubs = new Scrubs(SECOND);
  const { host, scrubber } = scrubs;
  host.clock.advanceUntil(() => scrubs.count === 1, CHECK_MS);
  scrubber.stop();
  host.clock.advance(INTERVAL_MS);
  assert.deepEqual([scrubs.count, host.fake.asked.length], [1, 0]);
});
