/**
 * Elections: when to campaign, asking for votes, giving them, counting them.
 */
import type { MemberId, Term } from '@etcd/api';
import { Entry, EntryType, type Message, MessageType } from '@etcd/api/raftpb';
import { assert, EMPTY_BYTES, equalBytes, utf8ToBytes } from '@etcd/base';
import { MAX_INDEX, MAX_TERM } from './limits.ts';
import { NONE, newMessage, voteResponseType } from './message.ts';
import { messageTypeName } from './names.ts';
import { VoteResult } from './quorum/majority.ts';
import type { Raft } from './raft.ts';
import { RaftState } from './raft-state.ts';
import { appendEntries, broadcastAppend } from './replication.ts';

export const Campaign = {
  /** Asks whether an election could be won; changes nothing on anybody. */
  PreElection: 0,
  Election: 1,
  /** An election on the leader's own wish: no pre-vote, and others don't protect the leader from it. */
  Transfer: 2,
} as const;
export type Campaign = (typeof Campaign)[keyof typeof Campaign];

/** The context of vote requests in a {@link Campaign.Transfer}. */
const TRANSFER_CONTEXT = utf8ToBytes('CampaignTransfer');

/** What a member does whose election timeout has passed. */
export function electionTimedOut(raft: Raft): void {
  startCampaign(raft, raft.preVote ? Campaign.PreElection : Campaign.Election);
}

/** Campaigns, unless something speaks against it. */
export function startCampaign(raft: Raft, kind: Campaign): void {
  if (raft.state === RaftState.Leader) {
    raft.logger.debug(`${raft.name} ignoring MsgHup because already leader`);
    return;
  }
  if (!raft.promotable) {
    raft.logger.warn(`${raft.name} is unpromotable and can not campaign`);
    return;
  }
  if (hasUnappliedConfChanges(raft)) {
    raft.logger.warn(
      `${raft.name} cannot campaign at term ${raft.term} since there are still pending configuration changes to apply`,
    );
    return;
  }
  if (raft.term >= MAX_TERM || raft.log.lastIndex() >= MAX_INDEX - 1) {
    raft.logger.error(`${raft.name} cannot campaign: the highest term or index is reached`);
    return;
  }
  raft.logger.info(`${raft.name} is starting a new election at term ${raft.term}`);
  campaign(raft, kind);
}

function campaign(raft: Raft, kind: Campaign): void {
  const isPreElection = kind === Campaign.PreElection;
  if (isPreElection) raft.becomePreCandidate();
  else raft.becomeCandidate();
  const request = isPreElection ? MessageType.MsgPreVote : MessageType.MsgVote;
  // A pre-vote asks about the term that the election would have.
  const term = isPreElection ? raft.term + 1 : raft.term;
  for (const id of raft.tracker.config.voters.ids().ids) {
    if (id === raft.id) {
      // The own vote counts once it is durable; so it takes the way of a message that waits for that.
      const vote = newMessage(voteResponseType(request), id);
      vote.term = term;
      raft.send(vote);
    } else {
      requestVote(raft, id, request, term, kind);
    }
  }
}

function requestVote(raft: Raft, to: MemberId, type: number, term: Term, kind: Campaign): void {
  const message = newMessage(type, to);
  message.term = term;
  message.index = raft.log.lastIndex();
  message.logTerm = raft.log.lastTerm();
  message.context = kind === Campaign.Transfer ? TRANSFER_CONTEXT : EMPTY_BYTES;
  raft.logger.info(
    `${raft.name} [logterm: ${message.logTerm}, index: ${message.index}] sent ${messageTypeName(type)} request ` +
      `to ${to.toString(16)} at term ${raft.term}`,
  );
  raft.send(message);
}

/** Whether a request for a vote comes by the wish of the leader that it would depose. */
export function isTransferRequest(message: Message): boolean {
  return equalBytes(message.context, TRANSFER_CONTEXT);
}

