import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { CorruptionChecks } from './corruption-checks.ts';
import {
  FakeHost,
  type FakeHostOptions,
  hashAnswer,
  type OtherMember,
  response,
  SECOND,
  SELF,
  THIRD,
} from './testing/fake-members.ts';

const INTERVAL_MS = 60_000;
const PERIODIC: FakeHostOptions = { corruptCheckTimeMs: INTERVAL_MS };
const COMPACTION: FakeHostOptions = {
  featureGates: 'CompactHashCheck=true',
  compactHashCheckTimeMs: INTERVAL_MS,
};
const { ErrTimeout } = INTERNAL_ERRORS.errors;
const { ErrCompacted } = INTERNAL_ERRORS.mvcc;

class Checks {
  readonly host: FakeHost;
  readonly checks: CorruptionChecks;

  constructor(options: FakeHostOptions, ...others: readonly bigint[]) {
    this.host = new FakeHost(others, options);
    this.checks = new CorruptionChecks(this.host);
    this.checks.start();
  }

  other(id: bigint): OtherMember {
    return this.host.others.find((member) => member.id === id)!;
  }

  /** Lets one check be made. */
  pass(): void {
    this.host.clock.advance(INTERVAL_MS);
  }

  initial(): string | null | undefined {
    let found: string | null | undefined;
    this.checks.initialCheckThen((problem) => {
      found = problem;
    });
    this.host.clock.advance(this.host.requestTimeoutMs);
    return found;
  }
}

// --- before serving

test('before it serves a member compares its newest revision, and a mismatch speaks against serving', () => {
  const checks = new Checks({}, SECOND, THIRD);
  assert.equal(checks.initial(), null);
  assert.equal(checks.host.lines('initial corruption checking passed; no corruption').length, 1);
  checks.other(THIRD).store = { hash: 7, compactRevision: -1 };
  assert.equal(checks.initial(), '1 found data inconsistency with peers');
  assert.equal(checks.host.lines('found different hash values from remote peer').length, 1);
});

test('before serving only hashes after the same compaction count, and silence speaks for nobody', () => {
  const cases: readonly [string, (other: OtherMember) => void, string | null][] = [
    [
      'another compaction',
      (other) => (other.store = { hash: 7, compactRevision: 3 }),
      'found different compact revision values from remote peer',
    ],
    ['behind', (other) => (other.store = null), 'cannot fetch hash from slow remote peer'],
    [
      'further compacted',
      (other) => (other.instead = () => response(400, `${ErrCompacted.message}\n`)),
      'cannot fetch hash from remote peer; local member is behind',
    ],
    [
      'of another cluster',
      (other) => (other.instead = () => response(412, 'cluster ID mismatch\n')),
      'cluster ID mismatch',
    ],
    ['without an answer', (other) => (other.instead = () => 'nothing'), null],
    ['not there', (other) => (other.instead = () => 'refused'), null],
  ];
  for (const [what, change, line] of cases) {
    const checks = new Checks({}, SECOND);
    change(checks.other(SECOND));
    assert.equal(checks.initial(), null, what);
    if (line !== null) assert.equal(checks.host.lines(`"msg":"${line}"`).length, 1, what);
    else assert.equal(checks.host.lines('"level":"warn"').length, 0, what);
  }
});

test('a member that can not hash its own store does not serve', () => {
  const checks = new Checks({}, SECOND);
  checks.host.ownStore.error = ErrCompacted;
  assert.equal(checks.initial(), `1 failed to fetch hash (${ErrCompacted.message})`);
  checks.host.ownStore.isReady = false;
  assert.equal(checks.initial(), '1 failed to fetch hash (a snapshot is being restored)');
});

// --- from time to time

test('without --corrupt-check-time and the gate nobody is asked', () => {
  const checks = new Checks({ featureGates: 'CompactHashCheck=false' }, SECOND);
  for (let i = 0; i < 10; i++) checks.pass();
  assert.deepEqual(checks.host.fake.asked, []);
});

