/** What state a cluster is in, in a few words: two worlds in which the same happens in different states are different worlds. */
import { RaftState } from '@etcd/raft';
import type { World } from './world.ts';

export function clusterPhase({ activeMachines, fabric, history }: World): string {
  const running = activeMachines.filter(({ run }) => run !== null);
  const nodes = running.flatMap(({ run }) => (run?.parts ? [run.parts.node] : []));
  const leaders = nodes.filter(({ raftState }) => raftState === RaftState.Leader);
  const isBehind = running.some(({ server }) => (server?.appliedIndex ?? 0) + FAR < history.lastIndex);
  const words = [
    leaders.length === 0 ? 'nobody leads' : leaders.length === 1 ? 'one leads' : 'two think they lead',
    ...(nodes.some(({ raftState }) => isElecting(raftState)) ? ['somebody is a candidate'] : []),
    ...(nodes.some(({ transferee }) => transferee !== 0n) ? ['the lead is handed over'] : []),
    ...(running.length < activeMachines.length ? ['somebody is down'] : []),
    ...(running.some(({ isServing }) => !isServing) ? ['somebody starts'] : []),
    ...(isBehind ? ['somebody is far behind'] : []),
    ...(running.some(({ server }) => server?.store.isCompacting === true) ? ['a compaction runs'] : []),
    ...(running.some(({ server }) => (server?.alarms.list(0).length ?? 0) > 0) ? ['an alarm is up'] : []),
    ...(fabric.hasCuts ? ['links are cut'] : []),
    ...(nodes.some((node) => node.status().config.voters.outgoing.ids.length > 0) ? ['voters change'] : []),
  ];
  return words.join(', ');
}

/** Entries. */
const FAR = 20;

function isElecting(state: RaftState): boolean {
  return state === RaftState.Candidate || state === RaftState.PreCandidate;
}
