/** A new image or new options: one member after the other, the leader last, each only when all have served for a while. */
import { upgradeProblem } from '../resources/release.ts';
import { act, type Decision, wait } from './action.ts';
import { backUpFirst } from './back-up.ts';
import { awaitsRestarts } from './certify.ts';
import { awaitWindow } from './maintain.ts';
import type { SeenPod } from './observed.ts';
import type { ClusterView } from './view.ts';

/** Between two members, all of them serve for so long. */
const SETTLED_MS = 5_000;
/** Fewer members have no quorum without one of them, however carefully they are taken. */
const LEAST_REDUNDANT = 3;

export function rollOut(view: ClusterView, template: string): Decision | null {
  const { workload, spec } = view;
  if (workload.template !== template) {
    const problem = workload.version === spec.version ? null : upgradeProblem(workload.version, spec.version);
    if (problem !== null) return wait('Degraded', 'UpgradeRefused', problem);
    if (spec.storage === null && view.voters.length < LEAST_REDUNDANT) {
      const problem =
        'members without volumes lose their data with their pods, and these are too few to lose one';
      return wait('Degraded', 'UpgradeRefused', problem);
    }
    // Certificates that expire meanwhile would be no better than an hour without members.
    const waiting = awaitsRestarts(view.seen)
      ? null
      : awaitWindow(view, 'members are given what is declared');
    if (waiting !== null) return waiting;
    const isOther = workload.image !== `${spec.imageRegistry}:${spec.version}`;
    const backingUp = isOther ? backUpFirst(view) : null;
    if (backingUp !== null) return backingUp;
    const { resourceVersion } = workload;
    return act(
      { kind: 'update-template', resourceVersion },
      'RollingOut',
      `members will run ${spec.version}`,
    );
  }
  const old = view.seen.pods.filter((pod) => pod.template !== template);
  if (old.length === 0) {
    // A member that is about to end may still answer when its pod is gone already.
    if (view.seen.pods.length >= workload.replicas) return null;
    return wait('Progressing', 'RollingOut', 'a pod is being made');
  }
  if (!isSettled(view)) return wait('Progressing', 'RollingOut', 'the members are given time to settle');
  return restartOne(view, old);
}

function isSettled(view: ClusterView): boolean {
  const { nowMs } = view.seen;
  return view.voters.every(({ isHealthy, sinceMs }) => isHealthy && nowMs - sinceMs >= SETTLED_MS);
}

function restartOne(view: ClusterView, old: readonly SeenPod[]): Decision {
  const { leaderId } = view.etcd;
  const pod = old.find(({ ordinal }) => view.member(ordinal)?.id !== leaderId) ?? old[0]!;
  const member = view.member(pod.ordinal);
  const name = view.name(pod.ordinal);
  if (pod.isTerminating) return wait('Progressing', 'RollingOut', `${name} stops`);
  if (member !== null && view.voters.length >= LEAST_REDUNDANT && !view.servesWithout(member)) {
    return wait('Degraded', 'QuorumAtRisk', `${name} can't be spared now`);
  }
  if (member !== null && member.id === leaderId) {
    const successor = view.successorOf(member);
    if (successor !== null) {
      return act(
        { kind: 'move-leader', from: member.id, to: successor.id },
        'RollingOut',
        `${name} is last, and leads`,
      );
    }
  }
  if (member !== null && view.spec.storage === null) {
    // Its data goes with its pod, so that it goes as a member first: as etcd allows, at the moment it is done.
    return act({ kind: 'remove-member', id: member.id }, 'RollingOut', `${name} is replaced`);
  }
  return act(
    { kind: 'evict-pod', ordinal: pod.ordinal, uid: pod.uid },
    'RollingOut',
    `${name} is started anew`,
  );
}
