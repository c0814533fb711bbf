import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { BLOCK_REVISIONS } from './change-hashes.ts';
import { Fence } from './fence.ts';
import { Findings } from './findings.ts';
import { StateExchange } from './state-exchange.ts';
import { FakeHost, type OtherMember, response, SECOND, SELF, THIRD } from './testing/fake-members.ts';

/** An interval with all of its jitter: everybody has been asked once more. */
const ROUND_MS = 6000;
const FOREIGN_MS = 5 * 60_000;

class Exchange {
  readonly host: FakeHost;
  readonly fence: Fence;
  readonly findings: Findings;
  readonly exchange: StateExchange;
  undecided = 0;

  constructor(...others: readonly bigint[]) {
    this.host = new FakeHost(others);
    const { disk, logger, changes } = this.host;
    this.fence = new Fence({ disk, directory: '/data/member', logger });
    this.findings = new Findings(this.host, this.fence);
    this.exchange = new StateExchange({
      host: this.host,
      hashes: changes.hashes,
      findings: this.findings,
      onUndecided: () => this.undecided++,
    });
    this.exchange.start();
  }

  other(id: bigint): OtherMember {
    return this.host.others.find((member) => member.id === id)!;
  }

  rounds(count: number): void {
    this.host.clock.advance(count * ROUND_MS);
  }

  get compared(): number {
    return this.host.metrics.integrityComparedRevisionsTotal.value;
  }
}

test('what is equal is compared once, and then only what is new', () => {
  const exchange = new Exchange(SECOND);
  const { host } = exchange;
  host.applyAll(3000);
  exchange.rounds(1);
  assert.equal(exchange.compared, 3000);
  host.applyAll(10);
  exchange.rounds(1);
  exchange.rounds(3);
  assert.equal(exchange.compared, 3010, 'no revision twice');
  assert.deepEqual(host.askedOf(SECOND), [
    'GET /members/statehash?from=2&to=3001',
    'GET /members/statehash?from=3002&to=3011',
  ]);
  assert.equal(host.metrics.integrityMismatchesTotal.value, 0);
});

test('a member that lags is compared as far as it has come, and further later', () => {
  const exchange = new Exchange(SECOND);
  exchange.host.changes.apply(100);
  exchange.other(SECOND).changes.apply(40);
  exchange.rounds(1);
  assert.equal(exchange.compared, 40);
  exchange.other(SECOND).changes.apply(60);
  exchange.rounds(1);
  assert.equal(exchange.compared, 100);
});

test('one that differs from the other two is named with its first wrong revision, and is not asked again', () => {
  const wrong = 2 * BLOCK_REVISIONS + 17;
  const exchange = new Exchange(SECOND, THIRD);
  const { host, fence, findings } = exchange;
  host.changes.apply(3000);
  exchange.other(SECOND).changes.apply(3000);
  exchange.other(THIRD).changes.apply(3000, [wrong, wrong + 5]);
  exchange.rounds(1);
  assert.ok(findings.isDiffering(THIRD) && !findings.isDiffering(SECOND));
  assert.equal(host.metrics.integrityDifferingMembers.value, 1);
  const lines = host.lines('the data of a member differ from those of the majority');
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, new RegExp(`"member-id":"3","revision":${wrong},"found-in":"changes"`));
  assert.match(lines[0]!, /"majority-ids":\["1","2"\]/);
  assert.equal(fence.isRaised, false, 'whoever is right goes on');
  const count = host.askedOf(THIRD).length;
  exchange.rounds(5);
  assert.equal(host.askedOf(THIRD).length, count);
});

test('a block that differs is asked for revision by revision, and the one revision put before all members', () => {
  const exchange = new Exchange(SECOND, THIRD);
  exchange.host.changes.apply(2000);
  exchange.other(SECOND).changes.apply(2000, [1500]);
  exchange.other(THIRD).isActive = false;
  exchange.other(THIRD).changes.apply(2000);
  exchange.rounds(1);
  assert.deepEqual(exchange.host.askedOf(SECOND), [
    'GET /members/statehash?from=2&to=2001',
    'GET /members/statehash?from=1024&to=2001&each=true',
    'GET /members/statehash?from=1500&to=1500&each=true',
  ]);
  assert.deepEqual(exchange.host.askedOf(THIRD), ['GET /members/statehash?from=1500&to=1500&each=true']);
  assert.ok(exchange.findings.isDiffering(SECOND));
});

test('the member that is wrong itself raises its fence at the first revision that differs', () => {
  const exchange = new Exchange(SECOND, THIRD);
  exchange.host.changes.apply(50, [30, 31]);
  for (const id of [SECOND, THIRD]) exchange.other(id).changes.apply(50);
  exchange.rounds(1);
  assert.deepEqual(exchange.fence.facts, { revision: 30, foundIn: 'changes' });
  assert.ok(exchange.findings.isDiffering(SELF));
});

test('of two members that differ nobody is right: said after three rounds, once, and the whole store is to tell', () => {
  const exchange = new Exchange(SECOND);
  const { host, fence } = exchange;
  const undecided = 'there is no majority that tells whose are right';
  host.changes.apply(10);
  exchange.other(SECOND).changes.apply(10, [5]);
  exchange.rounds(2);
  assert.equal(host.metrics.integrityMismatchesTotal.value, 2);
  assert.deepEqual([host.lines(undecided).length, exchange.undecided], [0, 0], 'a third voter may be slow');
  exchange.rounds(1);
  assert.deepEqual([host.lines(undecided).length, exchange.undecided], [1, 1]);
  exchange.rounds(4);
  assert.deepEqual([host.lines(undecided).length, exchange.undecided], [1, 1]);
  assert.equal(fence.isRaised, false);
  host.applyAll(10);
  exchange.rounds(1);
  assert.equal(exchange.compared, 10, 'what comes behind is compared');
});

