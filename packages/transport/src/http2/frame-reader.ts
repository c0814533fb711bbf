/**
 * Cuts a byte stream into frames, however the bytes are chunked. Whole frames are handed on as views of the
 * chunk that they arrived in. A frame that is spread over chunks is collected first, except the payload of
 * DATA, which is handed on piece by piece as it comes: nothing is copied, and a body is never held twice.
 */
import { DEFAULT_MAX_FRAME_BYTES, Flag, FRAME_HEADER_BYTES, FrameType, readUint31 } from './protocol.ts';

/** Where frames go. Each call returns false to stop reading for good. */
export interface FrameSink {
  /**
   * A whole frame; its payload is `bytes[start, end)`, valid only during the call unless it is a DATA frame.
   */
  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean;
  /** The header of a DATA frame without padding whose payload of `length` bytes comes in pieces. */
  onDataBegin(flags: number, streamId: number, length: number): boolean;
  onDataPiece(bytes: Uint8Array, start: number, end: number, isLast: boolean): boolean;
  /** A frame larger than allowed. */
  onOversizedFrame(streamId: number): void;
}

export class FrameReader {
  readonly #sink: FrameSink;
  /**
   * A frame's beginning that waits for the rest; `#needed` is its known length, at first that of the header.
   */
  #carry: Uint8Array | null = null;
  #carried = 0;
  #needed = 0;
  /** Bytes of a DATA payload that are still to come. */
  #dataRemaining = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Whether the beginning of a frame is held until the rest comes. */
  get isHolding(): boolean {
    return this.#carry !== null;
  }

  /** Reads `bytes[position, length)`. False once the sink has said stop. */
  read(bytes: Uint8Array, position: number): boolean {
    const length = bytes.length;
    if (this.#carry !== null || this.#dataRemaining > 0) {
      position = this.#continue(bytes, position);
      if (position < 0) return false;
    }
    while (length - position >= FRAME_HEADER_BYTES) {
      const size = (bytes[position]! << 16) | (bytes[position + 1]! << 8) | bytes[position + 2]!;
      const payload = position + FRAME_HEADER_BYTES;
      const end = payload + size;
      if (end > length || size > DEFAULT_MAX_FRAME_BYTES) break;
      const type = bytes[position + 3]!;
      const streamId = readUint31(bytes, position + 5);
      if (!this.#sink.onFrame(type, bytes[position + 4]!, streamId, bytes, payload, end)) return false;
      position = end;
    }
    return position === length || this.#begin(bytes, position);
  }

  /** Takes up the frame that begins at `position` and is not whole, or is too large. */
  #begin(bytes: Uint8Array, position: number): boolean {
    this.#carry = new Uint8Array(FRAME_HEADER_BYTES);
    this.#carried = 0;
    this.#needed = FRAME_HEADER_BYTES;
    return this.#continue(bytes, position) >= 0;
  }

  /** Goes on with an unfinished frame; returns the position behind what it used, -1 to stop. */
  #continue(bytes: Uint8Array, position: number): number {
    while (this.#carry !== null) {
      const take = Math.min(this.#needed - this.#carried, bytes.length - position);
      this.#carry.set(bytes.subarray(position, position + take), this.#carried);
      this.#carried += take;
      position += take;
      if (this.#carried < this.#needed) return position;
      if (!(this.#needed === FRAME_HEADER_BYTES ? this.#headerComplete() : this.#frameComplete())) return -1;
    }
    if (this.#dataRemaining === 0) return position;
    const take = Math.min(this.#dataRemaining, bytes.length - position);
    if (take === 0) return position;
    this.#dataRemaining -= take;
    const isLast = this.#dataRemaining === 0;
    return this.#sink.onDataPiece(bytes, position, position + take, isLast) ? position + take : -1;
  }

  #headerComplete(): boolean {
    const header = this.#carry!;
    const size = (header[0]! << 16) | (header[1]! << 8) | header[2]!;
    const flags = header[4]!;
    const streamId = readUint31(header, 5);
    if (size > DEFAULT_MAX_FRAME_BYTES) {
      this.#carry = null;
      this.#sink.onOversizedFrame(streamId);
      return false;
    }
    if (size === 0) return this.#frameComplete();
    if (header[3] === FrameType.DATA && (flags & Flag.PADDED) === 0) {
      this.#carry = null;
      this.#dataRemaining = size;
      return this.#sink.onDataBegin(flags, streamId, size);
    }
    // Fresh memory for every frame: padded DATA is handed on as a view, which may be kept.
    this.#carry = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + size);
    this.#carry.set(header, 0);
    this.#needed = FRAME_HEADER_BYTES + size;
    return true;
  }

  #frameComplete(): boolean {
    const frame = this.#carry!;
    this.#carry = null;
    const end = this.#carried;
    return this.#sink.onFrame(frame[3]!, frame[4]!, readUint31(frame, 5), frame, FRAME_HEADER_BYTES, end);
  }
}
