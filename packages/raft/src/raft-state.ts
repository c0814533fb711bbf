/**
 * The roles that a member can be in.
 */

export const RaftState = { Follower: 0, Candidate: 1, Leader: 2, PreCandidate: 3 } as const;
export type RaftState = (typeof RaftState)[keyof typeof RaftState];

const NAMES: readonly string[] = ['StateFollower', 'StateCandidate', 'StateLeader', 'StatePreCandidate'];

export function raftStateName(state: RaftState): string {
  return NAMES[state]!;
}
