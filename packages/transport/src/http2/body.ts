/**
 * A large message in the making: bytes in blocks of the pool that connections share, cut into the DATA frames in which they leave,
 * so that a block is written as it is. It belongs to whoever makes it until it is given to a call, and returns to the pool block by
 * block as the network takes it. One that has a sink is handed on block by block while it is made.
 *
 *   block  [ header payload | header payload | … | header payload ]      a frame never reaches into the next block
 *
 * Long pieces of memory that lasts need not be copied: the block has then only what lies between them, and its segment lists views of
 * both. All of them together fit a block still, so that they can be put together in one if they can't leave soon.
 *
 * Room for a prefix, which says how long the message is, comes first: {@link Body.prefixAt} in {@link Body.prefixBlock}.
 */
import { assert } from '@etcd/base';
import { copyRange, LARGE_BLOCK_BYTES, type OutputPool } from './output.ts';
import { FRAME_HEADER_BYTES, FrameType, writeFrameHeader } from './protocol.ts';
import { References } from './references.ts';
import type { Segment } from './send-queue.ts';

const DATA = FrameType.DATA << 8;
const NO_BLOCK = new Uint8Array(0);
const NO_FRAME = -1;
/** What {@link Body.reserve} gives room for at most. */
const MAX_PIECE_BYTES = 4096;
/**
 * From this size on memory that lasts is referred to. For values of 4 kB, in a thousand parts of a write for 2 MB, that costs what the copy
 * costs: see docs/benchmarks.md.
 */
export const MIN_REFERRED_BYTES: number = 16 * 1024;
/** What a frame has room for of such memory is copied when it is less. */
const MIN_VIEW_BYTES = 4096;

/** Takes the full blocks of a body. */
export interface BodySink {
  takeBlock(segment: Segment): void;
}

export class Body {
  /** The block that is being filled. Read anew after every {@link reserve}. */
  block: Uint8Array = NO_BLOCK;
  /** Where the prefix is, behind the header of the first frame. */
  readonly prefixBlock: Uint8Array;
  readonly prefixAt: number;

  readonly #pool: OutputPool;
  readonly #streamId: number;
  readonly #maxFrameBytes: number;
  readonly #prefixBytes: number;
  readonly #mayRefer: boolean;
  #full: Segment[] = [];
  #sink: BodySink | null = null;
  #announcedBytes = 0;
  /** Payload of the blocks handed on, of those in `#full` and of the current one without its open frame. */
  #closedBytes = 0;
  /** The payload of the current block's frames but the open one. */
  #blockBytes = 0;
  #used = 0;
  /** The header of the open frame, in the current block, and where its room ends. */
  #frameAt = NO_FRAME;
  #frameEnd = 0;
  /** Where the part of the block begins that no view is of yet; the views, and how much of them lies elsewhere. */
  #viewedTo = 0;
  #views: Uint8Array[] = [];
  #frameLengths: number[] = [];
  #referredBytes = 0;
  #frameReferredBytes = 0;

  /** @param mayRefer whether a write of many parts costs less than a copy. */
  constructor(
    pool: OutputPool,
    streamId: number,
    maxFrameBytes: number,
    prefixBytes: number,
    mayRefer = false,
  ) {
    this.#mayRefer = mayRefer;
    this.#pool = pool;
    this.#streamId = streamId;
    this.#maxFrameBytes = maxFrameBytes;
    this.#prefixBytes = prefixBytes;
    this.prefixAt = this.reserve(prefixBytes);
    this.prefixBlock = this.block;
  }

  /** Bytes so far, without the prefix. */
  get length(): number {
    return this.#closedBytes + this.#openBytes - this.#prefixBytes;
  }

  /** Whether it is as long as was said. */
  get isComplete(): boolean {
    return this.length === this.#announcedBytes;
  }

