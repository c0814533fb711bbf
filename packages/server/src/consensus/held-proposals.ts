/**
 * Proposals that another member has passed on to this one when it could do nothing with them: it knew no leader, was handing over, or
 * had too much on its way. Their proposer would not be told that they were dropped, so they are held, and tried again in their
 * order, as long as somebody may still wait for them.
 */
import type { Message } from '@etcd/api/raftpb';
import { type Clock, RingBuffer } from '@etcd/base';

/** A leader that takes nothing more, for what it has taken is not committed, must not keep as much again here. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** What an entry costs beside its data. */
const ENTRY_BYTES = 128;

interface HeldProposal {
  readonly message: Message;
  readonly sizeBytes: number;
  readonly sinceMs: number;
}

export class HeldProposals {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #held = new RingBuffer<HeldProposal>();
  #heldBytes = 0;

  /** @param timeoutMs nobody waits longer for what was proposed. */
  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  get count(): number {
    return this.#held.count;
  }

  /** Without effect if there is no room: then its proposer waits in vain. */
  add(message: Message): void {
    const sizeBytes = sizeOf(message);
    if (this.#heldBytes + sizeBytes > MAX_HELD_BYTES) return;
    this.#heldBytes += sizeBytes;
    this.#held.push({ message, sizeBytes, sinceMs: this.#clock.now() });
  }

  /** Has them taken, one after the other, until one is not: that and those behind it stay. */
  submit(take: (message: Message) => boolean): void {
    const firstMs = this.#clock.now() - this.#timeoutMs;
    for (let first = this.#held.peek(); first !== undefined; first = this.#held.peek()) {
      if (first.sinceMs >= firstMs && !take(first.message)) return;
      this.#heldBytes -= first.sizeBytes;
      this.#held.take();
    }
  }
}

function sizeOf({ entries }: Message): number {
  let sizeBytes = 0;
  for (const { data } of entries) sizeBytes += data.length + ENTRY_BYTES;
  return sizeBytes;
}