/** The answer to MsgVote and MsgPreVote, in every role. */
export function answerVoteRequest(raft: Raft, message: Message): void {
  const { type, from } = message;
  const isPreVote = type === MessageType.MsgPreVote;
  // A vote may be repeated; given anew if none was given and no leader is known in this term; and a pre-vote
  // for a later term costs nothing. Learners vote too: one may have been promoted without having heard of it.
  const mayVote =
    raft.vote === from ||
    (raft.vote === NONE && raft.lead === NONE) ||
    (isPreVote && message.term > raft.term);
  const { logTerm, index } = message;
  const granted = mayVote && raft.log.isUpToDate(logTerm, index) && raft.hasWhatIsLost(logTerm, index);
  logVoteAnswer(raft, message, granted);
  // Before its first term a member can refuse a pre-vote, but a message of no term would mean nothing.
  if (!granted && raft.term === 0) return;
  const response = newMessage(voteResponseType(type), from);
  // A granted pre-vote is for the candidate's term, which is not ours yet; it would ignore an answer of ours.
  response.term = granted ? message.term : raft.term;
  response.reject = !granted;
  raft.send(response);
  if (!granted) return;
  if (!isPreVote) {
    raft.electionElapsed = 0;
    raft.vote = from;
  } else if (raft.yieldsPreVote && raft.state === RaftState.PreCandidate && outranks(raft, message)) {
    // Both asking at once, both would be told yes, and then vote for themselves. One lets the other go first.
    raft.logger.info(`${raft.name} leaves the election at term ${message.term} to ${from.toString(16)}`);
    raft.becomeFollower(raft.term, NONE);
  }
}

/** Whether of two who ask for votes at the same time it is the other who should go on: both see it alike. */
function outranks(raft: Raft, { from, logTerm, index }: Message): boolean {
  const isEqual = raft.log.lastTerm() === logTerm && raft.log.lastIndex() === index;
  return !isEqual || from > raft.id;
}

/** Logs what was done with a request for a vote, with all that it depended on. */
function logVoteAnswer(raft: Raft, message: Message, granted: boolean): void {
  const type = messageTypeName(message.type);
  const from = message.from.toString(16);
  raft.logger.info(
    `${describeVoter(raft)} ${granted ? `cast ${type} for ${from}` : `rejected ${type} from ${from}`} ` +
      `[logterm: ${message.logTerm}, index: ${message.index}] at term ${raft.term}`,
  );
}

/** A pre-vote for a term that is over. It is answered all the same: the candidate has to learn of the newer term. */
export function rejectStalePreVote(raft: Raft, message: Message): void {
  logVoteAnswer(raft, message, false);
  const response = newMessage(MessageType.MsgPreVoteResp, message.from);
  response.term = raft.term;
  response.reject = true;
  raft.send(response);
}

/** How vote-related log lines begin. */
export function describeVoter(raft: Raft): string {
  return `${raft.name} [logterm: ${raft.log.lastTerm()}, index: ${raft.log.lastIndex()}, vote: ${raft.vote.toString(16)}]`;
}

/** Counts a vote, and acts if that decides. */
export function countVote(raft: Raft, message: Message): void {
  const type = messageTypeName(message.type);
  const from = message.from.toString(16);
  raft.logger.info(
    `${raft.name} received ${type}${message.reject ? ' rejection' : ''} from ${from} at term ${raft.term}`,
  );
  raft.tracker.recordVote(message.from, !message.reject);
  const { granted, rejected, result } = raft.tracker.tallyVotes();
  raft.logger.info(`${raft.name} has received ${granted} ${type} votes and ${rejected} vote rejections`);
  if (result === VoteResult.won) {
    if (raft.state === RaftState.PreCandidate) {
      campaign(raft, Campaign.Election);
    } else {
      becomeLeader(raft);
      broadcastAppend(raft);
    }
  } else if (result === VoteResult.lost) {
    raft.becomeFollower(raft.term, NONE);
  }
}

/**
 * Takes over. The empty entry of the new term is what commits the entries of former terms with it: counting their
 * replicas alone would not make them safe (Raft paper, section 5.4.2).
 */
function becomeLeader(raft: Raft): void {
  raft.enterLeader();
  const appended = appendEntries(raft, [new Entry()]);
  assert(appended, 'empty entry was dropped');
  raft.logger.info(`${raft.name} became leader at term ${raft.term}`);
}

/**
 * Whether a configuration change is committed and not applied: until then this member may count the wrong voters. (An
 * application may compact what it has applied before raft hears of that; then wait until it does.)
 */
function hasUnappliedConfChanges({ log }: Raft): boolean {
  return log.someEntry(
    log.applied + 1,
    log.committed + 1,
    log.maxApplyingSizeBytes,
    ({ type }) => type !== EntryType.EntryNormal,
  );
}
