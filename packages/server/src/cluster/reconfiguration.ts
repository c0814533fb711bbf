/** Changes of the membership, as far as they may be proposed: judged here, decided by the log. */

import { INTERNAL_ERRORS, type MemberId } from '@etcd/api';
import type { ConfChange } from '@etcd/api/raftpb';
import {
  promoteMemberChange,
  type ReconfigurationFacts,
  validateLearnerReady,
  validatePromoteMember,
} from '@etcd/storage/membership';
import type { ClusterLink, MemberEnvironment } from '../consensus/index.ts';
import type { Waiter } from '../request/index.ts';
import type { LeaderRequests } from './leader-requests.ts';

export interface ReconfigurationOptions
  extends Pick<MemberEnvironment, 'clock' | 'memberId' | 'membership' | 'metrics' | 'node'> {
  readonly link: ClusterLink;
  readonly leader: LeaderRequests;
  readonly isLeader: () => boolean;
  /** `--strict-reconfig-check`. */
  readonly isStrict: boolean;
  readonly propose: (change: ConfChange, waiter: Waiter<'confChange'>) => void;
}

/**
 * A member that was connected so shortly ago is still one that catches up: whoever hears nothing of it for five seconds lets its connections go, which
 * one slow sync of a busy disk is enough for, and without the entries of the meantime it would need the whole database, once more.
 */
const LOST_GRACE_MS = 15_000;

export class Reconfiguration {
  readonly #options: ReconfigurationOptions;
  /** When members, of those that this one leads, were seen connected last. */
  readonly #seenMs = new Map<MemberId, number>();

  constructor(options: ReconfigurationOptions) {
    this.#options = options;
  }

  /** What judging a change needs to know. */
  get facts(): ReconfigurationFacts {
    const { membership, memberId, link } = this.#options;
    return {
      members: membership.members(),
      localId: memberId,
      isConnected: (id) => link.isConnected(id),
      isActive: (id) => link.isActive(id),
    };
  }

  /** The waiter gets a `MembersResult`, or why the change is not to be had. */
  change(change: ConfChange, waiter: Waiter<'confChange'>): void {
    this.#options.propose(change, waiter);
  }

  /** Makes a learner a voter if it has caught up, which only the leader knows: others ask it. The waiter gets a `MembersResult`. */
  promote(id: MemberId, waiter: Waiter<'confChange'>): void {
    const { isLeader, leader } = this.#options;
    if (isLeader()) return this.promoteHere(id, waiter);
    leader.promoteMember(id, (error, members) => {
      if (error !== null) waiter.onFailed(error);
      else if (members !== null) waiter.onApplied({ members });
      else this.promoteHere(id, waiter);
    });
  }

  /** The same if this member leads; `ErrNotLeader` if not. */
  promoteHere(id: MemberId, waiter: Waiter<'confChange'>): void {
    const { isLeader, isStrict, membership, memberId } = this.#options;
    if (!isLeader()) return waiter.onFailed(INTERNAL_ERRORS.errors.ErrNotLeader);
    const counted = this.#counted(waiter);
    const refusal =
      validateLearnerReady(this.#matchIndex(id), this.#matchIndex(memberId) ?? 0) ??
      (isStrict ? validatePromoteMember(membership.members()) : null);
    if (refusal !== null) return counted.onFailed(refusal);
    this.change(promoteMemberChange(id), counted);
  }

  #counted(waiter: Waiter<'confChange'>): Waiter<'confChange'> {
    const { learnerPromoteSuccesses, learnerPromoteFailures } = this.#options.metrics;
    return {
      kind: 'confChange',
      request: waiter.request,
      onApplied: (result) => {
        learnerPromoteSuccesses.inc();
        waiter.onApplied(result);
      },
      onFailed: (error) => {
        learnerPromoteFailures.labels(error.message).inc();
        waiter.onFailed(error);
      },
    };
  }

  /**
   * As the leader, the first entry that a member is yet to get which is connected, or was just now: behind what it has, or behind the snapshot that is on
   * its way to it. Infinity for other members. To be asked again and again: that is how it is known who was connected.
   */
  neededFrom(): number {
    const { clock, isLeader, memberId, link, node } = this.#options;
    let first = Number.POSITIVE_INFINITY;
    if (!isLeader()) {
      this.#seenMs.clear();
      return first;
    }
    const nowMs = clock.now();
    const { progress } = node.status();
    for (const id of this.#seenMs.keys()) if (!progress.has(id)) this.#seenMs.delete(id);
    for (const [id, { match, pendingSnapshot }] of progress) {
      if (id === memberId) continue;
      if (link.isActive(id)) this.#seenMs.set(id, nowMs);
      const seenMs = this.#seenMs.get(id);
      if (seenMs === undefined || nowMs - seenMs > LOST_GRACE_MS) continue;
      first = Math.min(first, Math.max(match, pendingSnapshot) + 1);
    }
    return first;
  }

  /** How far the leader and the members that follow it are; null for members that it does not follow. */
  #matchIndex(id: MemberId): number | null {
    return this.#options.node.status().progress.get(id)?.match ?? null;
  }
}
