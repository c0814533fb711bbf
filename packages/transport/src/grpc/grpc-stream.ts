/**
 * What both ends of a call share: cutting the received body into messages, and pausing.
 *
 *   message = compressed flag (1 byte) | length (4 bytes, big-endian) | that many bytes
 *
 * A message that lies whole in one piece of the body is handed on as a view of it. One that is spread over
 * pieces is put together in memory that grows with what has arrived, or, on the side that trusts the other, is reserved as announced up to a
 * bound: memory that nothing comes for is never touched.
 */
import { copyBytes, GrpcCode } from '@etcd/base';
import type { Http2Connection } from '../http2/connection.ts';
import { copyRange } from '../http2/output.ts';
import { readUint32 } from '../http2/protocol.ts';
import { Http2Stream } from '../http2/stream.ts';
import { Encoding, gunzip, TOO_LARGE } from './compression.ts';

export const MESSAGE_PREFIX_BYTES = 5;

const UNCOMPRESSED = 0;
const COMPRESSED = 1;
const FIRST_ASSEMBLY_BYTES = 1024;
/** What holding a piece costs beyond its bytes. */
const PIECE_OVERHEAD_BYTES = 128;
const NOTHING: Uint8Array = Buffer.allocUnsafeSlow(0);

interface Piece {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Hot: one shape per subclass. */
export abstract class GrpcStream extends Http2Stream {
  /** How compressed messages of the peer are encoded. */
  encoding: number = Encoding.IDENTITY;

  readonly #maxMessageBytes: number;
  readonly #reservedBytes: number;
  // The message that is being received.
  #prefixCount = 0;
  #flag = 0;
  #length = 0;
  #assembly: Uint8Array = NOTHING;
  #assembledBytes = 0;
  // What came while paused.
  #isPaused = false;
  #inbox: Piece[] | null = null;
  #inboxBytes = 0;
  #hasHeldEnd = false;
  #isDiscarded = false;

  /** @param reservedBytes what is reserved at least, up to its length, when the first bytes of a message have come. */
  constructor(
    connection: Http2Connection,
    id: number,
    maxMessageBytes: number,
    reservedBytes: number = FIRST_ASSEMBLY_BYTES,
  ) {
    super(connection, id);
    this.#maxMessageBytes = maxMessageBytes;
    this.#reservedBytes = reservedBytes;
  }

  /** A message; views of it may be kept. */
  abstract onMessage(bytes: Uint8Array, start: number, end: number): void;
  /** The peer's messages are complete, the last one too. */
  abstract onLastMessage(): void;
  /** The peer sent something that is no message, or one that is too large. */
  abstract onBadMessage(code: number, text: string): void;

  /** Whether a message's prefix has come, but not all of its bytes. */
  get isInsideMessage(): boolean {
    return this.#prefixCount === MESSAGE_PREFIX_BYTES;
  }

  /** Whether something of a message has come, but not all. */
  get hasPartialMessage(): boolean {
    return this.#prefixCount > 0;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** No more {@link onMessage} until {@link resume}. The peer is stopped when its window is used up. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Delivers what came meanwhile, at once. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const pieces = this.#inbox ?? [];
    this.#inbox = null;
    for (let i = 0; i < pieces.length && !this.#isDiscarded; i++) {
      const { bytes, start, end } = pieces[i]!;
      this.#release(end - start + PIECE_OVERHEAD_BYTES);
      this.onData(bytes, start, end);
    }
    if (this.#hasHeldEnd && !this.#isPaused && !this.#isDiscarded) {
      this.#hasHeldEnd = false;
      this.onLastMessage();
    }
  }

