/** Applies the requests that are not on the hot path: leases, alarms, compaction, cluster attributes, ranges in the log. */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import {
  AlarmAction,
  type AlarmRequest,
  type CompactionRequest,
  type InternalRaftRequest,
  type LeaseCheckpointRequest,
  type LeaseGrantRequest,
  type LeaseRevokeRequest,
  type RangeRequest,
} from '@etcd/api/etcdserverpb';
import { assert, InvariantError, type Logger } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import type { Lessor } from '@etcd/storage/lease';
import { type BucketWriter, formatId, type Membership } from '@etcd/storage/membership';
import { executeRange, type Store } from '@etcd/storage/mvcc';
import type { MetricHandles } from '../metrics/index.ts';
import {
  type AlarmResult,
  CompactionResult,
  KINDS,
  type Kind,
  type PendingWaiter,
  type ResultOf,
  waiterOf,
} from '../request/index.ts';
import type { Alarms } from './alarms.ts';
import type { ApplierHost } from './applier.ts';
import { type AuthRequestContext, applyAuthChange, applyAuthenticate, isAuthRead } from './auth-requests.ts';
import { LEASE_COST_BYTES, type Quota } from './quota.ts';

const { ErrCorrupt, ErrNoSpace } = INTERNAL_ERRORS.errors;

export interface ColdRequestContext extends AuthRequestContext {
  readonly store: Store;
  readonly lessor: Lessor;
  readonly alarms: Alarms;
  readonly quota: Quota;
  readonly membership: Membership;
  readonly membershipWriter: BucketWriter;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  readonly host: Pick<ApplierHost, 'onClusterVersion'>;
}

export interface Outcome {
  readonly operation: string;
  readonly error: InternalError | null;
  /** False: applied, but beyond the quota. */
  readonly hasRoom: boolean;
  /** Tells whoever waits what came of it. */
  readonly answer: () => void;
}

/** Who asked, and who waits in this process. */
interface Asking {
  readonly identity: Identity;
  readonly waiter: PendingWaiter | null;
}

export function applyColdRequest(
  context: ColdRequestContext,
  request: InternalRaftRequest,
  identity: Identity,
  waiter: PendingWaiter | null,
): Outcome {
  const { alarms, access } = context;
  const asking: Asking = { identity, waiter };
  const ofAll = applyClusterRequest(context, request, asking) ?? applyAuthRequest(context, request, asking);
  if (ofAll !== null) return ofAll;
  if (request.alarm !== null) return applyAlarm(context, request.alarm, asking);
  if (request.leaseCheckpoint !== null) {
    return applyLeaseCheckpoint(context, request.leaseCheckpoint, asking);
  }
  if (alarms.hasCorrupt) return refused(operationOf(request), ErrCorrupt);
  if (request.range !== null) return applyRange(context, request.range, asking);
  if (request.compaction !== null) return applyCompaction(context, request.compaction, asking);
  if (request.leaseGrant !== null) return applyLeaseGrant(context, request.leaseGrant, asking);
  if (request.leaseRevoke !== null) {
    const refusal = access.isEnabled ? access.leaseKeys(identity, request.leaseRevoke.id, 'write') : null;
    if (refusal !== null) return refused(KINDS.leaseRevoke.operation, refusal);
    return applyLeaseRevoke(context, request.leaseRevoke, asking);
  }
  throw new InvariantError(`apply: a request of a kind that is not known (${operationOf(request)})`);
}

/** What concerns users and roles; null where the request does not. */
function applyAuthRequest(
  context: ColdRequestContext,
  request: InternalRaftRequest,
  asking: Asking,
): Outcome | null {
  const result = { revision: context.store.revision };
  const change = applyAuthChange(context, request, asking.identity);
  if (change !== null) {
    const { kind, error } = change;
    return error === null ? done(kind, result, asking) : refused(KINDS[kind].operation, error);
  }
  if (request.authenticate !== null) {
    const outcome = applyAuthenticate(context, request.authenticate);
    return 'rpc' in outcome
      ? refused(KINDS.authenticate.operation, outcome)
      : done('authenticate', outcome, asking);
  }
  // Nobody here has asked: this member reads users and roles without the log.
  if (!isAuthRead(request)) return null;
  return { operation: operationOf(request), error: null, hasRoom: true, answer: () => {} };
}

/** What members tell each other; null where the request is none of these. */
function applyClusterRequest(
  context: ColdRequestContext,
  request: InternalRaftRequest,
  asking: Asking,
): Outcome | null {
  const { membership, membershipWriter, store } = context;
  const result = { revision: store.revision };
  if (request.clusterVersionSet !== null) {
    membership.applyClusterVersionSet(request.clusterVersionSet, membershipWriter);
    context.host.onClusterVersion();
    return done('clusterVersionSet', result, asking);
  }
  if (request.clusterMemberAttrSet !== null) {
    membership.applyClusterMemberAttrSet(request.clusterMemberAttrSet, membershipWriter);
    return done('clusterMemberAttrSet', result, asking);
  }
  if (request.downgradeInfoSet !== null) {
    membership.applyDowngradeInfoSet(request.downgradeInfoSet, membershipWriter);
    return done('downgradeInfoSet', result, asking);
  }
  return request.downgradeVersionTest === null ? null : done('downgradeVersionTest', result, asking);
}

