/** Gives a learner its vote as soon as it has caught up. May be begun again at any time. */
import { RPC_ERRORS } from '@etcd/api';
import { isError } from '@etcd/client';
import type { ClusterAccess } from './cluster-access.ts';
import { ClusterError } from './cluster-error.ts';
import { pause } from './guarded.ts';
import { isFromCluster } from './transient.ts';

const POLL_MS = 500;

export interface Promotion {
  /** For people. */
  readonly title: string;
  readonly timeoutMs: number;
  /** What to read when it takes too long. */
  readonly whereToLook: string;
  readonly signal: AbortSignal;
  say(text: string): void;
  /** Between two attempts; a test has no time. */
  readonly pollMs?: number;
}

/** Throws {@link ClusterError} when it is removed, or time is up. */
export async function promoteWhenReady(
  access: ClusterAccess,
  id: bigint,
  promotion: Promotion,
): Promise<void> {
  const { title, timeoutMs, signal, say, pollMs = POLL_MS } = promotion;
  const deadline = Date.now() + timeoutMs;
  let hasWaited = false;
  for (;;) {
    const reason = await promoteOnce(access, id);
    if (reason === null) return say(`${title} has a vote`);
    signal.throwIfAborted();
    if (Date.now() >= deadline) {
      throw new ClusterError(
        `${title} is a learner still: ${reason}; ${promotion.whereToLook}; run it again to go on`,
      );
    }
    if (!hasWaited) say(`Waiting until ${title} has started and caught up`);
    hasWaited = true;
    await pause(pollMs, signal);
  }
}

/** Why it has no vote yet; null when it has one. */
async function promoteOnce(access: ClusterAccess, id: bigint): Promise<string | null> {
  try {
    const { members } = await access.membership();
    const self = members.find((member) => member.id === id);
    if (self === undefined) throw new ClusterError('the member was removed meanwhile; run it again');
    if (!self.isLearner) return null;
    if (self.name === '') return 'it has not started';
    await access.promote(id);
    return null;
  } catch (error) {
    if (!isFromCluster(error)) throw error;
    // An attempt whose answer was lost.
    return isError(error, RPC_ERRORS.ErrGRPCMemberNotLearner) ? null : error.message;
  }
}
