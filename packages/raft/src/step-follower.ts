/**
 * Followers: they take what the leader sends, and pass on to it what only it can do.
 */
import { type Message, MessageType } from '@etcd/api/raftpb';
import { ReadOnlyOption } from './config.ts';
import { Campaign, startCampaign } from './election.ts';
import { NONE } from './message.ts';
import type { Raft } from './raft.ts';
import { ReadState } from './ready.ts';
import { receiveFromLeader } from './receive.ts';
import { StepError } from './step-error.ts';

export function stepFollower(raft: Raft, message: Message): StepError | null {
  switch (message.type) {
    case MessageType.MsgProp:
      return stepFollowerPropose(raft, message);
    case MessageType.MsgApp:
    case MessageType.MsgHeartbeat:
    case MessageType.MsgSnap:
      receiveFromLeader(raft, message);
      return null;
    case MessageType.MsgTransferLeader:
      // One that has a term was passed on to this member already; it is no leader, so whoever did that is mistaken.
      if (message.term === 0) forwardToLeader(raft, message, 'leader transfer msg');
      return null;
    case MessageType.MsgReadIndex:
      forwardToLeader(raft, message, 'index reading msg');
      return null;
    case MessageType.MsgTimeoutNow:
      stepFollowerTimeoutNow(raft, message);
      return null;
    case MessageType.MsgReadIndexResp:
      stepFollowerReadIndexResponse(raft, message);
      return null;
    default:
      return null;
  }
}

/** Forgets who leads, so that the next vote is free. Not while reads rely on the leader's lease. */
export function forgetLeader(raft: Raft): void {
  if (raft.readOnlyOption === ReadOnlyOption.LeaseBased) {
    raft.logger.error('ignoring MsgForgetLeader due to ReadOnlyLeaseBased');
    return;
  }
  if (raft.lead === NONE) return;
  raft.logger.info(`${raft.name} forgetting leader ${raft.lead.toString(16)} at term ${raft.term}`);
  raft.lead = NONE;
}

function stepFollowerPropose(raft: Raft, message: Message): StepError | null {
  if (raft.lead === NONE) {
    raft.logger.info(`${raft.name} no leader at term ${raft.term}; dropping proposal`);
    return StepError.ProposalDropped;
  }
  if (raft.disableProposalForwarding) {
    raft.logger.info(
      `${raft.name} not forwarding to leader ${raft.lead.toString(16)} at term ${raft.term}; dropping proposal`,
    );
    return StepError.ProposalDropped;
  }
  // Whoever proposed it may lead by now: it would refuse what seems to come from itself.
  message.from = raft.id;
  message.to = raft.lead;
  raft.send(message);
  return null;
}

function forwardToLeader(raft: Raft, message: Message, what: string): void {
  if (raft.lead === NONE) {
    raft.logger.info(`${raft.name} no leader at term ${raft.term}; dropping ${what}`);
    return;
  }
  message.to = raft.lead;
  raft.send(message);
}

/** The leader hands over. No pre-vote: there is no doubt that the election is wanted. */
function stepFollowerTimeoutNow(raft: Raft, message: Message): void {
  raft.logger.info(
    `${raft.name} [term ${raft.term}] received MsgTimeoutNow from ${message.from.toString(16)} and starts an election to get leadership.`,
  );
  startCampaign(raft, Campaign.Transfer);
}

function stepFollowerReadIndexResponse(raft: Raft, message: Message): void {
  if (message.entries.length !== 1) {
    raft.logger.error(
      `${raft.name} invalid format of MsgReadIndexResp from ${message.from.toString(16)}, entries count: ${message.entries.length}`,
    );
    return;
  }
  // Only a leader knows what is committed; from anybody else the index could be too old.
  if (raft.lead !== NONE && raft.lead !== message.from) return;
  raft.readStates.push(new ReadState(message.index, message.entries[0]!.data));
}
