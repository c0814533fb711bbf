/** What clients ask about leases without the log: the leader answers from its own memory, other members ask it. */

import { INTERNAL_ERRORS, type InternalError, type LeaseId } from '@etcd/api';
import type { LeaseTimeToLiveResponse } from '@etcd/api/etcdserverpb';
import type { Lessor, RenewCallback } from '@etcd/storage/lease';
import type { MemberEnvironment } from '../consensus/index.ts';
import type { LeaderRequests } from './leader-requests.ts';
import { leaseTimeToLive } from './lease-time-to-live.ts';

export interface LeaseRequestsOptions extends Pick<MemberEnvironment, 'clock' | 'ids'> {
  readonly lessor: Lessor;
  readonly leader: Pick<LeaderRequests, 'leaseTimeToLive' | 'renewLease'>;
  /**
   * Whether this member leads, for sure: a renewal that is confirmed must bind whoever leads next, and it does if a quorum followed this
   * member after it was asked for.
   */
  readonly confirmLeadership: (then: (leads: boolean) => void) => void;
  /** Calls `then` when everything is applied that is committed now: with true, or with false when that takes too long. */
  readonly whenCaughtUp: (then: (isApplied: boolean) => void) => void;
  readonly onRenewed: () => void;
}

export type LookupCallback = (error: InternalError | null, lease: LeaseTimeToLiveResponse | null) => void;

const { ErrNotPrimary, ErrLeaseNotFound } = INTERNAL_ERRORS.lease;
const { ErrTimeoutWaitAppliedIndex } = INTERNAL_ERRORS.errors;
/** A member that has just come to lead is about to see for itself. */
const RETRY_MS = 50;

export class LeaseRequests {
  readonly #options: LeaseRequestsOptions;

  constructor(options: LeaseRequestsOptions) {
    this.#options = options;
  }

  /** An id for a lease that is to be granted, which no lease has. */
  newId(): LeaseId {
    const { ids, lessor } = this.#options;
    return ids.nextLeaseId((id) => lessor.has(id));
  }

  /** Keeps a lease alive, here or through the leader; gives its TTL in seconds. */
  renew(id: LeaseId, done: RenewCallback): void {
    const { leader, clock } = this.#options;
    this.renewHere(id, (error, ttl) => {
      if (error !== ErrNotPrimary) return done(error, ttl);
      leader.renewLease(id, (failure, renewed) => {
        if (failure !== null || renewed !== null) return done(failure, renewed ?? 0);
        clock.setTimer(RETRY_MS, () => this.renew(id, done));
      });
    });
  }

  /** The same if this member leads; `ErrNotPrimary` if not. */
  renewHere(id: LeaseId, done: RenewCallback): void {
    const { lessor, confirmLeadership, whenCaughtUp } = this.#options;
    confirmLeadership((leads) => {
      if (!leads) return done(ErrNotPrimary, 0);
      if (lessor.has(id)) return this.#renewNow(id, done);
      // It may have been granted by an entry that others have applied, and this member is about to.
      whenCaughtUp((isApplied) => {
        if (isApplied) this.#renewNow(id, done);
        else done(ErrTimeoutWaitAppliedIndex, 0);
      });
    });
  }

  #renewNow(id: LeaseId, done: RenewCallback): void {
    const { lessor, onRenewed } = this.#options;
    lessor.renewThen(id, (error, ttl) => {
      if (error === null) onRenewed();
      done(error, ttl);
    });
  }

  /** How long a lease has left, and which keys it has, as the leader knows; null when there is no such lease. */
  lookup(id: LeaseId, keys: boolean, done: LookupCallback): void {
    const { leader, clock, confirmLeadership } = this.#options;
    confirmLeadership((leads) => {
      if (leads) return this.#lookupHere(id, keys, done);
      leader.leaseTimeToLive(id, keys, (error, lease) => {
        if (error === ErrLeaseNotFound) done(null, null);
        else if (error !== null || lease !== null) done(error, lease);
        else clock.setTimer(RETRY_MS, () => this.lookup(id, keys, done));
      });
    });
  }

  /** Of what is committed; a key that was attached by an entry that is about to be applied belongs to the lease. */
  #lookupHere(id: LeaseId, keys: boolean, done: LookupCallback): void {
    const { lessor, whenCaughtUp } = this.#options;
    whenCaughtUp((isApplied) => {
      if (!isApplied) return done(ErrTimeoutWaitAppliedIndex, null);
      // Another leads by now, and knows how much is left: here leases last for ever.
      if (!lessor.isPrimary) return this.lookup(id, keys, done);
      done(null, leaseTimeToLive(lessor, id, keys));
    });
  }
}
