/** What can wait for a time at which the cluster may be disturbed: members that a rule finds worth a defragmentation, one by one, the leader last. */
import { nextWindowMs } from '../resources/maintenance.ts';
import { act, type Decision, wait } from './action.ts';
import type { SeenMember } from './observed.ts';
import type { ClusterView } from './view.ts';

/** A rule that holds whatever is done about it would have a member defragmented for ever. */
const LEAST_FREE_SHARE = 0.1;

/** null: now; else what is waited for. */
export function awaitWindow({ seen, spec }: ClusterView, what: string): Decision | null {
  const opensMs = nextWindowMs(spec.maintenance.windows, seen.nowMs);
  if (opensMs <= seen.nowMs) return null;
  return wait('Available', 'AwaitingWindow', `${what} from ${new Date(opensMs).toISOString()} on`);
}

export function maintain(view: ClusterView): Decision | null {
  const rule = view.spec.maintenance.defragmentation;
  if (rule === null || view.voters.some(({ isHealthy }) => !isHealthy)) return null;
  const isWorth = ({ databaseBytes, usedBytes, quotaBytes }: SeenMember): boolean =>
    databaseBytes - usedBytes > databaseBytes * LEAST_FREE_SHARE &&
    rule.holds({ sizeBytes: databaseBytes, sizeInUseBytes: usedBytes, quotaBytes });
  const worth = view.voters.filter(isWorth);
  const [member] = worth.filter(({ id }) => id !== view.etcd.leaderId).concat(worth);
  if (member === undefined || awaitWindow(view, '') !== null) return null;
  const successor = member.id === view.etcd.leaderId ? view.successorOf(member) : null;
  if (successor !== null) {
    const action = { kind: 'move-leader', from: member.id, to: successor.id } as const;
    return act(action, 'Defragmenting', `${member.name} is last, and leads`);
  }
  return act({ kind: 'defragment', id: member.id }, 'Defragmenting', `${member.name} is defragmented`);
}
