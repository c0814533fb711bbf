/**
 * Linearizable reads on the leader: the commit index at which a read may be served, given out once it is certain
 * that this member was still the leader when it was asked (Raft thesis, section 6.4).
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { type Message, MessageType } from '@etcd/api/raftpb';
import { ReadOnlyOption } from './config.ts';
import { NONE, newMessage } from './message.ts';
import type { Raft } from './raft.ts';
import { MAX_PENDING_READS } from './read-only.ts';
import { ReadState } from './ready.ts';
import { broadcastHeartbeat } from './replication.ts';

/**
 * A request on the leader, its own or one that a follower passed on.
 *
 * It waits until the leader has committed an entry of its term: before, the commit index may lag behind what was
 * answered already. That goes for a leader without followers too, unlike in the public library: commit indexes are
 * not synced, so after a power failure even the only voter may know a lower one than it had.
 */
export function stepLeaderReadIndex(raft: Raft, request: Message): void {
  if (!hasCommittedInTerm(raft)) {
    if (raft.pendingReadIndexMessages.count < MAX_PENDING_READS) raft.pendingReadIndexMessages.push(request);
  } else {
    serveRead(raft, request);
  }
}

/** The first entry of the term is committed, so reads that waited for that go on. */
export function releasePendingReads(raft: Raft): void {
  if (raft.pendingReadIndexMessages.count === 0 || !hasCommittedInTerm(raft)) return;
  for (
    let request = raft.pendingReadIndexMessages.take();
    request !== undefined;
    request = raft.pendingReadIndexMessages.take()
  ) {
    serveRead(raft, request);
  }
}

/** A heartbeat was answered: whoever answered still followed this leader when it was sent. */
export function confirmReads(raft: Raft, from: MemberId, context: Uint8Array): void {
  raft.readOnly.receiveAck(from, context);
  answerConfirmedReads(raft);
}

function serveRead(raft: Raft, request: Message): void {
  const decidesAlone = raft.tracker.isSingleton && raft.tracker.config.voters.has(raft.id);
  if (decidesAlone || raft.readOnlyOption === ReadOnlyOption.LeaseBased) {
    answerRead(raft, request, raft.log.committed);
    return;
  }
  if (!raft.readOnly.add(request, raft.log.committed)) return;
  raft.readOnly.acknowledgeAll(raft.id);
  broadcastHeartbeat(raft);
  // A leader that is a quorum by itself, in a joint configuration, gets no answer to wait for.
  answerConfirmedReads(raft);
}

function answerConfirmedReads(raft: Raft): void {
  for (const read of raft.readOnly.takeConfirmed(raft.tracker.config.voters)) {
    answerRead(raft, read.request, read.index);
  }
}

function answerRead(raft: Raft, request: Message, index: LogIndex): void {
  const context = request.entries[0]!.data;
  if (request.from === NONE || request.from === raft.id) {
    raft.readStates.push(new ReadState(index, context));
    return;
  }
  const response = newMessage(MessageType.MsgReadIndexResp, request.from);
  response.index = index;
  response.entries = request.entries;
  raft.send(response);
}

function hasCommittedInTerm(raft: Raft): boolean {
  return raft.log.termOrZero(raft.log.committed) === raft.term;
}
