/** No member answers: is there something to wait for, or is the data gone that a quorum had? */
import { newestVerified } from '../backup/newest.ts';
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { act, type Decision, wait } from './action.ts';
import { ordinalOf } from './names.ts';
import type { ClusterRecord, Observed } from './observed.ts';
import { diskOf, quorumOf } from './view.ts';

export function awaitAnswer(seen: Observed, spec: EtcdClusterSpec, record: ClusterRecord): Decision {
  const recorded = Object.entries(record.disks);
  const left = recorded.filter(([name, disk]) => isInPlace(seen, spec, name, disk)).length;
  // One of them may be a learner still, which no quorum needs.
  if (recorded.length === 0 || left >= quorumOf(recorded.length - 1))
    return wait('Degraded', 'NoMemberAnswers', 'no member answers; data is left as it is until one does');
  const gone = recorded.length - left;
  const problem = `${gone} of ${recorded.length} members have lost their disks, and the others are no quorum`;
  const lost = (message: string): Decision => wait('Degraded', 'QuorumLost', message);
  const afterSeconds = spec.repair.restoreAfterQuorumLossSeconds;
  if (afterSeconds === null) return lost(`${problem}; restore a backup with an EtcdRestore`);
  if (spec.storage === null) return lost(`${problem}; without volumes nothing can be restored`);
  const backup = newestVerified(seen.backups);
  if (backup === null) return lost(`${problem}, and there is no verified backup`);
  const sinceMs = seen.silentSinceMs ?? seen.nowMs;
  const dueMs = sinceMs + afterSeconds * 1000;
  if (seen.nowMs < dueMs)
    return lost(`${problem}; ${backup.name} is restored at ${new Date(dueMs).toISOString()}`);
  const name = `${seen.name}-quorum-${Math.floor(sinceMs / 1000)}`;
  return act({ kind: 'request-restore', name, backup: backup.name }, 'Restoring', problem);
}

function isInPlace(seen: Observed, spec: EtcdClusterSpec, name: string, disk: string): boolean {
  const ordinal = ordinalOf(seen.name, name);
  if (ordinal === null || diskOf(seen, spec, ordinal) !== disk) return false;
  return !seen.volumes.some((volume) => volume.ordinal === ordinal && volume.isLost);
}
