/**
 * Collects a header block: strips padding and priority from HEADERS, and joins the fragments of CONTINUATION
 * frames. The usual block is one frame and is never copied.
 */
import { copyRange } from './output.ts';
import { Flag, readUint31 } from './protocol.ts';

const PRIORITY_BYTES = 5;

export class HeaderAssembly {
  /** The stream whose block is unfinished; 0 for none. Until it is finished no other frame may come. */
  streamId = 0;
  endStream = false;
  /**
   * The HEADERS frame makes the stream depend on itself: an error of the stream, once its block is decoded.
   */
  dependsOnItself = false;

  // The block, once complete.
  bytes: Uint8Array = NOTHING;
  start = 0;
  end = 0;

  /** CONTINUATION frames of the unfinished block. */
  continuationCount = 0;

  /** Takes a HEADERS payload. False when its padding or priority does not fit. */
  begin(streamId: number, flags: number, bytes: Uint8Array, start: number, end: number): boolean {
    this.endStream = (flags & Flag.END_STREAM) !== 0;
    this.dependsOnItself = false;
    if ((flags & (Flag.PADDED | Flag.PRIORITY)) !== 0) {
      if ((flags & Flag.PADDED) !== 0) {
        if (start >= end) return false;
        end -= bytes[start]!;
        start++;
      }
      if ((flags & Flag.PRIORITY) !== 0) {
        if (end - start < PRIORITY_BYTES) return false;
        this.dependsOnItself = readUint31(bytes, start) === streamId;
        start += PRIORITY_BYTES;
      }
      if (start > end) return false;
    }
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    if ((flags & Flag.END_HEADERS) === 0) {
      this.streamId = streamId;
      this.continuationCount = 0;
      // The frame's memory is only lent.
      this.bytes = NOTHING;
      this.start = 0;
      this.end = 0;
      this.#append(bytes, start, end);
    }
    return true;
  }

  /** Takes a CONTINUATION payload. */
  add(flags: number, bytes: Uint8Array, start: number, end: number): void {
    this.continuationCount++;
    this.#append(bytes, start, end);
    if ((flags & Flag.END_HEADERS) !== 0) this.streamId = 0;
  }

  /** Lets go of the block's memory. */
  release(): void {
    this.bytes = NOTHING;
  }

  get byteCount(): number {
    return this.end - this.start;
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const length = this.end + end - start;
    if (this.bytes.length < length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, this.end));
      this.bytes = grown;
    }
    copyRange(this.bytes, this.end, bytes, start, end);
    this.end = length;
  }
}

const NOTHING: Uint8Array = Buffer.allocUnsafeSlow(0);