  override onData(bytes: Uint8Array, start: number, end: number): void {
    const used = this.#isPaused ? start : this.#readMessages(bytes, start, end);
    if (this.#isDiscarded) return;
    if (used > start) this.consumed(used - start);
    if (used < end) this.#hold(bytes, used, end);
  }

  override onRemoteEnd(): void {
    if (this.#isPaused && this.#inboxBytes > 0) this.#hasHeldEnd = true;
    else this.onLastMessage();
  }

  override onClosed(): void {
    // A stream that ended well while its reader paused still has messages to deliver.
    if (!this.#hasHeldEnd) this.discard();
  }

  /** Delivers no more messages, and gives back their memory. */
  discard(): void {
    this.#isDiscarded = true;
    const heldBytes = this.#inboxBytes + this.#assembledBytes;
    this.#inboxBytes = 0;
    this.#inbox = null;
    this.#assembledBytes = 0;
    this.#assembly = NOTHING;
    this.#prefixCount = 0;
    if (heldBytes > 0) this.connection.buffered.release(this, heldBytes);
  }

  /** Returns the position up to which the bytes were used: short of `end` only when paused or closed. */
  #readMessages(bytes: Uint8Array, start: number, end: number): number {
    while (start < end && !this.#isPaused && !this.#isDiscarded) {
      if (this.#prefixCount < MESSAGE_PREFIX_BYTES) {
        start = this.#readPrefix(bytes, start, end);
        if (this.#prefixCount < MESSAGE_PREFIX_BYTES) return start;
        if (!this.#isAcceptable()) return end;
      }
      const take = Math.min(this.#length - this.#assembledBytes, end - start);
      start += take;
      if (take === this.#length) this.#deliver(bytes, start - take, start);
      else if (!this.#assemble(bytes, start - take, start)) return end;
      else if (this.#assembledBytes === this.#length) this.#deliverAssembly();
    }
    return start;
  }

  #readPrefix(bytes: Uint8Array, start: number, end: number): number {
    if (this.#prefixCount === 0 && end - start >= MESSAGE_PREFIX_BYTES) {
      this.#flag = bytes[start]!;
      this.#length = readUint32(bytes, start + 1);
      this.#prefixCount = MESSAGE_PREFIX_BYTES;
      return start + MESSAGE_PREFIX_BYTES;
    }
    for (; start < end && this.#prefixCount < MESSAGE_PREFIX_BYTES; start++) {
      if (this.#prefixCount++ === 0) {
        this.#flag = bytes[start]!;
        this.#length = 0;
      } else {
        this.#length = this.#length * 256 + bytes[start]!;
      }
    }
    return start;
  }

  #isAcceptable(): boolean {
    if (this.#length > this.#maxMessageBytes) {
      const sizes = `${this.#length} vs. ${this.#maxMessageBytes}`;
      this.onBadMessage(GrpcCode.ResourceExhausted, `grpc: received message larger than max (${sizes})`);
      return false;
    }
    if (this.#flag === UNCOMPRESSED) return true;
    if (this.#flag === COMPRESSED) {
      if (this.encoding !== Encoding.IDENTITY) return true;
      const text = 'grpc: compressed flag set with identity or empty encoding';
      this.onBadMessage(GrpcCode.Internal, text);
    } else {
      this.onBadMessage(GrpcCode.Internal, `grpc: received unexpected payload format ${this.#flag}`);
    }
    return false;
  }

  /**
   * Adds bytes to the message in the making. False when that is more than the connection may make us hold.
   */
  #assemble(bytes: Uint8Array, start: number, end: number): boolean {
    const total = this.#assembledBytes + end - start;
    if (!this.#claim(end - start)) return false;
    if (this.#assembly.length < total) {
      const room = Math.min(this.#length, Math.max(2 * total, this.#reservedBytes));
      const grown = Buffer.allocUnsafeSlow(room);
      grown.set(this.#assembly.subarray(0, this.#assembledBytes));
      this.#assembly = grown;
    }
    copyRange(this.#assembly, this.#assembledBytes, bytes, start, end);
    this.#assembledBytes = total;
    return true;
  }

  #deliverAssembly(): void {
    const assembly = this.#assembly;
    this.#assembly = NOTHING;
    this.#assembledBytes = 0;
    this.connection.buffered.release(this, this.#length);
    this.#deliver(assembly, 0, this.#length);
  }

  #deliver(bytes: Uint8Array, start: number, end: number): void {
    this.#prefixCount = 0;
    if (this.#flag === UNCOMPRESSED) this.onMessage(bytes, start, end);
    else this.#deliverCompressed(bytes, start, end);
  }

  #deliverCompressed(bytes: Uint8Array, start: number, end: number): void {
    const message = gunzip(bytes, start, end, this.#maxMessageBytes);
    if (typeof message !== 'string') {
      this.onMessage(message, 0, message.length);
    } else if (message === TOO_LARGE) {
      const text = `grpc: received message after decompression larger than max ${this.#maxMessageBytes}`;
      this.onBadMessage(GrpcCode.ResourceExhausted, text);
    } else {
      this.onBadMessage(GrpcCode.Internal, `grpc: failed to decompress the message: ${message}`);
    }
  }

  #hold(bytes: Uint8Array, start: number, end: number): void {
    const claimedBytes = end - start + PIECE_OVERHEAD_BYTES;
    if (!this.#claim(claimedBytes)) return;
    this.#inboxBytes += claimedBytes;
    this.#inbox ??= [];
    if ((end - start) * 4 >= bytes.length) this.#inbox.push({ bytes, start, end });
    // A small view must not keep a large chunk alive.
    else this.#inbox.push({ bytes: copyBytes(bytes.subarray(start, end)), start: 0, end: end - start });
  }

  #release(byteCount: number): void {
    this.#inboxBytes -= byteCount;
    this.connection.buffered.release(this, byteCount);
  }

  #claim(byteCount: number): boolean {
    const { buffered } = this.connection;
    if (buffered.claim(byteCount)) return true;
    this.onBadMessage(GrpcCode.ResourceExhausted, buffered.refusalOf(byteCount));
    return false;
  }
}
