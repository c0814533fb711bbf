/** What a member that was removed leaves behind: no member starts on another's disk. */
import { act, type Decision, wait } from './action.ts';
import { ordinalOf } from './names.ts';
import type { ClusterView } from './view.ts';

export function clearDisks(view: ClusterView): Decision | null {
  for (const [name, disk] of Object.entries(view.record.disks)) {
    const ordinal = ordinalOf(view.seen.name, name);
    if (ordinal === null || view.member(ordinal) !== null) continue;
    return clear(view, ordinal, name, disk);
  }
  return null;
}

function clear(view: ClusterView, ordinal: number, name: string, disk: string): Decision {
  const { record, workload, spec } = view;
  const isLast = ordinal === workload.replicas - 1;
  if (isLast && ordinal >= spec.size) {
    const { resourceVersion } = workload;
    return act(
      { kind: 'scale-workload', replicas: ordinal, resourceVersion },
      'Resizing',
      `${name} was removed, and is stopped`,
    );
  }
  const volume = view.volume(ordinal);
  if (volume?.uid === disk && !volume.isTerminating) {
    return act(
      { kind: 'delete-volume', name: volume.name, uid: volume.uid },
      'Resizing',
      `the volume of ${name}, which was removed, is of no use any more`,
    );
  }
  const pod = view.pod(ordinal);
  // A volume goes when the pod that uses it has gone; without volumes the pod is the disk.
  const holdsDisk = volume?.uid === disk || (spec.storage === null && pod?.uid === disk);
  if (holdsDisk && pod !== null && !pod.isTerminating) {
    return act({ kind: 'delete-pod', ordinal, uid: pod.uid }, 'Resizing', `${name} was removed`);
  }
  if (holdsDisk) return wait('Progressing', 'Resizing', `the disk of ${name} is being given up`);
  const disks = Object.fromEntries(Object.entries(record.disks).filter(([other]) => other !== name));
  return act(
    { kind: 'write-record', record: { ...record, disks } },
    'Resizing',
    `the disk of ${name} is gone`,
  );
}