test('only the leader checks from time to time, and goes on when it leads again', () => {
  const checks = new Checks({ ...PERIODIC, featureGates: 'CompactHashCheck=false' }, SECOND);
  checks.pass();
  assert.equal(checks.host.askedOf(SECOND).length, 1);
  checks.host.leads = false;
  for (let i = 0; i < 3; i++) checks.pass();
  assert.equal(checks.host.askedOf(SECOND).length, 1);
  checks.host.leads = true;
  checks.pass();
  assert.equal(checks.host.askedOf(SECOND).length, 2);
});

test('the leader is the measure: who differs from it, is ahead or compacted further, has the alarm raised', () => {
  const cases: readonly [string, (other: OtherMember) => void, string][] = [
    [
      'another hash',
      (other) => (other.store = { hash: 7, compactRevision: -1 }),
      'same compact revision then hashes must match',
    ],
    [
      'ahead',
      (other) => (other.revision = 11),
      "revision from follower must be less than or equal to leader's",
    ],
    [
      'compacted further',
      (other) => (other.store = { hash: 100, compactRevision: 3 }),
      "compact revision from follower must be less than or equal to leader's",
    ],
  ];
  for (const [what, change, line] of cases) {
    const checks = new Checks(PERIODIC, SECOND, THIRD);
    change(checks.other(THIRD));
    checks.pass();
    assert.deepEqual(checks.host.alarms, [THIRD], what);
    assert.equal(checks.host.lines(line).length, 1, what);
    assert.match(checks.host.lines(line)[0]!, /"follower-peer-id":"3"/);
  }
});

test('a follower behind, at another compaction or silent is no reason for an alarm', () => {
  const changes: readonly ((other: OtherMember) => void)[] = [
    () => {},
    (other) => (other.revision = 9),
    (other) => (other.store = null),
    (other) => (other.store = { hash: 7, compactRevision: -2 }),
    (other) => (other.instead = () => 'nothing'),
    (other) => (other.instead = () => response(500, 'no')),
  ];
  for (const change of changes) {
    const checks = new Checks(PERIODIC, SECOND);
    change(checks.other(SECOND));
    checks.pass();
    checks.host.clock.advance(checks.host.requestTimeoutMs);
    assert.deepEqual(checks.host.alarms, []);
    assert.equal(checks.host.lines('finished peer corruption check').length, 1);
  }
});

test('a leader whose own hash of one revision changes raises the alarm for itself, and one alarm is enough', () => {
  const checks = new Checks(PERIODIC, SECOND);
  const { host } = checks;
  checks.other(SECOND).instead = () => {
    host.ownStore.hash = 101;
    return hashAnswer(55, -1, 10);
  };
  checks.pass();
  assert.deepEqual(host.alarms, [SELF]);
  const [line] = host.lines('"msg":"found hash mismatch"');
  assert.match(line!, /"hash-1":100,.*"hash-2":101/);
});

test('a check that fails is logged, raises nothing, and is made again after the interval', () => {
  const checks = new Checks(PERIODIC, SECOND);
  const { host } = checks;
  checks.other(SECOND).store = { hash: 7, compactRevision: -1 };
  host.currentError = ErrTimeout;
  checks.pass();
  host.currentError = null;
  host.ownStore.error = ErrCompacted;
  checks.pass();
  host.ownStore.error = null;
  host.ownStore.isReady = false;
  checks.pass();
  assert.equal(host.lines('failed to check hash KV').length, 3);
  assert.deepEqual(host.alarms, []);
  host.ownStore.isReady = true;
  checks.pass();
  assert.deepEqual(host.alarms, [SECOND]);
});

// --- after compactions

