/** A member on its way in: it is let start on its empty disk, no longer after that, and promoted when it has caught up. */
import { act, type Decision, wait } from './action.ts';
import type { ClusterRecord, SeenMember } from './observed.ts';
import type { ClusterView } from './view.ts';

/** A learner that has not started after so long needs somebody to look. */
const PATIENCE_MS = 10 * 60_000;
/** A pod that does not run after so long may have been given a disk that another member has left. */
const DOUBT_MS = 3 * 60_000;

export function guideLearner(view: ClusterView): Decision | null {
  const { learner, record } = view;
  if (learner === null) {
    if (record.mayStartEmpty === null) return null;
    // Its learner was removed: nobody may start on an empty disk any more.
    const next = { ...record, mayStartEmpty: null };
    return act({ kind: 'write-record', record: next }, 'Resizing', 'no member is on its way in');
  }
  const ordinal = view.ordinalOf(learner)!;
  const name = view.name(ordinal);
  return record.disks[name] === undefined
    ? admit(view, learner, ordinal, name)
    : promote(view, learner, ordinal, name);
}

function admit(view: ClusterView, learner: SeenMember, ordinal: number, name: string): Decision {
  const { record, workload } = view;
  const initialCluster = initialClusterWith(view, name, learner);
  const hasStarted = learner.name !== '';
  if (!hasStarted && (record.mayStartEmpty !== name || record.initialCluster !== initialCluster)) {
    const next: ClusterRecord = {
      ...record,
      initialCluster,
      initialClusterState: 'existing',
      mayStartEmpty: name,
      changedMs: view.seen.nowMs,
    };
    return act({ kind: 'write-record', record: next }, 'Resizing', `${name} may start`);
  }
  if (workload.replicas <= ordinal) {
    const { resourceVersion } = workload;
    return act(
      { kind: 'scale-workload', replicas: ordinal + 1, resourceVersion },
      'Resizing',
      `${name} starts`,
    );
  }
  const disk = view.disk(ordinal);
  // Only one that answers shows that it is this disk that it lives on.
  if (hasStarted && learner.isHealthy && disk !== null) {
    const next = { ...record, mayStartEmpty: null, disks: { ...record.disks, [name]: disk } };
    return act(
      { kind: 'write-record', record: next },
      'Resizing',
      `${name} has started, and keeps its disk from now on`,
    );
  }
  const fresh = hasStarted ? null : startAnew(view, ordinal, name);
  if (fresh !== null) return fresh;
  const isLate = view.seen.nowMs - record.changedMs > PATIENCE_MS;
  if (isLate)
    return wait('Degraded', 'StuckLearner', `${name} was added and does not start; see the log of its pod`);
  return wait('Progressing', 'Resizing', `${name} is starting`);
}

/** For a learner that has not started: another pod, on another disk where it is in doubt. */
function startAnew(view: ClusterView, ordinal: number, name: string): Decision | null {
  const pod = view.pod(ordinal);
  if (pod === null || pod.isTerminating) return null;
  const isInDoubt = !pod.isRunning && view.seen.nowMs - pod.createdMs > DOUBT_MS;
  const volume = view.volume(ordinal);
  // No member's: it would be in the record.
  const isNobodys = volume !== null && !Object.values(view.record.disks).includes(volume.uid);
  if (isInDoubt && isNobodys && !volume.isTerminating) {
    const what = `the volume of ${name} may not be empty`;
    return act({ kind: 'delete-volume', name: volume.name, uid: volume.uid }, 'Resizing', what);
  }
  // A pod from before was turned away, and would be tried again only after a growing while.
  if (!isInDoubt && pod.createdMs >= view.record.changedMs) return null;
  return act({ kind: 'delete-pod', ordinal, uid: pod.uid }, 'Resizing', `${name} is started anew`);
}

function promote(view: ClusterView, learner: SeenMember, ordinal: number, name: string): Decision {
  const { record } = view;
  if (record.mayStartEmpty !== null) {
    const next = { ...record, mayStartEmpty: null };
    return act({ kind: 'write-record', record: next }, 'Resizing', `${name} has started`);
  }
  const disk = view.disk(ordinal);
  if (disk === null) return wait('Progressing', 'Resizing', `${name} has no disk just now`);
  if (disk !== record.disks[name]) {
    return act(
      { kind: 'remove-member', id: learner.id },
      'Resizing',
      `${name} has lost its disk on its way in`,
    );
  }
  if (!learner.isHealthy) {
    const isHopeless = view.seen.nowMs - learner.sinceMs > DOUBT_MS && view.pod(ordinal)?.isRunning !== true;
    if (!isHopeless) return wait('Progressing', 'Resizing', `${name} does not answer yet`);
    return act(
      { kind: 'remove-member', id: learner.id },
      'Resizing',
      `${name} does not come back, and is replaced`,
    );
  }
  // Refused until it has caught up: etcd knows best.
  return act({ kind: 'promote', id: learner.id }, 'Resizing', `${name} becomes a voter`);
}

/** What a member that joins is told of the others. */
function initialClusterWith(view: ClusterView, name: string, learner: SeenMember): string {
  const others = view.etcd.members.filter(({ id }) => id !== learner.id);
  const entries = others.flatMap((member) => member.peerUrls.map((url) => `${member.name}=${url}`));
  entries.push(...learner.peerUrls.map((url) => `${name}=${url}`));
  return entries.sort().join(',');
}
