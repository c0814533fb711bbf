/** Removes a member. May be begun again at any time. */
import { RPC_ERRORS } from '@etcd/api';
import { isError } from '@etcd/client';
import type { ClusterAccess } from './cluster-access.ts';
import { pause } from './guarded.ts';

const POLL_MS = 1_000;

export interface Removal {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Between two attempts; a test has no time. */
  readonly pollMs?: number | undefined;
}

/** Waits while the members have not been connected for long enough, as after a start. Throws what the cluster says in the end. */
export async function removeMember(access: ClusterAccess, id: bigint, removal: Removal): Promise<void> {
  const deadline = Date.now() + removal.timeoutMs;
  for (;;) {
    try {
      return await access.remove(id);
    } catch (error) {
      // An attempt whose answer was lost.
      if (isError(error, RPC_ERRORS.ErrGRPCMemberNotFound)) return;
      removal.signal.throwIfAborted();
      if (!isError(error, RPC_ERRORS.ErrGRPCUnhealthy) || Date.now() > deadline) throw error;
    }
    await pause(removal.pollMs ?? POLL_MS, removal.signal);
  }
}
