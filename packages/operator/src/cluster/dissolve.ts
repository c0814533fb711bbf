/** A cluster that its owner has deleted: members first, then their volumes where these should go, too. */
import { act, type Decision, wait } from './action.ts';
import { backUpLast } from './back-up.ts';
import type { Observed } from './observed.ts';

export function dissolve(seen: Observed): Decision {
  const { workload, spec } = seen;
  if (!seen.hasFinalizer) return wait('Deleting', 'Deleted', 'the rest is left to Kubernetes');
  // What belongs to somebody else stays.
  const isOurs = workload?.ownerUid === seen.uid;
  const backingUp = backUpLast(seen);
  if (backingUp !== null) return backingUp;
  if (workload !== null && isOurs) {
    return act({ kind: 'delete-workload', uid: workload.uid }, 'Deleting', 'the members are stopped');
  }
  if (isOurs || workload === null) {
    if (seen.pods.length > 0) return wait('Deleting', 'Deleting', 'the members are being stopped');
    // A declaration that can't be read doesn't say that data may go.
    const volume =
      spec.ok && spec.spec.deletesVolumes ? seen.volumes.find((each) => !each.isTerminating) : undefined;
    if (volume !== undefined) {
      const { name, uid } = volume;
      return act({ kind: 'delete-volume', name, uid }, 'Deleting', `volume ${name} goes with its cluster`);
    }
  }
  return act({ kind: 'remove-finalizer' }, 'Deleting', 'nothing is left that the operator must take care of');
}
