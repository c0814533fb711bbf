/**
 * What a member has for its driver to do. See index.ts for the order in which to do it.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import type { Entry, HardState, Message, Snapshot } from '@etcd/api/raftpb';
import type { RaftState } from './raft-state.ts';

/** What is good to know but need not be kept. */
export class SoftState {
  /** The leader, 0n while none is known. */
  readonly lead: MemberId;
  readonly raftState: RaftState;

  constructor(lead: MemberId, raftState: RaftState) {
    this.lead = lead;
    this.raftState = raftState;
  }
}

/** The answer to a read-index request: the read may be served once the state machine has applied `index`. */
export class ReadState {
  readonly index: LogIndex;
  /** What the request was asked with, to tell requests apart. */
  readonly requestContext: Uint8Array;

  constructor(index: LogIndex, requestContext: Uint8Array) {
    this.index = index;
    this.requestContext = requestContext;
  }
}

/**
 * One batch of work. The arrays are the driver's own; the entries, messages and snapshots in them are shared with the
 * log, and nobody changes them any more.
 */
export interface Ready {
  /** null when nothing has changed. */
  readonly softState: SoftState | null;
  /** To be saved; null when nothing has changed. */
  readonly hardState: HardState | null;
  readonly readStates: readonly ReadState[];
  /** To be written to the log. */
  readonly entries: readonly Entry[];
  /** To be saved durably and to replace the state machine; null when there is none. */
  readonly snapshot: Snapshot | null;
  /** To be applied to the state machine, in order. */
  readonly committedEntries: readonly Entry[];
  readonly messages: readonly Message[];
  /**
   * Whether entries and hard state must be durable before the messages leave; else, when only the commit index moved,
   * a write without sync will do. It says nothing of a snapshot: that must always be durable.
   */
  readonly mustSync: boolean;
}
