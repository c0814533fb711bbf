/**
 * Candidates and pre-candidates: they count votes until they win, lose, or hear from a leader.
 */
import { type Message, MessageType } from '@etcd/api/raftpb';
import { countVote } from './election.ts';
import type { Raft } from './raft.ts';
import { RaftState, raftStateName } from './raft-state.ts';
import { receiveFromLeader } from './receive.ts';
import { StepError } from './step-error.ts';

export function stepCandidate(raft: Raft, message: Message): StepError | null {
  switch (message.type) {
    case MessageType.MsgProp:
      raft.logger.info(`${raft.name} no leader at term ${raft.term}; dropping proposal`);
      return StepError.ProposalDropped;
    case MessageType.MsgApp:
    case MessageType.MsgHeartbeat:
    case MessageType.MsgSnap:
      // Somebody else has won the election of this term.
      raft.becomeFollower(message.term, message.from);
      receiveFromLeader(raft, message);
      return null;
    case MessageType.MsgVoteResp:
      if (raft.state === RaftState.Candidate) countVote(raft, message);
      return null;
    case MessageType.MsgPreVoteResp:
      // A candidate may still get late answers to what it asked as a pre-candidate.
      if (raft.state === RaftState.PreCandidate) countVote(raft, message);
      return null;
    case MessageType.MsgTimeoutNow:
      raft.logger.debug(
        `${raft.name} [term ${raft.term} state ${raftStateName(raft.state)}] ignored MsgTimeoutNow from ${message.from.toString(16)}`,
      );
      return null;
    default:
      return null;
  }
}
