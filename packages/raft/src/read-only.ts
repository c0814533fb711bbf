/**
 * Reads that wait for proof that this member is still the leader. Each gets the next position in a queue; a
 * heartbeat carries the position of the last one, and a follower that answers it confirms all reads up to there:
 * when they were queued, it still followed. What a quorum has confirmed is answered.
 *
 * A position means something in one leadership only. {@link ReadOnly.reset} starts from 0, and responses from a
 * former term never get here.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import type { Message } from '@etcd/api/raftpb';
import { EMPTY_BYTES, RingBuffer } from '@etcd/base';
import type { JointConfig } from './quorum/joint.ts';
import { type AckedIndexer, UNACKED } from './quorum/majority.ts';

/** Reads that may wait at once. Beyond, they are dropped: whoever asked asks again. */
export const MAX_PENDING_READS = 65_536;

const CONTEXT_SIZE_BYTES = 8;

export interface PendingRead {
  readonly request: Message;
  /** The commit index when the read was asked for. */
  readonly index: LogIndex;
}

export class ReadOnly implements AckedIndexer {
  readonly #unconfirmed = new RingBuffer<PendingRead>();
  readonly #acks = new Map<MemberId, number>();
  #confirmedCount = 0;

  /** How many reads wait. */
  get count(): number {
    return this.#unconfirmed.count;
  }

  /** Queues a read that must see the log up to `index`; false if too many wait already. */
  add(request: Message, index: LogIndex): boolean {
    if (this.#unconfirmed.count >= MAX_PENDING_READS) return false;
    this.#unconfirmed.push({ request, index });
    return true;
  }

  /** The context for a heartbeat that confirms every read that waits now; empty when none does. */
  heartbeatContext(): Uint8Array {
    if (this.#unconfirmed.count === 0) return EMPTY_BYTES;
    const context = new Uint8Array(CONTEXT_SIZE_BYTES);
    const view = new DataView(context.buffer);
    const position = this.#lastPosition;
    view.setUint32(0, position % 0x1_0000_0000, true);
    view.setUint32(4, Math.floor(position / 0x1_0000_0000), true);
    return context;
  }

  /** A member answered a heartbeat with this context. One that was never sent means nothing. */
  receiveAck(from: MemberId, context: Uint8Array): void {
    if (context.length !== CONTEXT_SIZE_BYTES) return;
    const view = new DataView(context.buffer, context.byteOffset, CONTEXT_SIZE_BYTES);
    const position = view.getUint32(0, true) + view.getUint32(4, true) * 0x1_0000_0000;
    if (position <= this.#lastPosition) this.#acknowledge(from, position);
  }

  /** This member itself confirms everything that waits. */
  acknowledgeAll(self: MemberId): void {
    this.#acknowledge(self, this.#lastPosition);
  }

  /** Takes the reads that a quorum of `voters` has confirmed, in the order in which they came. */
  takeConfirmed(voters: JointConfig): PendingRead[] {
    const confirmed: PendingRead[] = [];
    for (const until = voters.committedIndex(this); this.#confirmedCount < until; this.#confirmedCount++) {
      const read = this.#unconfirmed.take();
      // Without voters there is no limit; the queue's end is one.
      if (read === undefined) break;
      confirmed.push(read);
    }
    return confirmed;
  }

  /** Drops every read that waits. */
  reset(): void {
    this.#unconfirmed.clear();
    this.#acks.clear();
    this.#confirmedCount = 0;
  }

  ackedIndex(voterId: MemberId): number {
    return this.#acks.get(voterId) ?? UNACKED;
  }

  get #lastPosition(): number {
    return this.#confirmedCount + this.#unconfirmed.count;
  }

  #acknowledge(from: MemberId, position: number): void {
    if (position > (this.#acks.get(from) ?? 0)) this.#acks.set(from, position);
  }
}
