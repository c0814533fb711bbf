/** As many members as were asked for: in through a learner, out from the highest ordinal on. */
import { act, type Decision, wait } from './action.ts';
import type { ClusterView } from './view.ts';

export function resize(view: ClusterView): Decision | null {
  const { voters, spec } = view;
  // All voters are healthy here, or were found to be waited for.
  if (voters.length > spec.size) return shrink(view);
  // A gap below is filled before a member above may go: pods are counted from the front.
  for (let ordinal = 0; ordinal < spec.size; ordinal++) {
    if (view.member(ordinal) === null) return grow(view, ordinal);
  }
  if (view.workload.replicas <= spec.size) return null;
  const { resourceVersion } = view.workload;
  return act(
    { kind: 'scale-workload', replicas: spec.size, resourceVersion },
    'Resizing',
    'pods without a member are stopped',
  );
}

function grow(view: ClusterView, ordinal: number): Decision {
  const name = view.name(ordinal);
  const volume = view.volume(ordinal);
  // Left by a cluster of this name, or by a member from before: not an empty disk.
  if (ordinal >= view.workload.replicas && volume !== null) {
    if (volume.isTerminating)
      return wait('Progressing', 'Resizing', `an old volume of ${name} is being given up`);
    return act(
      { kind: 'delete-volume', name: volume.name, uid: volume.uid },
      'Resizing',
      `an old volume of ${name} is in the way`,
    );
  }
  return act({ kind: 'add-learner', name, peerUrl: view.peerUrl(ordinal) }, 'Resizing', `${name} is added`);
}

function shrink(view: ClusterView): Decision {
  const { voters } = view;
  const last = voters.reduce((a, b) => ((view.ordinalOf(a) ?? 0) > (view.ordinalOf(b) ?? 0) ? a : b));
  if (last.id === view.etcd.leaderId) {
    const successor = view.successorOf(last);
    if (successor === null) return wait('Degraded', 'MemberDown', `nobody can take over from ${last.name}`);
    return act(
      { kind: 'move-leader', from: last.id, to: successor.id },
      'Resizing',
      `${last.name} will leave`,
    );
  }
  return act({ kind: 'remove-member', id: last.id }, 'Resizing', `${last.name} leaves`);
}
