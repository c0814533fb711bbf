import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRequest } from '@etcd/api/etcdserverpb';
import { ClusterVersionSetRequest } from '@etcd/api/membershippb';
import { SILENT_LOGGER } from '@etcd/base';
import {
  type Attributes,
  formatClusterVersion,
  Membership,
  type MembershipState,
  NO_DOWNGRADE,
  newMember,
  parseVersion,
} from '@etcd/storage/membership';
import { SimClock } from '@etcd/testing';
import type { MaxClusterVersion } from '../config/index.ts';
import { type Propose, type Waiter, waiterOf } from '../request/index.ts';
import { ClusterAttributes } from './cluster-attributes.ts';
import { Releases } from './releases.ts';

const OURS = 'ours';
const ATTRIBUTES: Attributes = { name: 'self', clientUrls: ['http://self:2379'] };
const NO_BUCKETS = { put: () => {}, delete: () => {} };

interface Given {
  readonly version?: string | null;
  /** What the other members run: null for one that is not there. */
  readonly others?: (string | null)[];
  readonly isLeader?: boolean;
  readonly limit?: MaxClusterVersion;
  readonly isPublished?: boolean;
}

/** A member among others, whose proposals are applied at once. */
class Subject {
  readonly clock = new SimClock();
  readonly others: (string | null)[];
  readonly proposed: string[] = [];
  readonly membership: Membership;
  readonly attributes: ClusterAttributes;
  isReady = false;
  isKept = false;

  constructor({ version = null, others = [], isLeader = true, limit = 'keep', isPublished = false }: Given) {
    this.others = others;
    const members = [null, ...others].map((_, i) =>
      newMember(BigInt(i + 1), { peerUrls: [`http://m${i}:2380`], isLearner: false }),
    );
    if (isPublished) members[0] = { ...members[0]!, ...ATTRIBUTES };
    const decided = version === null ? null : parseVersion(`${version}.0`);
    const state: MembershipState = { members, removedIds: [], version: decided, downgrade: NO_DOWNGRADE };
    this.membership = new Membership({ clusterId: 7n, state });
    const releases = new Releases({
      membership: this.membership,
      memberId: 1n,
      ask: (asked, done) => done(asked.map(({ id }) => this.#answerOf(Number(id) - 2))),
    });
    this.attributes = new ClusterAttributes({
      membership: this.membership,
      memberId: 1n,
      attributes: ATTRIBUTES,
      maxClusterVersion: limit,
      clock: this.clock,
      logger: SILENT_LOGGER,
      requestTimeoutMs: 5000,
      isLeader: () => isLeader,
      releases,
      propose: this.#apply,
      proposeV2: (encode, waiter) => this.#applyV2(encode(1n), waiter),
      read: (reader) => reader.onReadable(),
      onPublished: () => {
        this.isReady = true;
      },
      onKept: (isKept) => {
        this.isKept = isKept;
      },
      followVersion: () => {},
    });
  }

  /** As the member does when it has been elected. */
  start(): void {
    this.attributes.start();
    this.attributes.checkVersion();
    this.clock.advance(0);
  }

  setVersion(text: string): void {
    this.membership.setVersion(parseVersion(text)!, NO_BUCKETS);
    this.attributes.onClusterVersion();
  }

  get version(): string | null {
    const { version } = this.membership;
    return version === null ? null : formatClusterVersion(version);
  }

  #answerOf(position: number) {
    const release = this.others[position] ?? null;
    const server = release === OURS ? '3.7.3' : release === null ? null : `${release}.1`;
    return { server, cluster: null, isOurs: release === OURS };
  }

  readonly #apply: Propose = (kind, request, waiter) => {
    this.proposed.push(kind === 'clusterVersionSet' ? 'version' : 'attributes');
    this.clock.defer(() => {
      if (kind === 'clusterVersionSet') waiterOf(waiter, 'clusterVersionSet')!.onApplied({ revision: 1 });
      else waiterOf(waiter, 'clusterMemberAttrSet')!.onApplied({ revision: 1 });
      if (request instanceof ClusterVersionSetRequest) this.setVersion(request.ver);
    });
  };

