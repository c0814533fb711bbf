/** Members that don't come back by themselves: each is removed, for another to take its place with an empty disk. */
import { act, type Decision, wait } from './action.ts';
import type { SeenMember } from './observed.ts';
import type { ClusterView } from './view.ts';

export function repair(view: ClusterView): Decision | null {
  let waiting: Decision | null = null;
  let blocked: Decision | null = null;
  for (const member of view.voters) {
    const loss = lossOf(view, member);
    if (loss !== null) {
      // One that can be spared is replaced first: then the next can be spared, too.
      if (view.canLose(member)) return replace(view, member, loss);
      const problem = `${member.name} ${loss}, and without it the others are too few to decide anything`;
      blocked ??= wait('Degraded', 'QuorumAtRisk', `${problem}; restore a backup if they do not come back`);
    } else if (!member.isHealthy) {
      const problem = `${member.name} does not answer; its disk is there, so it is waited for`;
      waiting ??= wait('Degraded', 'MemberDown', problem);
    }
  }
  return blocked ?? waiting;
}

/** Why the member can't go on with what it has; null: it can. */
function lossOf(view: ClusterView, member: SeenMember): string | null {
  const ordinal = view.ordinalOf(member)!;
  if (member.alarms.includes('CORRUPT')) return 'differs from the others in what it holds';
  if (member.isHealthy) return null;
  const disk = view.disk(ordinal);
  const recorded = view.record.disks[view.name(ordinal)];
  if (disk !== null && recorded !== undefined && disk !== recorded) return 'has lost its disk';
  if (view.volume(ordinal)?.isLost === true) return 'has lost its volume';
  const limitSeconds = view.spec.repair.replaceSilentAfterSeconds;
  const silentMs = view.seen.nowMs - member.sinceMs;
  if (limitSeconds !== null && silentMs >= limitSeconds * 1000)
    return `has been silent for ${Math.round(silentMs / 1000)} s`;
  return null;
}

function replace(view: ClusterView, member: SeenMember, loss: string): Decision {
  if (member.id === view.etcd.leaderId) {
    const successor = view.successorOf(member)!;
    return act(
      { kind: 'move-leader', from: member.id, to: successor.id },
      'Repairing',
      `${member.name} ${loss}`,
    );
  }
  return act(
    { kind: 'remove-member', id: member.id },
    'Repairing',
    `${member.name} ${loss}, and is replaced`,
  );
}
