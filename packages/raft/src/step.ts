/**
 * Where every message enters: its term against this member's first, then to the role that the member is in.
 */
import { type Message, MessageType } from '@etcd/api/raftpb';
import { answerVoteRequest, describeVoter, isTransferRequest, rejectStalePreVote } from './election.ts';
import { entriesSizeBytes } from './log/entry-size.ts';
import { appliedSnapshot, appliedTo } from './membership.ts';
import { isVoteRequest, NONE, newMessage } from './message.ts';
import { messageTypeName } from './names.ts';
import type { Raft } from './raft.ts';
import { RaftState } from './raft-state.ts';
import { releaseUncommittedSize } from './replication.ts';
import { stepCandidate } from './step-candidate.ts';
import type { StepError } from './step-error.ts';
import { stepFollower } from './step-follower.ts';
import { stepLeader } from './step-leader.ts';

/** Takes a message, which from now on belongs to the state machine. The caller has checked it. */
export function step(raft: Raft, message: Message): StepError | null {
  // Term 0: a request of this member's own driver, or one that means the same in every term.
  if (message.term !== 0) {
    if (message.term > raft.term) {
      if (!stepHigherTerm(raft, message)) return null;
    } else if (message.term < raft.term) {
      stepLowerTerm(raft, message);
      return null;
    }
  }
  switch (message.type) {
    case MessageType.MsgVote:
    case MessageType.MsgPreVote:
      answerVoteRequest(raft, message);
      return null;
    case MessageType.MsgStorageAppendResp:
      stepStorageAppendResponse(raft, message);
      return null;
    case MessageType.MsgStorageApplyResp:
      stepStorageApplyResponse(raft, message);
      return null;
    default:
      return stepInRole(raft, message);
  }
}

function stepInRole(raft: Raft, message: Message): StepError | null {
  switch (raft.state) {
    case RaftState.Leader:
      return stepLeader(raft, message);
    case RaftState.Follower:
      return stepFollower(raft, message);
    default:
      return stepCandidate(raft, message);
  }
}

/** A message from a later term ends what this member does in its own; false if the message is to be ignored. */
function stepHigherTerm(raft: Raft, message: Message): boolean {
  const { type, term, from } = message;
  if (isVoteRequest(type) && isProtectedByLease(raft) && !isTransferRequest(message)) {
    raft.logger.info(
      `${describeVoter(raft)} ignored ${messageTypeName(type)} from ${from.toString(16)} ` +
        `[logterm: ${message.logTerm}, index: ${message.index}] at term ${raft.term}: ` +
        `lease is not expired (remaining ticks: ${raft.electionTicks - raft.electionElapsed})`,
    );
    return false;
  }
  // A pre-vote only asks about the later term, and one that is granted answers for it: nobody is in it yet.
  if (type === MessageType.MsgPreVote) return true;
  if (type === MessageType.MsgPreVoteResp && !message.reject) return true;
  raft.logger.info(
    `${raft.name} [term: ${raft.term}] received a ${messageTypeName(type)} message with higher term ` +
      `from ${from.toString(16)} [term: ${term}]`,
  );
  const isFromLeader =
    type === MessageType.MsgApp || type === MessageType.MsgHeartbeat || type === MessageType.MsgSnap;
  raft.becomeFollower(term, isFromLeader ? from : NONE);
  return true;
}

/** Whether a leader was heard of so lately that a vote would disturb it (Raft thesis, section 4.2.3). */
function isProtectedByLease(raft: Raft): boolean {
  return raft.checkQuorum && raft.lead !== NONE && raft.electionElapsed < raft.electionTicks;
}

/** A message from a former term is ignored, but some have to be answered all the same. */
function stepLowerTerm(raft: Raft, message: Message): void {
  const { type } = message;
  if (
    (raft.checkQuorum || raft.preVote) &&
    (type === MessageType.MsgHeartbeat || type === MessageType.MsgApp)
  ) {
    // This member's term ran ahead, perhaps while it was cut off, and with these options its votes are ignored: it
    // could neither follow nor win. An answer tells the leader of the later term, and a new election follows.
    raft.send(newMessage(MessageType.MsgAppResp, message.from));
  } else if (type === MessageType.MsgPreVote) {
    // If it got no answer, a candidate with a short log and one with an old term could block each other for good.
    rejectStalePreVote(raft, message);
  } else if (type === MessageType.MsgStorageAppendResp) {
    stepStaleStorageAppendResponse(raft, message);
  } else {
    raft.logger.info(
      `${raft.name} [term: ${raft.term}] ignored a ${messageTypeName(type)} message with lower term ` +
        `from ${message.from.toString(16)} [term: ${message.term}]`,
    );
  }
}

/** What was handed out for storage is there, up to the entry that the response names. */
function stepStorageAppendResponse(raft: Raft, message: Message): void {
  if (message.index !== 0) raft.log.unstable.stableTo(message.logTerm, message.index);
  if (message.snapshot !== null) appliedSnapshot(raft, message.snapshot);
}

/**
 * The entries may have been overwritten since, in a later term, and the overwriting be under way to storage still:
 * nothing is known to be stable. A snapshot holds what is committed, which no term changes.
 */
function stepStaleStorageAppendResponse(raft: Raft, message: Message): void {
  if (message.index !== 0) {
    raft.logger.info(
      `${raft.name} [term: ${raft.term}] ignored entry appends from a ${messageTypeName(message.type)} message ` +
        `with lower term [term: ${message.term}]`,
    );
  }
  if (message.snapshot !== null) appliedSnapshot(raft, message.snapshot);
}

/** The state machine has applied the entries that the response carries. */
function stepStorageApplyResponse(raft: Raft, message: Message): void {
  const { entries } = message;
  if (entries.length === 0) return;
  const isBounded = raft.log.maxApplyingSizeBytes !== Infinity;
  appliedTo(raft, entries.at(-1)!.index, isBounded ? entriesSizeBytes(entries) : 0);
  releaseUncommittedSize(raft, entries);
}