/** Everybody hashes alike at these revisions, when they were compacted. */
function compacted(checks: Checks, ...revisions: readonly number[]): void {
  for (const revision of revisions) {
    checks.host.ownStore.stored.push({ hash: 1000 + revision, compactRevision: revision - 1, revision });
  }
  for (const other of checks.host.others) {
    other.instead = ({ body }) => {
      const { revision } = JSON.parse(Buffer.from(body!).toString()) as { revision: number };
      return hashAnswer(1000 + revision, revision - 1, 50);
    };
  }
}

test('hashes of compactions are compared from the newest on, until one is the same everywhere', () => {
  const checks = new Checks(COMPACTION, SECOND, THIRD);
  const bodies = (): string[] =>
    checks.host.fake.asked.map(({ request }) => Buffer.from(request.body!).toString());
  compacted(checks, 10, 20, 30);
  checks.pass();
  assert.deepEqual(bodies(), ['{"revision":30}', '{"revision":30}']);
  assert.equal(checks.host.lines('successfully checked hash on whole cluster').length, 1);
  checks.pass();
  assert.equal(bodies().length, 2, 'what was checked, and what is older, is not asked for again');
  compacted(checks, 40);
  checks.pass();
  assert.deepEqual(bodies().slice(2), ['{"revision":40}', '{"revision":40}']);
  assert.deepEqual(checks.host.alarms, []);
});

test('while a member does not answer, older hashes are tried, and all of them again the next time', () => {
  const checks = new Checks(COMPACTION, SECOND, THIRD);
  compacted(checks, 10, 20);
  checks.other(THIRD).instead = () => 'refused';
  checks.pass();
  const skipped = 'skipped revision in compaction hash check; was not able to check all peers';
  assert.equal(checks.host.lines(skipped).length, 2);
  assert.match(checks.host.lines("Skipped peer's hash")[0]!, /no response: connection refused/);
  checks.pass();
  assert.equal(checks.host.lines(skipped).length, 4);
});

test('a hash after another compaction is left out, and says so', () => {
  const checks = new Checks(COMPACTION, SECOND);
  compacted(checks, 10);
  checks.other(SECOND).instead = () => hashAnswer(1, 5, 50);
  checks.pass();
  const [line] = checks.host.lines("Skipped peer's hash");
  assert.ok(line!.includes("the peer's CompactRevision 5 doesn't match leader's CompactRevision 9"));
  assert.deepEqual(checks.host.alarms, []);
});

test('a minority, be it the leader, is named in the alarm; where there is no majority, nobody is', () => {
  const FOURTH = 4n;
  const cases: readonly [string, readonly number[], readonly bigint[]][] = [
    ['one of three', [1010, 7], [THIRD]],
    ['the leader', [7, 7], [SELF]],
    ['three of three', [7, 8], [0n]],
    ['two of four', [1010, 7, 7], [0n]],
    ['one of four', [1010, 1010, 7], [FOURTH]],
    ['one of two', [7], [0n]],
  ];
  for (const [what, hashes, alarms] of cases) {
    const ids = [SECOND, THIRD, FOURTH].slice(0, hashes.length);
    const checks = new Checks(COMPACTION, ...ids);
    compacted(checks, 10);
    for (const [i, hash] of hashes.entries()) checks.host.others[i]!.instead = () => hashAnswer(hash, 9, 50);
    checks.pass();
    assert.deepEqual(checks.host.alarms, alarms, what);
    const isNamed = alarms[0] !== 0n;
    const [line] = checks.host.lines('"msg":"Detected compaction hash mismatch"');
    assert.ok(line!.includes(`"quorum-exist":${isNamed}`), what);
  }
});

test('a stopped check asks no more, and does not hear what was asked', () => {
  const checks = new Checks({ ...PERIODIC, ...COMPACTION }, SECOND);
  compacted(checks, 10);
  checks.other(SECOND).instead = () => {
    checks.checks.stop();
    return hashAnswer(7, 9, 60);
  };
  for (let i = 0; i < 5; i++) checks.pass();
  assert.deepEqual(checks.host.alarms, []);
  assert.ok(checks.host.askedOf(SECOND).length <= 2);
});
