/**
 * Revokes leases that have expired. The lessor of the leader says which; every one becomes a request in the log, so that all
 * members drop the same keys at the same revision. A member that can't be sure that it leads revokes nothing; and what waits for its turn
 * is looked at again then: meanwhile another may have led, and renewed it.
 */

import type { InternalError, LeaseId } from '@etcd/api';
import { LeaseRevokeRequest } from '@etcd/api/etcdserverpb';
import { RingBuffer } from '@etcd/base';
import type { MemberEnvironment } from '../consensus/index.ts';
import type { Propose, Waiter } from '../request/index.ts';

export interface LeaseRevokerOptions extends Pick<MemberEnvironment, 'logger'> {
  readonly propose: Propose;
  /** Calls `then` with whether this member surely leads. */
  readonly confirmLeadership: (then: (leads: boolean) => void) => void;
  /** Whether a lease is there, and has expired as this member decides. */
  readonly isExpired: (id: LeaseId) => boolean;
  readonly onExpired: () => void;
}

/** Revocations under way at a time, as in etcd. */
const MAX_PENDING = 16;

export class LeaseRevoker {
  readonly #options: LeaseRevokerOptions;
  readonly #queue = new RingBuffer<LeaseId>();
  /** Those in the queue, and those under way: a lease is handed out again and again while its revocation is slow. */
  readonly #known = new Set<LeaseId>();
  #pendingCount = 0;
  #isProposing = false;

  constructor(options: LeaseRevokerOptions) {
    this.#options = options;
  }

  revoke(leaseIds: readonly LeaseId[]): void {
    if (leaseIds.length === 0) return;
    this.#options.confirmLeadership((leads) => {
      if (!leads) {
        this.#options.logger.warn("Ignore the lease revoking request because current member isn't a leader");
        return;
      }
      for (const id of leaseIds) {
        if (this.#known.has(id)) continue;
        this.#known.add(id);
        this.#queue.push(id);
      }
      this.#next();
    });
  }

  #next(): void {
    // A proposal that is refused at once comes back here; the loop that made it goes on with the next.
    if (this.#isProposing) return;
    this.#isProposing = true;
    this.#proposeAll();
    this.#isProposing = false;
  }

  #proposeAll(): void {
    while (this.#pendingCount < MAX_PENDING) {
      const id = this.#queue.take();
      if (id === undefined) return;
      if (!this.#options.isExpired(id)) {
        this.#known.delete(id);
        continue;
      }
      this.#pendingCount++;
      this.#options.propose('leaseRevoke', new LeaseRevokeRequest({ id }), this.#waiter(id));
    }
  }

  #waiter(id: LeaseId): Waiter<'leaseRevoke'> {
    const finish = (): void => {
      this.#known.delete(id);
      this.#pendingCount--;
      this.#next();
    };
    return {
      kind: 'leaseRevoke',
      request: null,
      onApplied: () => {
        this.#options.onExpired();
        finish();
      },
      onFailed: (error: InternalError) => {
        const { logger } = this.#options;
        logger.warn('failed to revoke lease', {
          'lease-id': id.toString(16).padStart(16, '0'),
          error: error.message,
        });
        finish();
      },
    };
  }
}
