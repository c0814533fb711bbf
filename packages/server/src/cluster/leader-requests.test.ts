import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { encodeLeaseKeepAliveResponse, LeaseKeepAliveResponse } from '@etcd/api/etcdserverpb';
import { membersJson, newMember } from '@etcd/storage/membership';
import { SimClock } from '@etcd/testing';
import type { PeerNetwork, PeerRequest, PeerResponse } from '../peer/index.ts';
import { LeaderRequests } from './leader-requests.ts';

const { ErrTimeout, ErrLearnerNotReady, ErrStopped } = INTERNAL_ERRORS.errors;
const { ErrIDNotFound, ErrMemberNotLearner } = INTERNAL_ERRORS.membership;
const { ErrLeaseNotFound } = INTERNAL_ERRORS.lease;

interface World {
  readonly clock: SimClock;
  readonly requests: LeaderRequests;
  /** `<url> <path>` of each request. */
  readonly asked: string[];
  leaderUrls: readonly string[] | null;
}

/** @param answers what comes back, one after the other; the last one again and again. */
function newWorld(...answers: (PeerResponse | null)[]): World {
  const clock = new SimClock();
  const asked: string[] = [];
  const request = (
    url: string,
    { path }: PeerRequest,
    _timeoutMs: number,
    done: Parameters<PeerNetwork['request']>[3],
  ): void => {
    const answer = answers[Math.min(asked.length, answers.length - 1)]!;
    asked.push(`${url} ${path}`);
    clock.defer(() => done(answer, answer === null ? 'connection refused' : ''));
  };
  const world: World = {
    clock,
    asked,
    leaderUrls: ['http://leader'],
    requests: new LeaderRequests({
      network: { request } as unknown as PeerNetwork,
      clock,
      requestTimeoutMs: 7000,
      leaderUrls: () => world.leaderUrls,
    }),
  };
  return world;
}

const text = (status: number, body: string): PeerResponse => ({ status, body: Buffer.from(body) });
const renewed = (ttl: number): PeerResponse => ({
  status: 200,
  body: encodeLeaseKeepAliveResponse(new LeaseKeepAliveResponse({ id: 5n, ttl })),
});

/** What the question gave, within `ms`. */
function ask<T>(
  world: World,
  ms: number,
  begin: (done: (error: unknown, value: T | null) => void) => void,
): unknown[] {
  const outcomes: unknown[] = [];
  begin((error, value) => outcomes.push(error ?? value));
  world.clock.advance(ms);
  return outcomes;
}

test('a lease is renewed by the leader, who may be another one the next time it is asked', () => {
  const world = newWorld(null, text(400, 'not a primary lessor'), renewed(60));
  const outcome = ask<number>(world, 40, (done) => world.requests.renewLease(5n, done));
  assert.deepEqual(outcome, []);
  world.leaderUrls = ['http://next', 'http://next-2'];
  world.clock.advance(200);
  assert.deepEqual(outcome, [60]);
  assert.deepEqual(world.asked, ['http://leader /leases', 'http://next-2 /leases', 'http://next /leases']);
});

test('a lease that the leader does not know is not asked for again', () => {
  const world = newWorld(text(404, 'lease not found'));
  assert.deepEqual(
    ask(world, 100, (done) => world.requests.renewLease(5n, done)),
    [ErrLeaseNotFound],
  );
});

test('without a leader, or with one that makes no sense, the request times out', () => {
  const leaderless = newWorld(renewed(1));
  leaderless.leaderUrls = [];
  assert.deepEqual(
    ask(leaderless, 7100, (done) => leaderless.requests.renewLease(5n, done)),
    [ErrTimeout],
  );
  assert.deepEqual(leaderless.asked, []);
  const senseless = newWorld({ status: 200, body: new Uint8Array([0xff]) });
  assert.deepEqual(
    ask(senseless, 7100, (done) => senseless.requests.renewLease(5n, done)),
    [ErrTimeout],
  );
  assert.ok(senseless.asked.length > 50);
});

test('whoever has become the leader is told to see for itself; one that stops is told so', () => {
  const world = newWorld(null);
  const outcomes: unknown[] = [];
  world.requests.renewLease(5n, (error, value) => outcomes.push([error, value]));
  world.leaderUrls = null;
  world.clock.advance(100);
  assert.deepEqual(outcomes, [[null, null]]);
  world.leaderUrls = ['http://leader'];
  world.requests.stop();
  assert.deepEqual(
    ask(world, 100, (done) => world.requests.renewLease(5n, done)),
    [ErrStopped],
  );
});

test('the promotion of a learner: members, or the reason of the leader', () => {
  const members = [newMember(2n ** 63n + 1n, { peerUrls: ['http://a'], isLearner: false }, 'a')];
  const promoted = newWorld(text(200, `${membersJson(members)}\n`));
  const [list] = ask(promoted, 100, (done) => promoted.requests.promoteMember(7n, done));
  assert.deepEqual(list, members, 'ids beyond 2^53 come through whole');
  assert.deepEqual(promoted.asked, ['http://leader /members/promote/7']);
  const cases = [
    [404, ErrIDNotFound.message, ErrIDNotFound],
    [412, ErrMemberNotLearner.message, ErrMemberNotLearner],
    [412, ErrLearnerNotReady.message, ErrLearnerNotReady],
  ] as const;
  for (const [status, body, error] of cases) {
    const world = newWorld(text(status, `${body}\n`));
    assert.deepEqual(
      ask(world, 100, (done) => world.requests.promoteMember(7n, done)),
      [error],
    );
  }
});
