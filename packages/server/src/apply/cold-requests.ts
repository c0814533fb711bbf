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
} from '@etcd/api/etcdserverpb';
import { InvariantError, type Logger } from '@etcd/base';
import type { Lessor } from '@etcd/storage/lease';
import { type BucketWriter, formatId, type Membership } from '@etcd/storage/membership';
import { executeRange, type Store } from '@etcd/storage/mvcc';
import type { MetricHandles } from '../metrics/index.ts';
import {
  type AlarmResult,
  CompactionResult,
  type DoneResult,
  type LeaseGrantResult,
} from '../request/index.ts';
import type { Alarms } from './alarms.ts';
import type { ApplierHost } from './applier.ts';
import { LEASE_COST_BYTES, type Quota } from './quota.ts';

const { ErrCorrupt, ErrNoSpace } = INTERNAL_ERRORS.errors;

export interface ColdRequestContext {
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
  readonly result: object;
  /** False: applied, but beyond the quota. */
  readonly hasRoom: boolean;
}

const NO_RESULT = {};

/** @param isAwaited whether anybody waits for the result. */
export function applyColdRequest(
  context: ColdRequestContext,
  request: InternalRaftRequest,
  isAwaited: boolean,
): Outcome {
  const { alarms, store, membership, membershipWriter } = context;
  if (request.clusterVersionSet !== null) {
    membership.applyClusterVersionSet(request.clusterVersionSet, membershipWriter);
    context.host.onClusterVersion();
    return done('ClusterVersionSet', store);
  }
  if (request.clusterMemberAttrSet !== null) {
    membership.applyClusterMemberAttrSet(request.clusterMemberAttrSet, membershipWriter);
    return done('ClusterMemberAttrSet', store);
  }
  if (request.downgradeInfoSet !== null) {
    membership.applyDowngradeInfoSet(request.downgradeInfoSet, membershipWriter);
    return done('DowngradeInfoSet', store);
  }
  if (request.downgradeVersionTest !== null) return done('DowngradeVersionTest', store);
  if (request.alarm !== null) return applyAlarm(context, request.alarm);
  if (request.leaseCheckpoint !== null) return applyLeaseCheckpoint(context, request.leaseCheckpoint);
  if (alarms.hasCorrupt) return refused(operationOf(request), ErrCorrupt);
  if (request.range !== null) {
    // A read in the log changes nothing: it is done for whoever waits for it.
    if (!isAwaited) return done('Range', store);
    const result = executeRange(store, request.range);
    return { operation: 'Range', error: result.error, result, hasRoom: true };
  }
  if (request.compaction !== null) return applyCompaction(context, request.compaction);
  if (request.leaseGrant !== null) return applyLeaseGrant(context, request.leaseGrant);
  if (request.leaseRevoke !== null) return applyLeaseRevoke(context, request.leaseRevoke);
  throw new InvariantError(`apply: a request of a kind that is not known (${operationOf(request)})`);
}

function applyCompaction({ store }: ColdRequestContext, { revision }: CompactionRequest): Outcome {
  let finish: () => void = () => {};
  let isFinished = false;
  const error = store.compact(revision, () => {
    isFinished = true;
    finish();
  });
  const result = new CompactionResult(error, store.revision);
  finish = () => result.finish();
  // For a revision in the future nothing was scheduled.
  if (isFinished || error === INTERNAL_ERRORS.mvcc.ErrFutureRev) result.finish();
  // An error travels in the result: whoever asked for a physical compaction waits for the one that is running.
  return { operation: 'Compaction', error: null, result, hasRoom: true };
}

function applyLeaseGrant(context: ColdRequestContext, { id, ttl }: LeaseGrantRequest): Outcome {
  const { alarms, quota, lessor, store } = context;
  if (alarms.hasNoSpace) return refused('LeaseGrant', ErrNoSpace);
  const hasRoom = quota.hasRoomFor(LEASE_COST_BYTES);
  const granted = lessor.grant(id, ttl);
  if (granted.error !== null) return refused('LeaseGrant', granted.error);
  context.metrics.leaseGrantedTotal.inc();
  context.metrics.leaseTtlTotal.observe(granted.ttl);
  const result: LeaseGrantResult = { id, ttl: granted.ttl, revision: store.revision };
  return { operation: 'LeaseGrant', error: null, result, hasRoom };
}

function applyLeaseRevoke(
  { lessor, store, metrics }: ColdRequestContext,
  { id }: LeaseRevokeRequest,
): Outcome {
  const error = lessor.revoke(id);
  if (error !== null) return refused('LeaseRevoke', error);
  metrics.leaseRevokedTotal.inc();
  return done('LeaseRevoke', store);
}

function applyLeaseCheckpoint(context: ColdRequestContext, request: LeaseCheckpointRequest): Outcome {
  for (const { id, remainingTtl } of request.checkpoints) context.lessor.checkpoint(id, remainingTtl);
  return done('LeaseCheckpoint', context.store);
}

function applyAlarm(context: ColdRequestContext, request: AlarmRequest): Outcome {
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
  return { operation: 'Alarm', error: null, result, hasRoom: true };
}

function alarmName(alarm: number): string {
  return ['NONE', 'NOSPACE', 'CORRUPT'][alarm] ?? String(alarm);
}

function done(operation: string, store: Store): Outcome {
  const result: DoneResult = { revision: store.revision };
  return { operation, error: null, result, hasRoom: true };
}

function refused(operation: string, error: InternalError): Outcome {
  return { operation, error, result: NO_RESULT, hasRoom: true };
}

function operationOf(request: InternalRaftRequest): string {
  const entry = Object.entries(request).find(
    ([name, value]) => value !== null && typeof value === 'object' && name !== 'header' && name !== 'unknown',
  );
  return entry?.[0] ?? 'nothing';
}