  #applyV2(bytes: Uint8Array, waiter: Waiter<'v2'>): void {
    const { path, val } = decodeRequest(bytes);
    this.proposed.push(`v2 ${path === '/0/version' ? 'version' : 'attributes'}`);
    this.clock.defer(() => {
      waiter.onApplied({ revision: 1 });
      if (path === '/0/version') this.setVersion(val);
    });
  }
}

test('a new cluster gets the version of its oldest member, then members say what they are called', () => {
  for (const [others, version] of [
    [[], '3.7'],
    [[OURS, OURS], '3.7'],
    [['3.7', '3.7'], '3.7'],
    [['3.6', OURS], '3.6'],
    [['3.5', '3.7'], '3.5'],
  ] as const) {
    const subject = new Subject({ others: [...others] });
    subject.start();
    assert.equal(subject.version, version);
    assert.deepEqual(subject.proposed, ['version', 'attributes'], others.join());
    assert.ok(subject.isReady);
  }
});

test('among members of etcd 3.4 both are said as 3.4 reads them', () => {
  const subject = new Subject({ others: ['3.4', OURS] });
  subject.start();
  assert.equal(subject.version, '3.4');
  assert.deepEqual(subject.proposed, ['v2 version', 'v2 attributes']);
});

test('who is told to found a cluster at an older version does', () => {
  const subject = new Subject({ others: [OURS], limit: '3.5' });
  subject.start();
  assert.equal(subject.version, '3.5');
});

test('a member that does not lead says nothing until the cluster has a version', () => {
  const subject = new Subject({ others: ['3.7', '3.7'], isLeader: false });
  subject.start();
  subject.clock.advance(60_000);
  assert.deepEqual(subject.proposed, []);
  assert.ok(!subject.isReady);
  subject.setVersion('3.7.0');
  subject.clock.advance(0);
  assert.deepEqual(subject.proposed, ['attributes']);
  assert.ok(subject.isReady);
});

test('a leader of founders waits for those that have not said what they are, and sees etcd 3.4 among them', () => {
  const subject = new Subject({ others: ['3.4', null] });
  subject.start();
  subject.clock.advance(1000);
  assert.deepEqual(subject.proposed, []);
  subject.others[1] = '3.4';
  subject.clock.advance(1000);
  assert.deepEqual(subject.proposed, ['v2 version', 'v2 attributes']);
});

test('founders that never come do not keep the others from serving', () => {
  const subject = new Subject({ others: [OURS, null] });
  subject.start();
  subject.clock.advance(10_000);
  assert.deepEqual(subject.proposed, ['version', 'attributes']);
  assert.equal(subject.version, '3.0', 'which is no decision yet');
  subject.others[1] = OURS;
  subject.clock.advance(10_000);
  assert.equal(subject.version, '3.7');
});

test('where no form is read by all, a member that is known by what it would say serves all the same', () => {
  const given = { version: '3.4', others: ['3.4', '3.7'], isLeader: false };
  const known = new Subject({ ...given, isPublished: true });
  known.start();
  assert.ok(known.isReady);
  const newcomer = new Subject(given);
  newcomer.start();
  newcomer.clock.advance(60_000);
  assert.ok(!newcomer.isReady);
  newcomer.others[0] = '3.6';
  newcomer.clock.advance(1000);
  assert.deepEqual([known.proposed, newcomer.proposed], [[], ['attributes']]);
});

test('an existing cluster keeps its version until told otherwise, and says so', () => {
  const kept = new Subject({ version: '3.5', others: [OURS] });
  kept.start();
  kept.clock.advance(10_000);
  assert.deepEqual([kept.version, kept.isKept], ['3.5', true]);
  const raised = new Subject({ version: '3.5', others: [OURS], limit: '3.7' });
  raised.start();
  raised.clock.advance(10_000);
  assert.deepEqual([raised.version, raised.isKept], ['3.7', false]);
});
