/**
 * `--strict-reconfig-check`: whether a change of the membership may be proposed without risking the quorum. Pure
 * functions of what the member that was asked knows.
 */
import { INTERNAL_ERRORS, type InternalError, type MemberId } from '@etcd/api';
import { isStarted, type Member } from './member.ts';

export interface ReconfigurationFacts {
  /** All members. */
  readonly members: readonly Member[];
  readonly localId: MemberId;
  /** Whether a member other than this one has been connected for {@link HEALTH_INTERVAL_MS} or longer. */
  readonly isConnected: (id: MemberId) => boolean;
  /** Whether it is connected at all. */
  readonly isActive: (id: MemberId) => boolean;
}

export const HEALTH_INTERVAL_MS = 5000;
/** A learner may be promoted when it has this part of what the leader has. */
const READY_PART = 0.9;

/** Why a member must not be added; null if it may. */
export function validateAddMember(facts: ReconfigurationFacts, isLearner: boolean): InternalError | null {
  const voters = facts.members.filter((member) => !member.isLearner);
  const started = voters.filter(isStarted).length;
  // A second voter may always join a single one: that is how a cluster is rebuilt.
  const isFirstJoin = started === 1 && voters.length === 1;
  if (!isLearner && !isFirstJoin && started < quorum(voters.length + 1)) {
    return INTERNAL_ERRORS.errors.ErrNotEnoughStartedMembers;
  }
  // The new member counts, as one that is not there yet.
  if (voters.length === 1 || connectedCount(facts, voters) >= quorum(voters.length + 1)) return null;
  return INTERNAL_ERRORS.errors.ErrUnhealthy;
}

/** Why the member must not be removed; null if it may. */
export function validateRemoveMember(facts: ReconfigurationFacts, id: MemberId): InternalError | null {
  const removed = facts.members.find((member) => member.id === id);
  if (removed?.isLearner) return null;
  const voters = facts.members.filter((member) => !member.isLearner);
  const left = voters.filter((member) => member.id !== id);
  if (left.filter(isStarted).length < quorum(left.length)) {
    return INTERNAL_ERRORS.errors.ErrNotEnoughStartedMembers;
  }
  // One that is down takes no part in the quorum that there is.
  if (id !== facts.localId && !facts.isActive(id)) return null;
  const isSafe = connectedCount(facts, voters) - 1 >= quorum(voters.length - 1);
  return isSafe ? null : INTERNAL_ERRORS.errors.ErrUnhealthy;
}

/** Why a learner must not become a voter; null if it may. That it has caught up is for {@link validateLearnerReady}. */
export function validatePromoteMember(members: readonly Member[]): InternalError | null {
  const voters = members.filter((member) => !member.isLearner);
  // The learner counts, as one that runs.
  const started = voters.filter(isStarted).length + 1;
  return started < quorum(voters.length + 1) ? INTERNAL_ERRORS.errors.ErrNotEnoughStartedMembers : null;
}

/** Only the leader knows how far a learner is. `learnerMatch` is null for one that it does not follow. */
export function validateLearnerReady(learnerMatch: number | null, leaderMatch: number): InternalError | null {
  if (learnerMatch === null) return INTERNAL_ERRORS.membership.ErrIDNotFound;
  return learnerMatch < leaderMatch * READY_PART ? INTERNAL_ERRORS.errors.ErrLearnerNotReady : null;
}

function connectedCount({ localId, isConnected }: ReconfigurationFacts, members: readonly Member[]): number {
  return members.filter(({ id }) => id === localId || isConnected(id)).length;
}

function quorum(count: number): number {
  return Math.floor(count / 2) + 1;
}
