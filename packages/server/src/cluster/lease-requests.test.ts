import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { LeaseTimeToLiveResponse } from '@etcd/api/etcdserverpb';
import { Backend } from '@etcd/storage/backend';
import { Lessor } from '@etcd/storage/lease';
import { SimClock, SimDisk } from '@etcd/testing';
import { RequestIds } from '../request/index.ts';
import { LeaseRequests, type LeaseRequestsOptions } from './lease-requests.ts';

/** A leader that has committed more than it has applied, until `apply` is called. */
function leader(successor: Partial<LeaseRequestsOptions['leader']> = {}): {
  requests: LeaseRequests;
  lessor: Lessor;
  apply: (isInTime?: boolean) => void;
} {
  const clock = new SimClock();
  const backend = new Backend({
    disk: new SimDisk(),
    path: '/db',
    clock,
    onFatal: (error) => assert.fail(error),
  });
  const lessor = new Lessor({ backend, clock, minTtl: 2 });
  lessor.promote(0);
  const waiting: ((isApplied: boolean) => void)[] = [];
  const requests = new LeaseRequests({
    lessor,
    ids: new RequestIds(1n, 1),
    leader: { renewLease: () => assert.fail(), leaseTimeToLive: () => assert.fail(), ...successor },
    clock,
    confirmLeadership: (then) => then(lessor.isPrimary),
    whenCaughtUp: (then) => waiting.push(then),
    onRenewed: () => {},
  });
  const apply = (isInTime = true): void => {
    for (const then of waiting.splice(0)) then(isInTime);
  };
  return { requests, lessor, apply };
}

const LEASE = 7n;

test('a lease that is about to be applied is renewed, not unknown', () => {
  const { requests, lessor, apply } = leader();
  const answers: unknown[] = [];
  const renew = (): void => requests.renew(LEASE, (error, ttl) => answers.push(error ?? ttl));
  renew();
  assert.deepEqual(answers, []);
  lessor.grant(LEASE, 30);
  apply();
  // One that is known waits for nothing.
  renew();
  assert.deepEqual(answers, [30, 30]);
});

test('a lease that is not there once all is applied is unknown; when that takes too long, nothing is said of it', () => {
  const { requests, apply } = leader();
  const answers: unknown[] = [];
  const renew = (): void => requests.renew(LEASE, (error) => answers.push(error));
  renew();
  apply();
  renew();
  apply(false);
  const { ErrTimeoutWaitAppliedIndex } = INTERNAL_ERRORS.errors;
  assert.deepEqual(answers, [INTERNAL_ERRORS.lease.ErrLeaseNotFound, ErrTimeoutWaitAppliedIndex]);
});

test('what is told of a lease is as of all that is committed', () => {
  const { requests, lessor, apply } = leader();
  const answers: [InternalError | null, LeaseTimeToLiveResponse | null][] = [];
  const lookup = (): void => requests.lookup(LEASE, true, (...answer) => answers.push(answer));
  lookup();
  assert.equal(answers.length, 0);
  lessor.grant(LEASE, 30);
  apply();
  assert.equal(answers[0]![1]!.grantedTtl, 30);
  lookup();
  apply(false);
  assert.equal(answers[1]![0], INTERNAL_ERRORS.errors.ErrTimeoutWaitAppliedIndex);
});

test('who leads no more when it has caught up lets the new leader tell how much is left of a lease', () => {
  const told = new LeaseTimeToLiveResponse({ id: LEASE, ttl: 3, grantedTtl: 30 });
  const { requests, lessor, apply } = leader({ leaseTimeToLive: (_id, _keys, done) => done(null, told) });
  const answers: (LeaseTimeToLiveResponse | null)[] = [];
  lessor.grant(LEASE, 30);
  requests.lookup(LEASE, false, (_error, lease) => answers.push(lease));
  lessor.demote();
  apply();
  assert.deepEqual(answers, [told]);
});
