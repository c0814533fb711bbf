/**
 * Names for what messages are about: special targets, classes of message types, and making one.
 */
import type { MemberId } from '@etcd/api';
import { Message, MessageType } from '@etcd/api/raftpb';
import { equalBytes, InvariantError, utf8ToBytes } from '@etcd/base';

/** No member: no leader is known, no vote was cast. */
export const NONE = 0n;
/** The target of MsgStorageAppend: whatever writes log, hard state and snapshots (see index.ts). */
export const LOCAL_APPEND_THREAD = 0xffff_ffff_ffff_ffffn;
/** The target of MsgStorageApply: whatever applies committed entries. */
export const LOCAL_APPLY_THREAD = 0xffff_ffff_ffff_fffen;

export function isLocalTarget(id: MemberId): boolean {
  return id === LOCAL_APPEND_THREAD || id === LOCAL_APPLY_THREAD;
}

/** Types that members send to each other. All others are local, and refused when they come from the network. */
export function isPeerMessage(type: number): boolean {
  return PEER_TYPES.has(type);
}

/** Types that answer something: they make sense only from a member that this one knows. */
export function isResponse(type: number): boolean {
  switch (type) {
    case MessageType.MsgAppResp:
    case MessageType.MsgVoteResp:
    case MessageType.MsgHeartbeatResp:
    case MessageType.MsgReadIndexResp:
    case MessageType.MsgPreVoteResp:
      return true;
    default:
      return false;
  }
}

/**
 * Types that carry no term: they are passed on to whoever leads, and mean the same in every term. Every other message
 * between members has one.
 */
export function isTermless(type: number): boolean {
  return type === MessageType.MsgProp || type === MessageType.MsgReadIndex;
}

/**
 * Types of messages that must not leave before what this member knows is durable, since others rely on it: that it won't
 * vote again in the term, and won't lose the entries.
 */
export function isPromise(type: number): boolean {
  return (
    type === MessageType.MsgAppResp || type === MessageType.MsgVoteResp || type === MessageType.MsgPreVoteResp
  );
}

/**
 * The context of a rejection that answers a heartbeat: the log ends before what was acknowledged. Members of other software take it for a
 * rejection that is out of date.
 */
export const LOSS_CONTEXT = utf8ToBytes('LostEntries');

export function isLossReport({ type, reject, context }: Message): boolean {
  return type === MessageType.MsgAppResp && reject && equalBytes(context, LOSS_CONTEXT);
}

/** Requests for votes and answers to them, of either kind. */
export function isVoteMessage(type: number): boolean {
  return isVoteRequest(type) || type === MessageType.MsgVoteResp || type === MessageType.MsgPreVoteResp;
}

export function isVoteRequest(type: number): boolean {
  return type === MessageType.MsgVote || type === MessageType.MsgPreVote;
}

export function voteResponseType(type: number): number {
  if (type === MessageType.MsgVote) return MessageType.MsgVoteResp;
  if (type === MessageType.MsgPreVote) return MessageType.MsgPreVoteResp;
  throw new InvariantError(`not a vote message: ${type}`);
}

/** A message with everything but type and receiver at its default. */
export function newMessage(type: number, to: MemberId): Message {
  const message = new Message();
  message.type = type;
  message.to = to;
  return message;
}

const PEER_TYPES: ReadonlySet<number> = new Set<number>([
  MessageType.MsgProp,
  MessageType.MsgApp,
  MessageType.MsgAppResp,
  MessageType.MsgVote,
  MessageType.MsgVoteResp,
  MessageType.MsgSnap,
  MessageType.MsgHeartbeat,
  MessageType.MsgHeartbeatResp,
  MessageType.MsgTransferLeader,
  MessageType.MsgTimeoutNow,
  MessageType.MsgReadIndex,
  MessageType.MsgReadIndexResp,
  MessageType.MsgPreVote,
  MessageType.MsgPreVoteResp,
]);
