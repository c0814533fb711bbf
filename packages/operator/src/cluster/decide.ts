/**
 * One look at a cluster, one next action: the whole behaviour of the operator, without a clock or a connection of its own.
 *
 * What was begun is finished before anything else is begun, and membership changes come one at a time:
 *
 *     certificates ─> restore ─> founded? ─> learner under way ─> disk left by a member ─> repair ─> size ─> room ─> schedule ─> defragmentation ─> template
 *
 * Invariants, which the tests check against a simulated Kubernetes:
 * - no action of the operator takes a cluster of three or more below its quorum;
 * - a voter never starts on an empty disk;
 * - what could not be observed is not acted upon.
 */
import { assert } from '@etcd/base';
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { type Decision, wait } from './action.ts';
import { keepSchedule } from './back-up.ts';
import { clearDisks } from './clear-disks.ts';
import { dissolve } from './dissolve.ts';
import { found } from './found.ts';
import { guideLearner } from './guide-learner.ts';
import { maintain } from './maintain.ts';
import { makeRoom } from './make-room.ts';
import type { Observed } from './observed.ts';
import { awaitAnswer } from './quorum-loss.ts';
import { repair } from './repair.ts';
import { resize } from './resize.ts';
import { rollOut } from './roll-out.ts';
import { ClusterView } from './view.ts';

/** @param template the pod template that the declaration asks for. */
export function decide(seen: Observed, template: string): Decision {
  if (seen.isDeleted) return dissolve(seen);
  if (!seen.spec.ok) {
    const problems = seen.spec.problems.map(({ field, problem }) => `${field} ${problem}`);
    return wait('Degraded', 'InvalidSpec', problems.join('; '));
  }
  const { spec } = seen.spec;
  if (spec.paused) return wait('Paused', 'Paused', 'nothing is done while spec.paused is set');
  const founding = found(seen, spec);
  if (founding !== null) return founding;
  return attend(seen, spec, template);
}

/** A cluster that has been founded. */
function attend(seen: Observed, spec: EtcdClusterSpec, template: string): Decision {
  const { workload, record, etcd } = seen;
  assert(workload !== null && record !== null, 'operator: a cluster that is not founded');
  if (etcd === null) return awaitAnswer(seen, spec, record);
  const view = new ClusterView(seen, spec, workload, record, etcd);
  const foreign = etcd.members.find((member) => view.ordinalOf(member) === null);
  if (foreign !== undefined) {
    const who = foreign.name === '' ? foreign.peerUrls.join() : foreign.name;
    return wait(
      'Degraded',
      'ForeignMember',
      `member ${who} is not of this operator; remove it, or set spec.paused`,
    );
  }
  if (etcd.leaderId === null) {
    return wait('Degraded', 'NoLeader', 'the members have no leader; nothing is changed until they do');
  }
  return (
    guideLearner(view) ??
    clearDisks(view) ??
    repair(view) ??
    resize(view) ??
    makeRoom(view) ??
    keepSchedule(view) ??
    maintain(view) ??
    rollOut(view, template) ??
    wait('Available', 'AsDeclared', `${view.voters.length} members serve`)
  );
}
