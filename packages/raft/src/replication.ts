/**
 * A leader's outgoing side: its own log grows, followers receive what they lack as appends or snapshots, as far as
 * the flow control of each ({@link Progress}) lets it, and heartbeats in between.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { type Entry, MessageType } from '@etcd/api/raftpb';
import { assert } from '@etcd/base';
import { MAX_INDEX } from './limits.ts';
import { payloadsSizeBytes } from './log/entry-size.ts';
import { newMessage } from './message.ts';
import type { Raft } from './raft.ts';
import { type Progress, ProgressState } from './tracker/progress.ts';

/**
 * Entries cut out of the log for one follower, for the next one that needs the same: most broadcasts go to followers
 * that are equally far.
 */
interface CutEntries {
  next: LogIndex;
  entries: Entry[] | null;
}

/**
 * Appends entries to the leader's own log, giving them term and index; false if that would exceed the bound on
 * uncommitted payload. An empty log tail accepts any size, and entries without payload always fit.
 *
 * The leader acknowledges to itself like a follower does, by a message that waits for the entries to be durable.
 */
export function appendEntries(raft: Raft, entries: readonly Entry[]): boolean {
  const next = raft.log.lastIndex() + 1;
  if (next + entries.length > MAX_INDEX) {
    raft.logger.error(`${raft.name} the log has reached the highest index; dropping proposal`);
    return false;
  }
  if (!reserveUncommittedSize(raft, entries)) {
    raft.logger.warn(
      `${raft.name} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`,
    );
    return false;
  }
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    entry.term = raft.term;
    entry.index = next + i;
  }
  const ack = newMessage(MessageType.MsgAppResp, raft.id);
  ack.index = raft.log.append(entries);
  raft.send(ack);
  return true;
}

function reserveUncommittedSize(raft: Raft, entries: readonly Entry[]): boolean {
  if (raft.maxUncommittedSizeBytes === Infinity) return true;
  const sizeBytes = payloadsSizeBytes(entries);
  const total = raft.uncommittedSizeBytes + sizeBytes;
  if (raft.uncommittedSizeBytes > 0 && sizeBytes > 0 && total > raft.maxUncommittedSizeBytes) return false;
  raft.uncommittedSizeBytes = total;
  return true;
}

/** Entries were applied, so they no longer count as uncommitted. */
export function releaseUncommittedSize(raft: Raft, entries: readonly Entry[]): void {
  if (raft.uncommittedSizeBytes === 0) return;
  // After a change of leader the count may fall short of what is in the log, never exceed it.
  raft.uncommittedSizeBytes = Math.max(0, raft.uncommittedSizeBytes - payloadsSizeBytes(entries));
}

/** Commits what a quorum has, if it is of this term; true if that advanced the commit index. */
export function maybeCommit(raft: Raft): boolean {
  return raft.log.maybeCommit(raft.term, raft.tracker.committed());
}

/** Sends to every follower what it lacks, or just the commit index. */
export function broadcastAppend(raft: Raft): void {
  const members = raft.tracker.all;
  if (members.length === 1 && members[0]!.id === raft.id) return;
  const cut: CutEntries = { next: -1, entries: null };
  for (const progress of members) {
    if (progress.id !== raft.id) maybeSendAppend(raft, progress, true, cut);
  }
}

/** Sends an append, empty if there is nothing new, unless the flow is paused. */
export function sendAppend(raft: Raft, progress: Progress): void {
  maybeSendAppend(raft, progress, true);
}

/** Sends as many messages as the window admits; none that would be empty. */
export function sendAllAppends(raft: Raft, progress: Progress): void {
  while (maybeSendAppend(raft, progress, false));
}

/**
 * Sends an append with the entries from `progress.next` on, or a snapshot if they were compacted away. True if a
 * message was sent.
 * @param sendIfEmpty also without entries, which tells the commit index.
 */
export function maybeSendAppend(
  raft: Raft,
  progress: Progress,
  sendIfEmpty: boolean,
  cut?: CutEntries,
): boolean {
  if (progress.paused) return false;
  const previousIndex = progress.next - 1;
  const previousTerm = raft.log.term(previousIndex);
  // Compacted at or beyond the next entry; only a snapshot helps.
  if (previousTerm < 0) return maybeSendSnapshot(raft, progress);

  // With a full window send no entries, but do send: if every message of the window was lost, the rejection of this
  // one is what gets the flow going again.
  const windowOpen = progress.state !== ProgressState.Replicate || !progress.inflights.full;
  const entries = windowOpen ? cutEntries(raft, progress.next, cut) : [];
  if (!sendIfEmpty && (entries === null || entries.length === 0)) return false;
  if (entries === null) return maybeSendSnapshot(raft, progress);

  const message = newMessage(MessageType.MsgApp, progress.id);
  message.index = previousIndex;
  message.logTerm = previousTerm;
  message.entries = entries;
  message.commit = raft.log.committed;
  raft.send(message);
  progress.sentEntries(entries.length, payloadsSizeBytes(entries));
  progress.sentCommit = raft.log.committed;
  return true;
}

function cutEntries(raft: Raft, next: LogIndex, cut: CutEntries | undefined): Entry[] | null {
  if (cut !== undefined && cut.next === next) return cut.entries;
  const entries = raft.log.entriesFrom(next, raft.maxSizePerMsgBytes);
  if (cut !== undefined) {
    cut.next = next;
    cut.entries = entries;
  }
  return entries;
}

function maybeSendSnapshot(raft: Raft, progress: Progress): boolean {
  const to = progress.id.toString(16);
  if (!progress.recentActive) {
    raft.logger.debug(`ignore sending snapshot to ${to} since it is not recently active`);
    return false;
  }
  const snapshot = raft.log.snapshot();
  if (snapshot === null) {
    raft.logger.debug(
      `${raft.name} failed to send snapshot to ${to} because snapshot is temporarily unavailable`,
    );
    return false;
  }
  const { index, term } = snapshot.metadata;
  assert(index > 0, 'need non-empty snapshot');
  raft.logger.debug(
    `${raft.name} [firstindex: ${raft.log.firstIndex()}, commit: ${raft.log.committed}] ` +
      `sent snapshot[index: ${index}, term: ${term}] to ${to} [${progress}]`,
  );
  progress.becomeSnapshot(index);
  raft.logger.debug(`${raft.name} paused sending replication messages to ${to} [${progress}]`);
  const message = newMessage(MessageType.MsgSnap, progress.id);
  message.snapshot = snapshot;
  raft.send(message);
  return true;
}

/** Heartbeats to everybody, with the context that confirms the reads that wait. */
export function broadcastHeartbeat(raft: Raft): void {
  const context = raft.readOnly.heartbeatContext();
  for (const progress of raft.tracker.all) {
    if (progress.id !== raft.id) sendHeartbeat(raft, progress, context);
  }
}

function sendHeartbeat(raft: Raft, progress: Progress, context: Uint8Array): void {
  const message = newMessage(MessageType.MsgHeartbeat, progress.id);
  // What lies beyond the match may be another entry on the follower: it must not take that for committed.
  const commit = Math.min(progress.match, raft.log.committed);
  message.commit = commit;
  message.context = context;
  raft.send(message);
  progress.sentCommit = commit;
}

export function sendTimeoutNow(raft: Raft, to: MemberId): void {
  raft.send(newMessage(MessageType.MsgTimeoutNow, to));
}
