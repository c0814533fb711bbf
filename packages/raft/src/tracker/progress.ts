/**
 * A leader's view of one follower: how far its log is known to match, what has been sent to it, and how fast more
 * may be sent. The states and the transitions between them:
 *
 *       +---------------------------------------------------------+
 *       |                  send snapshot                          v
 *  +---------+  acknowledged  +-----------+   log compacted  +----------+
 *  |  Probe  | -------------> | Replicate | ---------------> | Snapshot |
 *  +---------+ <------------- +-----------+                  +----------+
 *       ^    rejected, unreachable                                |
 *       +---------------------------------------------------------+
 *            snapshot reported (finished or failed), or acknowledged
 *
 * Probe sends one message per heartbeat until the follower tells where its log ends. Replicate sends without waiting,
 * within the window of {@link Inflights}. Snapshot sends nothing.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { assert } from '@etcd/base';
import type { Inflights } from './inflights.ts';

export const ProgressState = { Probe: 0, Replicate: 1, Snapshot: 2 } as const;
export type ProgressState = (typeof ProgressState)[keyof typeof ProgressState];

const STATE_NAMES: readonly string[] = ['StateProbe', 'StateReplicate', 'StateSnapshot'];

export function progressStateName(state: ProgressState): string {
  return STATE_NAMES[state]!;
}

export interface ProgressOptions {
  readonly id: MemberId;
  /** The first entry to send. */
  readonly next: LogIndex;
  readonly isLearner: boolean;
  readonly inflights: Inflights;
}

export class Progress {
  readonly id: MemberId;

  /** The index up to which the follower's log is known to match the leader's. */
  match = 0;

  /**
   * The next entry to send; those between {@link match} and it are under way.
   * Invariant: 0 <= match < next. In state Snapshot, next === pendingSnapshot + 1.
   */
  next: LogIndex;

  /**
   * The highest commit index under way to the follower. It falls back when the follower rejects an append: what was
   * sent after the rejected one is then lost on it.
   */
  sentCommit = 0;

  state: ProgressState = ProgressState.Probe;

  /**
   * In state Snapshot the index of the snapshot that was sent, otherwise 0. What counts is the acknowledgement that
   * reconnects the follower to the leader's log, at whichever index: the snapshot may reach it by other ways and be
   * another one.
   */
  pendingSnapshot = 0;

  /** Heard of since the last check of the quorum. Always true of the leader itself. */
  recentActive = false;

  /**
   * No append for now: a probe is under way, or the window is full. Cleared by an acknowledgement, and by every
   * heartbeat response, so that a lost message can't stop the flow for good.
   */
  msgAppFlowPaused = false;

  readonly inflights: Inflights;
  isLearner: boolean;

  constructor(options: ProgressOptions) {
    this.id = options.id;
    this.next = options.next;
    this.isLearner = options.isLearner;
    this.inflights = options.inflights;
  }

  /** Forgets everything but the role: a new term begins. `next` is probed first. */
  reset(match: LogIndex, next: LogIndex): void {
    assert(match < next, 'progress: match must be below next');
    this.match = match;
    this.next = next;
    this.sentCommit = 0;
    this.recentActive = false;
    this.#resetState(ProgressState.Probe);
  }

  /** The follower's log is not what it was: it is probed behind `end`, where it ends now. */
  restart(end: number): void {
    this.#resetState(ProgressState.Probe);
    this.match = 0;
    this.next = end + 1;
    this.sentCommit = 0;
  }

  /** From Snapshot probes behind the snapshot, which the follower has presumably applied; else behind the match. */
  becomeProbe(): void {
    const pendingSnapshot = this.state === ProgressState.Snapshot ? this.pendingSnapshot : 0;
    this.#resetState(ProgressState.Probe);
    this.next = Math.max(this.match, pendingSnapshot) + 1;
    this.#regressSentCommit();
  }

  becomeReplicate(): void {
    this.#resetState(ProgressState.Replicate);
    this.next = this.match + 1;
  }

  becomeSnapshot(snapshotIndex: LogIndex): void {
    this.#resetState(ProgressState.Snapshot);
    this.pendingSnapshot = snapshotIndex;
    this.next = snapshotIndex + 1;
    this.sentCommit = snapshotIndex;
  }

  /** An append with `count` entries was sent. */
  sentEntries(count: number, sizeBytes: number): void {
    assert(this.state !== ProgressState.Snapshot, 'progress: append sent while a snapshot is pending');
    if (this.state === ProgressState.Probe) {
      if (count > 0) this.msgAppFlowPaused = true;
      return;
    }
    if (count > 0) {
      this.next += count;
      this.inflights.add(this.next - 1, sizeBytes);
    }
    // A message that fills the window, or goes out although it is full, counts as a probe.
    this.msgAppFlowPaused = this.inflights.full;
  }

  /** Whether sending `commit` now could advance the follower, given what is under way to it already. */
  canBumpCommit(commit: LogIndex): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** The follower acknowledged its log up to `index`; false if that is no news. */
  maybeUpdate(index: LogIndex): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.msgAppFlowPaused = false;
    return true;
  }

  /**
   * The follower rejected the append that followed entry `rejected`; it suggests `matchHint` as the end of the
   * common part. False if the rejection is out of date, which by reordering and duplication it may be.
   */
  maybeDecrTo(rejected: number, matchHint: number): boolean {
    if (this.state === ProgressState.Replicate) {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
      this.#regressSentCommit();
      return true;
    }
    // A probed follower is sent one message at a time, so a current rejection is of entry next - 1.
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1);
    this.#regressSentCommit();
    this.msgAppFlowPaused = false;
    return true;
  }

  get paused(): boolean {
    return this.state === ProgressState.Snapshot || this.msgAppFlowPaused;
  }

  /** An independent copy, for status reports. */
  clone(): Progress {
    const { id, next, isLearner } = this;
    const copy = new Progress({ id, next, isLearner, inflights: this.inflights.clone() });
    copy.match = this.match;
    copy.sentCommit = this.sentCommit;
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.recentActive = this.recentActive;
    copy.msgAppFlowPaused = this.msgAppFlowPaused;
    return copy;
  }

  toString(): string {
    let text = `${progressStateName(this.state)} match=${this.match} next=${this.next}`;
    if (this.isLearner) text += ' learner';
    if (this.paused) text += ' paused';
    if (this.pendingSnapshot > 0) text += ` pendingSnap=${this.pendingSnapshot}`;
    if (!this.recentActive) text += ' inactive';
    if (this.inflights.count > 0) {
      text += ` inflight=${this.inflights.count}`;
      if (this.inflights.full) text += '[full]';
    }
    return text;
  }

  #resetState(state: ProgressState): void {
    this.msgAppFlowPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }

  #regressSentCommit(): void {
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
  }
}
