/**
 * The passing of time: one call per tick, however long the driver makes that.
 */
import { electionTimedOut } from './election.ts';
import type { Raft } from './raft.ts';
import { RaftState } from './raft-state.ts';
import { broadcastHeartbeat } from './replication.ts';
import { checkQuorum } from './step-leader.ts';

export function tick(raft: Raft): void {
  if (raft.state === RaftState.Leader) tickLeader(raft);
  else tickElection(raft);
}

function tickElection(raft: Raft): void {
  raft.electionElapsed++;
  if (raft.promotable && raft.pastElectionTimeout) {
    raft.electionElapsed = 0;
    electionTimedOut(raft);
  }
}

function tickLeader(raft: Raft): void {
  raft.heartbeatElapsed++;
  raft.electionElapsed++;
  if (raft.electionElapsed >= raft.electionTicks) {
    raft.electionElapsed = 0;
    if (raft.checkQuorum) checkQuorum(raft);
    // A transfer that took this long has failed; go on as leader.
    if (raft.state === RaftState.Leader) raft.abortLeaderTransfer();
  }
  if (raft.state === RaftState.Leader && raft.heartbeatElapsed >= raft.heartbeatTicks) {
    raft.heartbeatElapsed = 0;
    broadcastHeartbeat(raft);
  }
}
