/** Raft's configuration as a database implies it: that is how far configuration changes have been applied there. */
import { ConfState } from '@etcd/api/raftpb';
import type { MembershipState } from '../membership/index.ts';

export function confStateOf({ members }: Pick<MembershipState, 'members'>): ConfState {
  const voters = members.filter((member) => !member.isLearner).map((member) => member.id);
  const learners = members.filter((member) => member.isLearner).map((member) => member.id);
  return new ConfState({ voters, learners });
}
