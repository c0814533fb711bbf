/**
 * What a block of a large message refers to: views of its own pieces and of memory elsewhere, in the order in which they leave. Whole
 * frames are taken off the front, or a part of one; nothing is copied.
 */
import type { Output } from './output.ts';
import { FRAME_HEADER_BYTES } from './protocol.ts';

export class References {
  readonly #views: readonly Uint8Array[];
  readonly #own: ArrayBufferLike;
  /** The payload of each frame. */
  readonly #frameLengths: readonly number[];
  #view = 0;
  #offset = 0;
  #frame = 0;

  /** @param block what the views that are not of memory elsewhere are of. */
  constructor(block: Uint8Array, views: readonly Uint8Array[], frameLengths: readonly number[]) {
    this.#own = block.buffer;
    this.#views = views;
    this.#frameLengths = frameLengths;
  }

  /** Whether all of it has been taken. */
  get isDone(): boolean {
    return this.#view === this.#views.length;
  }

  /** Whether nothing has been taken. */
  get isWhole(): boolean {
    return this.#view === 0 && this.#offset === 0;
  }

  /** Whether a view is of `memory`. */
  refersTo(memory: Uint8Array): boolean {
    return this.#views.some(({ buffer }) => buffer === memory.buffer);
  }

  /** Takes as many whole frames as have no more than `mostBytes` of payload; returns how much they have. */
  takeFrames(mostBytes: number, maxFrameBytes: number, output: Output): number {
    let payload = 0;
    let length = 0;
    for (; this.#frame < this.#frameLengths.length; this.#frame++) {
      const next = this.#frameLengths[this.#frame]!;
      if (payload + next > mostBytes || next > maxFrameBytes) break;
      payload += next;
      length += FRAME_HEADER_BYTES + next;
    }
    this.take(length, output);
    return payload;
  }

  /** Takes the header of the next frame away, which the caller writes anew; returns its payload. */
  openFrame(): number {
    this.#offset += FRAME_HEADER_BYTES;
    return this.#frameLengths[this.#frame++]!;
  }

  /** Takes `length` bytes. */
  take(length: number, output: Output): void {
    while (length > 0) {
      const view = this.#views[this.#view]!;
      const from = this.#offset;
      const to = Math.min(view.length, from + length);
      const part = from === 0 && to === view.length ? view : view.subarray(from, to);
      if (part.buffer === this.#own) output.adopt(part);
      else output.borrow(part);
      length -= to - from;
      this.#offset = to;
      if (to < view.length) return;
      this.#view++;
      this.#offset = 0;
    }
  }

  /** Copies what has not been taken to the front of `target`; returns how much that is. */
  copyTo(target: Uint8Array): number {
    let end = 0;
    for (let i = this.#view; i < this.#views.length; i++) {
      const view = this.#views[i]!;
      const rest = i === this.#view ? view.subarray(this.#offset) : view;
      target.set(rest, end);
      end += rest.length;
    }
    return end;
  }
}
