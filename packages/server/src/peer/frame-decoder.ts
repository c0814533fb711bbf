/**
 * Cuts a stream of chunks into frames. A frame that is whole in its chunk is decoded where it lies; the others are put
 * together in one buffer that is used again, and that grows with the bytes that come, never with the length that a peer
 * announces.
 */

import { DecodeError } from '@etcd/api';
import { decodeMessage, type Message } from '@etcd/api/raftpb';
import { copyBytes } from '@etcd/base';
import { PeerCodecError } from './codec-error.ts';

/** The largest message or frame; etcd's limit for a message. */
const MAX_FRAME_BYTES = 512 * 1024 * 1024;

/** A buffer that grew beyond this goes away with the frame that needed it. */
const KEPT_BUFFER_BYTES = 1024 * 1024;
const INITIAL_BUFFER_BYTES = 16 * 1024;
/** Longer messages have byte strings, most likely; acknowledgements, by far the most frequent ones, are shorter. */
const MAX_BARE_MESSAGE_BYTES = 128;

/** One of the two protocols of streams. Throws {@link PeerCodecError}, which ends the stream. */
export interface FrameFormat {
  /**
   * How long the frame at `bytes[start, end)` is: its length when that is known, though not all of it may be there; or
   * minus the number of bytes that must be there before more can be said, which is more than there are now. A further
   * call for the same frame goes on where the last one stopped.
   */
  frameLength(bytes: Uint8Array, start: number, end: number): number;
  /**
   * Decodes the frame `bytes[start, end)`. null: one that only keeps the link alive.
   * @param isOwn the array holds nothing but this frame and is left to the message; otherwise nothing may refer to it.
   */
  decodeFrame(bytes: Uint8Array, start: number, end: number, isOwn: boolean): Message | null;
}

export type MessageSink = (message: Message, frameBytes: number) => void;

export class FrameDecoder {
  readonly #format: FrameFormat;
  readonly #sink: MessageSink;
  #buffer = new Uint8Array(INITIAL_BUFFER_BYTES);
  /** Bytes of an unfinished frame in the buffer. */
  #held = 0;

  constructor(format: FrameFormat, sink: MessageSink) {
    this.#format = format;
    this.#sink = sink;
  }

  /**
   * Takes the next bytes; gives each message that they complete to the sink before it returns, and keeps no reference to
   * `chunk[start, end)`. Throws {@link PeerCodecError}, after which it must not be called again.
   */
  push(chunk: Uint8Array, start = 0, end: number = chunk.length): void {
    let position = start;
    if (this.#held > 0) {
      position = this.#completeHeld(chunk, position, end);
      if (position < 0) return;
    }
    while (position < end) {
      const length = this.#format.frameLength(chunk, position, end);
      if (length < 0 || length > end - position) return this.#hold(chunk, position, end, Math.max(length, 0));
      this.#emit(chunk, position, position + length, false);
      position += length;
    }
  }

  /** Returns where the next frame begins, or -1 when the chunk does not complete this one. */
  #completeHeld(chunk: Uint8Array, start: number, end: number): number {
    const heldBefore = this.#held;
    // More than the frame may be taken; what is behind it is read from the chunk again.
    this.#append(chunk, start, end, 0);
    const length = this.#format.frameLength(this.#buffer, 0, this.#held);
    if (length < 0 || length > this.#held) return -1;
    this.#held = 0;
    const buffer = this.#buffer;
    const isOwn = buffer.length > KEPT_BUFFER_BYTES;
    if (isOwn) this.#buffer = new Uint8Array(INITIAL_BUFFER_BYTES);
    this.#emit(buffer, 0, length, isOwn);
    return start + length - heldBefore;
  }

  #hold(chunk: Uint8Array, start: number, end: number, frameLength: number): void {
    this.#append(chunk, start, end, Math.min(frameLength, KEPT_BUFFER_BYTES));
  }

  #append(chunk: Uint8Array, start: number, end: number, expectedBytes: number): void {
    const needed = this.#held + end - start;
    if (needed > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#buffer.length, expectedBytes));
      larger.set(this.#buffer.subarray(0, this.#held));
      this.#buffer = larger;
    }
    this.#buffer.set(chunk.subarray(start, end), this.#held);
    this.#held = needed;
  }

  #emit(bytes: Uint8Array, start: number, end: number, isOwn: boolean): void {
    const message = this.#format.decodeFrame(bytes, start, end, isOwn);
    if (message !== null) this.#sink(message, end - start);
  }
}

/**
 * A message whose byte strings lie in memory of its own. Those of one message share an array, which holds hardly more
 * than them: they come and go together.
 */
export function decodeOwnMessage(bytes: Uint8Array, start: number, end: number, isOwn: boolean): Message {
  try {
    if (isOwn) return decodeMessage(bytes, start, end);
    if (end - start > MAX_BARE_MESSAGE_BYTES) return decodeMessage(copyRange(bytes, start, end));
    const message = decodeMessage(bytes, start, end);
    return hasBytes(message) ? decodeMessage(copyRange(bytes, start, end)) : message;
  } catch (error) {
    throw malformed(error);
  }
}

/** A copy, of a Buffer too: its `slice` would be a view. */
export function copyRange(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return copyBytes(bytes.subarray(start, end));
}

/** Errors of the protobuf codec as errors of the stream; others are bugs and pass. */
export function malformed(error: unknown): unknown {
  if (!(error instanceof DecodeError)) return error;
  return new PeerCodecError('message', error.message, { cause: error });
}

export function checkFrameLength(length: number): number {
  if (length > MAX_FRAME_BYTES) throw new PeerCodecError('too-large', `a frame of ${length} bytes`);
  return length;
}

function hasBytes(message: Message): boolean {
  return (
    message.entries.length > 0 ||
    message.context.length > 0 ||
    (message.snapshot !== null && message.snapshot.data.length > 0) ||
    message.responses.length > 0
  );
}
