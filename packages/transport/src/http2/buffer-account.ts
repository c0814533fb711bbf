/**
 * What a connection makes us hold: unfinished messages and bodies, and what arrives for paused streams.
 *
 * Beyond a quarter of the bound, streams get no more window, but for one at a time: so a connection with many
 * large messages under way finishes them one after the other instead of running into the bound with all of
 * them. The other three quarters are for the windows that are out already. Only more streams than those
 * suffice for reach the bound, and fail.
 */
import { RingBuffer } from '@etcd/base';
import type { Http2Stream } from './stream.ts';

/** What all connections of a server may make it hold together. */
export class BufferTotal {
  readonly maxBytes: number;
  byteCount = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }
}

/** Streams wait for each other once this part of the bound is reached. */
const TIGHT_PART = 4;

export class BufferAccount {
  readonly #maxBytes: number;
  readonly #total: BufferTotal;
  #byteCount = 0;
  #isClosed = false;
  /** The stream that gets window though others wait. */
  #favoured: Http2Stream | null = null;
  /** Streams whose window is withheld. */
  readonly #withheld = new RingBuffer<Http2Stream>(1);

  constructor(maxBytes: number, total: BufferTotal) {
    this.#maxBytes = maxBytes;
    this.#total = total;
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  /** Why `byteCount` bytes more could not be claimed. */
  refusalOf(byteCount: number): string {
    return this.#byteCount + byteCount > this.#maxBytes
      ? `transport: more than ${this.#maxBytes} bytes of unfinished messages`
      : `transport: more than ${this.#total.maxBytes} bytes of unfinished messages on all connections`;
  }

  /** Whether so much is held that streams must wait for each other. */
  get isTight(): boolean {
    return this.#byteCount * TIGHT_PART > this.#maxBytes;
  }

  /** Holds `byteCount` bytes more; false, holding nothing, when that is too much. */
  claim(byteCount: number): boolean {
    // What still comes to its end is there already.
    if (this.#isClosed) return true;
    if (this.#byteCount + byteCount > this.#maxBytes) return false;
    if (this.#total.byteCount + byteCount > this.#total.maxBytes) return false;
    this.#byteCount += byteCount;
    this.#total.byteCount += byteCount;
    return true;
  }

  /** `stream` gives back what it claimed, or a part of it. */
  release(stream: Http2Stream, byteCount: number): void {
    if (this.#isClosed) return;
    this.#byteCount -= byteCount;
    this.#total.byteCount -= byteCount;
    if (stream === this.#favoured) this.#favoured = null;
    while (this.#withheld.count > 0 && (this.#favoured === null || !this.isTight)) {
      const next = this.#withheld.take()!;
      next.isWindowWithheld = false;
      // Asks again whether it may.
      next.consumed(0);
    }
  }

  /** The connection is over: nothing is held for it any more, whatever is still to be released. */
  close(): void {
    this.#total.byteCount -= this.#byteCount;
    this.#byteCount = 0;
    this.#isClosed = true;
  }

  /** Whether `stream` may be granted more window now; if not, it will be when there is room. */
  mayGrant(stream: Http2Stream): boolean {
    if (!this.isTight || stream === this.#favoured) return true;
    if (this.#favoured === null || this.#favoured.isClosed) {
      this.#favoured = stream;
      return true;
    }
    if (!stream.isWindowWithheld) {
      stream.isWindowWithheld = true;
      this.#withheld.push(stream);
    }
    return false;
  }
}