test('a third member that is slow decides when it has come to the revision', () => {
  const exchange = new Exchange(SECOND, THIRD);
  exchange.host.changes.apply(20);
  exchange.other(SECOND).changes.apply(20, [12]);
  exchange.rounds(1);
  assert.equal(exchange.findings.isDiffering(SECOND), false);
  exchange.other(THIRD).changes.apply(20);
  exchange.rounds(1);
  assert.ok(exchange.findings.isDiffering(SECOND));
  assert.equal(exchange.undecided, 0);
});

test('a learner is judged, and has no vote', () => {
  const exchange = new Exchange(SECOND, THIRD);
  exchange.other(THIRD).isLearner = true;
  exchange.host.changes.apply(20);
  exchange.other(SECOND).changes.apply(20);
  exchange.other(THIRD).changes.apply(20, [3]);
  exchange.rounds(1);
  assert.ok(exchange.findings.isDiffering(THIRD));

  const hung = new Exchange(SECOND, THIRD);
  hung.other(THIRD).isLearner = true;
  hung.host.changes.apply(20, [3]);
  for (const id of [SECOND, THIRD]) hung.other(id).changes.apply(20);
  hung.rounds(3);
  assert.equal(hung.fence.isRaised, false, 'one voter against one, whatever the learner says');
});

test('a member that does not know the question is told once, and asked again after five minutes', () => {
  for (const answer of [response(404, '404 page not found\n'), response(200, '{"format":2}')]) {
    const exchange = new Exchange(SECOND);
    const { host } = exchange;
    exchange.other(SECOND).instead = () => answer;
    host.applyAll(5);
    assert.equal(exchange.exchange.hasForeignMember, false);
    exchange.rounds(1);
    assert.equal(exchange.exchange.hasForeignMember, true);
    host.clock.advance(FOREIGN_MS - 2 * ROUND_MS);
    assert.equal(host.askedOf(SECOND).length, 1);
    host.clock.advance(3 * ROUND_MS);
    assert.equal(host.askedOf(SECOND).length, 2);
    assert.equal(host.lines('a member does not tell hashes of its changes').length, 1);
    exchange.other(SECOND).isActive = false;
    assert.equal(exchange.exchange.hasForeignMember, false, 'who is away need not be compared');
    exchange.other(SECOND).isActive = true;
    exchange.other(SECOND).instead = null;
    host.clock.advance(FOREIGN_MS + ROUND_MS);
    assert.equal(exchange.compared, 5, 'it has been replaced by one that knows the question');
    assert.equal(exchange.exchange.hasForeignMember, false);
  }
});

test('a member that is not ready is no other kind of member: it is asked again in the next round', () => {
  const exchange = new Exchange(SECOND);
  exchange.other(SECOND).instead = () => response(503, 'member is not ready\n');
  exchange.host.applyAll(5);
  exchange.rounds(1);
  assert.equal(exchange.exchange.hasForeignMember, false);
  exchange.other(SECOND).instead = null;
  exchange.rounds(1);
  assert.equal(exchange.compared, 5);
});

test('members that are not connected are not asked, nor is one whose last answer is still awaited', () => {
  const exchange = new Exchange(SECOND, THIRD);
  exchange.other(SECOND).isActive = false;
  exchange.other(THIRD).instead = () => 'nothing';
  exchange.host.applyAll(5);
  exchange.rounds(6);
  const times = exchange.host.fake.asked.map(({ atMs }) => atMs);
  assert.ok(times.length > 2, 'given up, and tried again');
  for (const [i, atMs] of times.slice(1).entries()) assert.ok(atMs - times[i]! >= 5000);
  assert.equal(exchange.host.askedOf(SECOND).length, 0);
});

test('each peer URL is tried until one answers', () => {
  const exchange = new Exchange(SECOND);
  const { host } = exchange;
  const members = host.members();
  const dead = 'http://dead:2380';
  const several = {
    ...host,
    members: () => members.map((member) => ({ ...member, peerUrls: [dead, ...member.peerUrls] })),
    network: host.network,
  };
  const other = new StateExchange({
    host: several,
    hashes: host.changes.hashes,
    findings: exchange.findings,
    onUndecided: () => {},
  });
  exchange.exchange.stop();
  other.start();
  host.applyAll(5);
  exchange.rounds(1);
  assert.deepEqual(
    host.fake.asked.map(({ url }) => url),
    [dead, 'http://member2:2380'],
  );
  assert.equal(exchange.compared, 5);
});

test('a member that was removed is forgotten, with what was found about it', () => {
  const exchange = new Exchange(SECOND, THIRD);
  exchange.host.changes.apply(20);
  exchange.other(SECOND).changes.apply(20);
  exchange.other(THIRD).changes.apply(20, [3]);
  exchange.rounds(1);
  assert.equal(exchange.host.metrics.integrityDifferingMembers.value, 1);
  exchange.host.remove(THIRD);
  exchange.rounds(1);
  assert.equal(exchange.host.metrics.integrityDifferingMembers.value, 0);
  assert.equal(exchange.findings.isDiffering(THIRD), false);
});

test('a stopped exchange asks nobody, and does not hear what comes late', () => {
  const exchange = new Exchange(SECOND);
  const { host } = exchange;
  host.changes.apply(10);
  exchange.other(SECOND).changes.apply(10, [4]);
  exchange.other(SECOND).instead = () => {
    exchange.exchange.stop();
    return null;
  };
  exchange.rounds(5);
  assert.equal(host.askedOf(SECOND).length, 1);
  assert.deepEqual([exchange.compared, host.metrics.integrityMismatchesTotal.value], [0, 0]);
});
