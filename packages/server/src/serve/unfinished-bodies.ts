/**
 * Bodies of requests that have not come to their ends: what they make a member hold, all of them together, is bounded, and so is how long
 * one may rest in the middle. Whoever sends a byte now and then keeps no more than what it has sent.
 */
import type { Clock, Timer } from '@etcd/base';

export interface UnfinishedBodiesOptions {
  readonly clock: Clock;
  /** Of all of them. */
  readonly maxBytes: number;
  /** How long one may be without a byte; twice that in the worst case. */
  readonly idleMs: number;
}

/** One of them. */
export interface UnfinishedBody {
  /** It holds this much now. False: all of them would hold too much; what it held before still counts. */
  hold(byteCount: number): boolean;
  /** It is whole, or nobody waits for it: it holds nothing. */
  end(): void;
}

export class UnfinishedBodies {
  readonly #options: UnfinishedBodiesOptions;
  readonly #bodies = new Set<FollowedBody>();
  #heldBytes = 0;
  #timer: Timer | null = null;

  constructor(options: UnfinishedBodiesOptions) {
    this.#options = options;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get count(): number {
    return this.#bodies.size;
  }

  /**
   * Follows a body until it ends.
   *
   * @param isConversation it may rest as long as it likes, unless something of it is held.
   * @param onIdle it has rested for too long, and is not followed any more.
   */
  begin(isConversation: boolean, onIdle: () => void): UnfinishedBody {
    const body = new FollowedBody(this, isConversation, onIdle);
    this.#bodies.add(body);
    if (this.#timer === null) this.#arm();
    return body;
  }

  /** @internal For bodies. */
  change(byteCount: number): boolean {
    if (byteCount > 0 && this.#heldBytes + byteCount > this.#options.maxBytes) return false;
    this.#heldBytes += byteCount;
    return true;
  }

  /** @internal For bodies. */
  forget(body: FollowedBody): void {
    this.#bodies.delete(body);
  }

  #arm(): void {
    this.#timer = this.#options.clock.setTimer(this.#options.idleMs, () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = null;
    for (const body of [...this.#bodies]) body.sweep();
    if (this.#bodies.size > 0 && this.#timer === null) this.#arm();
  }
}

class FollowedBody implements UnfinishedBody {
  readonly #bodies: UnfinishedBodies;
  readonly #isConversation: boolean;
  readonly #onIdle: () => void;
  #heldBytes = 0;
  #hasMoved = true;
  #isOver = false;

  constructor(bodies: UnfinishedBodies, isConversation: boolean, onIdle: () => void) {
    this.#bodies = bodies;
    this.#isConversation = isConversation;
    this.#onIdle = onIdle;
  }

  hold(byteCount: number): boolean {
    if (this.#isOver) return true;
    this.#hasMoved = true;
    if (!this.#bodies.change(byteCount - this.#heldBytes)) return false;
    this.#heldBytes = byteCount;
    return true;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#bodies.change(-this.#heldBytes);
    this.#bodies.forget(this);
  }

  sweep(): void {
    const mayRest = this.#isConversation && this.#heldBytes === 0;
    if (this.#hasMoved || mayRest) {
      this.#hasMoved = false;
      return;
    }
    this.end();
    this.#onIdle();
  }
}
