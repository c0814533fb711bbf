/**
 * Storage work as messages, for drivers that write asynchronously: what a Ready says in its fields stands in a
 * MsgStorageAppend and a MsgStorageApply instead, each with the responses that are to be delivered when it is done.
 * The responses alone also serve the synchronous driver: there they wait for `advance()`.
 */
import { type Entry, type Message, MessageType } from '@etcd/api/raftpb';
import { LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, newMessage } from './message.ts';
import type { Raft } from './raft.ts';
import type { Ready } from './ready.ts';

/**
 * Log, hard state and snapshot to be written, in this order of messages to the append thread. Without responses
 * there is no need to make it durable.
 * @param promises messages that may leave once this and everything before it is durable.
 */
export function storageAppendMessage(raft: Raft, ready: Ready, promises: Message[]): Message {
  const message = newMessage(MessageType.MsgStorageAppend, LOCAL_APPEND_THREAD);
  message.from = raft.id;
  message.entries = ready.entries as Entry[];
  if (ready.hardState !== null) {
    message.term = ready.hardState.term;
    message.vote = ready.hardState.vote;
    message.commit = ready.hardState.commit;
  }
  message.snapshot = ready.snapshot;
  // The leader's own acknowledgement comes before the entries leave the unstable log, where their terms are at hand.
  message.responses = promises;
  const response = storageAppendResponse(raft, ready);
  if (response !== null) promises.push(response);
  return message;
}

/** Whether a Ready has anything for the append thread. */
export function needsStorageAppend(ready: Ready, promises: readonly Message[]): boolean {
  return (
    ready.entries.length > 0 || ready.hardState !== null || ready.snapshot !== null || promises.length > 0
  );
}

/**
 * What tells this member that its log is in storage up to here; null if there is nothing to tell.
 *
 * It names the term, and counts only while that lasts. Else a write that is confirmed might be followed in the queue
 * by one, handed out under another leader, that replaces the entries by others with which those confirmed agree
 * again at the end: then the confirmation would be of entries that storage is about to lose for a while.
 *
 * Since a confirmation may so be void, each one names the end of the whole unstable log, whether this Ready has
 * entries or not: the first of a new term, which carries at least its hard state, confirms what went before.
 */
export function storageAppendResponse(raft: Raft, ready: Ready): Message | null {
  const hasEntries = raft.log.unstable.count > 0;
  if (!hasEntries && ready.snapshot === null) return null;
  const response = newMessage(MessageType.MsgStorageAppendResp, raft.id);
  response.from = LOCAL_APPEND_THREAD;
  response.term = raft.term;
  if (hasEntries) {
    response.index = raft.log.lastIndex();
    response.logTerm = raft.log.lastTerm();
  }
  response.snapshot = ready.snapshot;
  return response;
}

/** Committed entries to be applied, in this order of messages to the apply thread; need not be durable. */
export function storageApplyMessage(raft: Raft, entries: readonly Entry[]): Message {
  const message = newMessage(MessageType.MsgStorageApply, LOCAL_APPLY_THREAD);
  message.from = raft.id;
  message.entries = entries as Entry[];
  message.responses = [storageApplyResponse(raft, entries)];
  return message;
}

/** What tells this member that the entries were applied. Without a term: what is committed is so in every term. */
export function storageApplyResponse(raft: Raft, entries: readonly Entry[]): Message {
  const response = newMessage(MessageType.MsgStorageApplyResp, raft.id);
  response.from = LOCAL_APPLY_THREAD;
  response.entries = entries as Entry[];
  return response;
}
