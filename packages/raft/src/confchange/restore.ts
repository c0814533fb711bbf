/**
 * From the configuration as it is stored ({@link ConfState}, in snapshots) to the one in memory and back. Restoring
 * goes through the same changes that a running group makes, so what comes out obeys the same rules.
 */
import type { MemberId } from '@etcd/api';
import { ConfChangeSingle, ConfChangeType, ConfState } from '@etcd/api/raftpb';
import { compareIds } from '../quorum/majority.ts';
import { type Config, EMPTY_CONFIG, MAX_MEMBERS } from '../tracker/config.ts';
import { ConfChangeError, changeSimple, enterJoint } from './changer.ts';

/**
 * The configuration that `state` describes. Throws {@link ConfChangeError} if there can be none such.
 *
 * A joint one is built from its outgoing half: that becomes the configuration voter by voter; then one step into the
 * joint configuration removes all of them from the incoming half and adds its voters and learners. Learners that
 * are still outgoing voters end up in `learnersNext` by the ordinary rule.
 */
export function restoreConfig(state: ConfState): Config {
  const { voters, votersOutgoing, learners, learnersNext } = state;
  // Before anything is done with the lists: a broken peer's may be as long as a message.
  if (voters.length + votersOutgoing.length + learners.length + learnersNext.length > 2 * MAX_MEMBERS) {
    throw new ConfChangeError('ConfState lists too many members');
  }
  const incoming = [
    ...changesTo(ConfChangeType.ConfChangeRemoveNode, votersOutgoing),
    ...changesTo(ConfChangeType.ConfChangeAddNode, voters),
    ...changesTo(ConfChangeType.ConfChangeAddLearnerNode, learners),
    ...changesTo(ConfChangeType.ConfChangeAddLearnerNode, learnersNext),
  ];
  let config = EMPTY_CONFIG;
  if (votersOutgoing.length === 0) {
    for (const change of incoming) config = changeSimple(config, [change]).config;
  } else {
    for (const change of changesTo(ConfChangeType.ConfChangeAddNode, votersOutgoing)) {
      config = changeSimple(config, [change]).config;
    }
    config = enterJoint(config, state.autoLeave, incoming).config;
  }
  const restored = confStateOf(config);
  if (!equivalentConfStates(state, restored)) {
    throw new ConfChangeError('ConfState describes no configuration: it repeats or contradicts itself');
  }
  return config;
}

export function confStateOf(config: Config): ConfState {
  return new ConfState({
    voters: [...config.voters.incoming.ids],
    votersOutgoing: [...config.voters.outgoing.ids],
    learners: [...config.learners.ids],
    learnersNext: [...config.learnersNext.ids],
    autoLeave: config.autoLeave,
  });
}

/** Whether both describe the same configuration, in whatever order. */
export function equivalentConfStates(a: ConfState, b: ConfState): boolean {
  return (
    a.autoLeave === b.autoLeave &&
    sameIds(a.voters, b.voters) &&
    sameIds(a.votersOutgoing, b.votersOutgoing) &&
    sameIds(a.learners, b.learners) &&
    sameIds(a.learnersNext, b.learnersNext)
  );
}

function sameIds(a: readonly MemberId[], b: readonly MemberId[]): boolean {
  if (a.length !== b.length) return false;
  const sorted = [...b].sort(compareIds);
  return [...a].sort(compareIds).every((id, i) => id === sorted[i]);
}

function changesTo(type: number, ids: readonly MemberId[]): ConfChangeSingle[] {
  return ids.map((nodeId) => new ConfChangeSingle({ type, nodeId }));
}
