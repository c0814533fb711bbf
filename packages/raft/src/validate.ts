/**
 * What a message from the network must be like for the state machine to look at it at all. Members are not supposed
 * to lie to each other, but a broken one must not take this one down or make it apply what was not committed; so
 * everything that a correct member never sends is refused here, or, where it depends on this member's state, by the
 * function that would act on it:
 *
 *  - numbers beyond {@link MAX_TERM} and {@link MAX_INDEX}, or not whole (here)
 *  - no term where there must be one: it would pass for a local message (here)
 *  - sender or receiver that can't be (here)
 *  - entries that are not consecutive, whose terms fall, or exceed the leader's (here)
 *  - a snapshot of another term's future, or none where there must be one (here)
 *  - empty proposals, reads without their context, or with one that is too long to keep (here)
 *  - a second leader in a term, a commit index beyond the log, a snapshot with an impossible configuration or below
 *    committed terms; of entries below the commit index nothing is even looked at (`receive.ts`)
 *  - acknowledgements beyond the leader's log (`step-leader.ts`), of heartbeats never sent (`read-only.ts`)
 *  - configuration changes that can't be decoded or can't be applied (`proposal.ts`)
 *  - more reads than may wait (`read-only.ts`)
 */
import { type Entry, type Message, MessageType } from '@etcd/api/raftpb';
import { MAX_INDEX, MAX_READ_CONTEXT_SIZE_BYTES, MAX_TERM } from './limits.ts';
import { isLocalTarget, isPeerMessage, isResponse, isTermless, NONE } from './message.ts';
import type { Raft } from './raft.ts';
import { StepError } from './step-error.ts';

/** Why a message from the network is refused; null if it may be stepped. */
export function checkPeerMessage(raft: Raft, message: Message): StepError | null {
  const { type, from } = message;
  if (!isPeerMessage(type)) return StepError.LocalMessage;
  if (from === raft.id || isLocalTarget(from)) return StepError.LocalMessage;
  if (isResponse(type) && raft.tracker.get(from) === undefined) return StepError.PeerNotFound;
  return isWellFormed(raft, message) ? null : StepError.InvalidMessage;
}

function isWellFormed(raft: Raft, message: Message): boolean {
  if (message.from === NONE || message.to !== raft.id) return false;
  if (!isTerm(message.term) || !isTerm(message.logTerm)) return false;
  if (!isIndex(message.index) || !isIndex(message.commit) || !isIndex(message.rejectHint)) return false;
  // Requests that are passed on have no term, everything else between members has one.
  if ((message.term === 0) !== isTermless(message.type)) return false;
  switch (message.type) {
    case MessageType.MsgApp:
      return isLogSlice(message);
    case MessageType.MsgSnap:
      return hasWholeSnapshot(message);
    case MessageType.MsgProp:
      return message.entries.length > 0;
    case MessageType.MsgReadIndex:
      return message.entries.length === 1 && message.entries[0]!.data.length <= MAX_READ_CONTEXT_SIZE_BYTES;
    default:
      return true;
  }
}

/** Whether the entries continue each other, and the one before them, as in a leader's log. */
function isLogSlice(message: Message): boolean {
  const entries: readonly Entry[] = message.entries;
  let { index, logTerm: term } = message;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry.index !== ++index || !(entry.term >= term)) return false;
    term = entry.term;
  }
  return term <= message.term && index <= MAX_INDEX;
}

/** Whether the MsgSnap `message` has a snapshot, of a place in a log that can be; before its state is taken in. */
export function hasWholeSnapshot({ snapshot, term }: Message): boolean {
  if (snapshot === null) return false;
  const { metadata } = snapshot;
  return isIndex(metadata.index) && isTerm(metadata.term) && metadata.term <= term;
}

function isTerm(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_TERM;
}

function isIndex(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_INDEX;
}