  /** From now on full blocks go to `sink`; those that are full already, at once. The body will have `length` bytes, as it has been told. */
  sendTo(sink: BodySink, length: number): void {
    this.#sink = sink;
    this.#announcedBytes = length;
    for (const segment of this.#full) sink.takeBlock(segment);
    this.#full = [];
  }

  /** Room for a few bytes in one piece, to be filled at once: their position in {@link block}. */
  reserve(length: number): number {
    if (this.#used + length > this.#frameEnd) this.#openFrame(length);
    const at = this.#used;
    this.#used += length;
    return at;
  }

  /** Appends a copy of `source[start, end)`, over as many frames as it takes. */
  append(source: Uint8Array, start: number, end: number): void {
    while (start < end) {
      if (this.#used === this.#frameEnd) this.#openFrame(1);
      const take = Math.min(end - start, this.#frameEnd - this.#used);
      copyRange(this.block, this.#used, source, start, start + take);
      this.#used += take;
      start += take;
    }
  }

  /** Appends `source[start, end)`, which never changes again as long as anybody refers to it. */
  appendLasting(source: Uint8Array, start: number, end: number): void {
    if (!this.#mayRefer || end - start < MIN_REFERRED_BYTES) return this.append(source, start, end);
    while (start < end) {
      if (this.#used === this.#frameEnd) this.#openFrame(1);
      const take = Math.min(end - start, this.#frameEnd - this.#used);
      if (take < MIN_VIEW_BYTES) this.append(source, start, start + take);
      else this.#refer(source.subarray(start, start + take));
      start += take;
    }
  }

  /** All is there: the last block goes to the sink. */
  finish(): void {
    this.#seal();
  }

  /** The blocks, for whoever sends them; nothing may be appended any more. */
  take(): readonly Segment[] {
    this.#seal();
    const full = this.#full;
    this.#full = [];
    return full;
  }

  /** Gives everything back to the pool. */
  discard(): void {
    for (const { bytes } of this.take()) this.#pool.give(bytes);
  }

  get #openBytes(): number {
    if (this.#frameAt === NO_FRAME) return 0;
    return this.#used - this.#frameAt - FRAME_HEADER_BYTES + this.#frameReferredBytes;
  }

  #refer(view: Uint8Array): void {
    this.#viewBlock();
    this.#views.push(view);
    this.#referredBytes += view.length;
    this.#frameReferredBytes += view.length;
    this.#frameEnd -= view.length;
  }

  #viewBlock(): void {
    if (this.#viewedTo < this.#used) this.#views.push(this.block.subarray(this.#viewedTo, this.#used));
    this.#viewedTo = this.#used;
  }

  /** Begins a frame with room for at least `length` bytes. */
  #openFrame(length: number): void {
    assert(length <= MAX_PIECE_BYTES, 'body: a piece is too long');
    this.#closeFrame();
    const roomBytes = this.block.length - this.#used - this.#referredBytes;
    if (FRAME_HEADER_BYTES + length > roomBytes) this.#nextBlock();
    this.#frameAt = this.#used;
    this.#used += FRAME_HEADER_BYTES;
    this.#frameEnd = Math.min(this.#used + this.#maxFrameBytes, this.block.length - this.#referredBytes);
  }

  #closeFrame(): void {
    if (this.#frameAt === NO_FRAME) return;
    const length = this.#openBytes;
    writeFrameHeader(this.block, this.#frameAt, length, DATA, this.#streamId);
    this.#closedBytes += length;
    this.#blockBytes += length;
    this.#frameLengths.push(length);
    this.#frameAt = NO_FRAME;
    this.#frameEnd = 0;
    this.#frameReferredBytes = 0;
  }

  #nextBlock(): void {
    this.#seal();
    this.block = this.#pool.take(true);
    assert(this.block.length === LARGE_BLOCK_BYTES, 'body: a block of another size');
  }

  #seal(): void {
    this.#closeFrame();
    if (this.#used > 0) this.#handOn(this.#segment());
    this.block = NO_BLOCK;
    this.#used = 0;
    this.#blockBytes = 0;
    this.#viewedTo = 0;
    this.#views = [];
    this.#frameLengths = [];
    this.#referredBytes = 0;
  }

  #segment(): Segment {
    const isReferring = this.#referredBytes > 0;
    if (isReferring) this.#viewBlock();
    return {
      bytes: this.block,
      start: 0,
      end: this.#used,
      isPooled: true,
      isFramed: true,
      references: isReferring ? new References(this.block, this.#views, this.#frameLengths) : null,
      payloadBytes: this.#blockBytes,
      frameRestBytes: 0,
    };
  }

  #handOn(segment: Segment): void {
    if (this.#sink === null) this.#full.push(segment);
    else this.#sink.takeBlock(segment);
  }
}