/** A read in the log changes nothing: it is done for whoever waits for it. */
function applyRange({ store, access }: ColdRequestContext, request: RangeRequest, asking: Asking): Outcome {
  const { operation } = KINDS.range;
  const { waiter, identity } = asking;
  if (waiter === null) return { operation, error: null, hasRoom: true, answer: () => {} };
  const refusal = access.isEnabled ? access.range(identity, request.key, request.rangeEnd) : null;
  if (refusal !== null) return refused(operation, refusal);
  const result = executeRange(store, request);
  return result.error === null ? done('range', result, asking) : refused(operation, result.error);
}

function applyCompaction(
  { store }: ColdRequestContext,
  { revision }: CompactionRequest,
  asking: Asking,
): Outcome {
  let finish: () => void = () => {};
  let isFinished = false;
  const error = store.compact(revision, () => {
    isFinished = true;
    finish();
  });
  assert(error !== null || store.compactRevision === revision, 'apply: compacted to another revision');
  const result = new CompactionResult(error, store.revision);
  finish = () => result.finish();
  // For a revision in the future nothing was scheduled.
  if (isFinished || error === INTERNAL_ERRORS.mvcc.ErrFutureRev) result.finish();
  // An error travels in the result: whoever asked for a physical compaction waits for the one that is running.
  return done('compaction', result, asking);
}

function applyLeaseGrant(
  context: ColdRequestContext,
  { id, ttl }: LeaseGrantRequest,
  asking: Asking,
): Outcome {
  const { alarms, quota, lessor, store } = context;
  const { operation } = KINDS.leaseGrant;
  if (alarms.hasNoSpace) return refused(operation, ErrNoSpace);
  const hasRoom = quota.hasRoomFor(LEASE_COST_BYTES);
  const granted = lessor.grant(id, ttl);
  if (granted.error !== null) return refused(operation, granted.error);
  assert(
    lessor.has(id) && granted.ttl >= ttl,
    'apply: a lease was granted, and is not there as it was asked for',
  );
  context.metrics.leaseGrantedTotal.inc();
  context.metrics.leaseTtlTotal.observe(granted.ttl);
  const result = { id, ttl: granted.ttl, revision: store.revision };
  return done('leaseGrant', result, asking, hasRoom);
}

function applyLeaseRevoke(
  { lessor, store, metrics }: ColdRequestContext,
  { id }: LeaseRevokeRequest,
  asking: Asking,
): Outcome {
  const error = lessor.revoke(id);
  if (error !== null) return refused(KINDS.leaseRevoke.operation, error);
  assert(!lessor.has(id), 'apply: a lease is there after its revocation');
  metrics.leaseRevokedTotal.inc();
  return done('leaseRevoke', { revision: store.revision }, asking);
}

function applyLeaseCheckpoint(
  { lessor, store }: ColdRequestContext,
  request: LeaseCheckpointRequest,
  asking: Asking,
): Outcome {
  for (const { id, remainingTtl } of request.checkpoints) lessor.checkpoint(id, remainingTtl);
  return done('leaseCheckpoint', { revision: store.revision }, asking);
}

function applyAlarm(context: ColdRequestContext, request: AlarmRequest, asking: Asking): Outcome {
  const { alarms, metrics } = context;
  const { action, memberId, alarm } = request;
  let result: AlarmResult = { alarms: [] };
  if (action === AlarmAction.GET) {
    result = { alarms: alarms.list(alarm) };
  } else if (action === AlarmAction.ACTIVATE || action === AlarmAction.DEACTIVATE) {
    const isRaised = action === AlarmAction.ACTIVATE;
    const changed = isRaised ? alarms.activate(memberId, alarm) : alarms.deactivate(memberId, alarm);
    if (changed !== null) {
      result = { alarms: [changed] };
      metrics.alarms.labels(formatId(memberId), alarmName(alarm)).set(isRaised ? 1 : 0);
    }
  }
  return done('alarm', result, asking);
}

function alarmName(alarm: number): string {
  return ['NONE', 'NOSPACE', 'CORRUPT'][alarm] ?? String(alarm);
}

function done<K extends Kind>(kind: K, result: ResultOf<K>, { waiter }: Asking, hasRoom = true): Outcome {
  const answer = (): void => waiterOf(waiter, kind)?.onApplied(result);
  return { operation: KINDS[kind].operation, error: null, hasRoom, answer };
}

function refused(operation: string, error: InternalError): Outcome {
  return { operation, error, hasRoom: true, answer: () => {} };
}

/** As the kind is counted where it is applied: `LeaseGrant` for the field `leaseGrant`. */
function operationOf(request: InternalRaftRequest): string {
  const entry = Object.entries(request).find(
    ([name, value]) => value !== null && typeof value === 'object' && name !== 'header' && name !== 'unknown',
  );
  return entry === undefined ? 'nothing' : entry[0].replace(/^./, (letter) => letter.toUpperCase());
}
