import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { poisonMemory } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import fc from 'fast-check';
import type { Duplex } from '../duplex/duplex.ts';
import { Body, MIN_REFERRED_BYTES } from './body.ts';
import type { Http2Connection } from './connection.ts';
import { LARGE_BLOCK_BYTES, Output, OutputPool } from './output.ts';
import { DEFAULT_MAX_FRAME_BYTES } from './protocol.ts';
import type { Segment } from './send-queue.ts';
import { Sender } from './sender.ts';
import { Http2Stream } from './stream.ts';
import { Sweeper } from './sweeper.ts';

const PREFIX_BYTES = 5;
const MAX_OUTPUT_BYTES = 300_000;
const FRAME_HEADER_BYTES = 9;

before(poisonMemory);

/** Takes what is written at once, or when it is told to: what it has not taken it reads only then. */
class Socket implements Duplex {
  readonly writesParts = true;
  isSlow = false;
  pendingBytes = 0;
  #pending: Uint8Array[] = [];
  readonly #onBytes: (bytes: Buffer) => void;

  constructor(onBytes: (bytes: Buffer) => void) {
    this.#onBytes = onBytes;
  }

  open(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  write(parts: readonly Uint8Array[]): void {
    this.#pending.push(...parts);
    this.pendingBytes = parts.reduce((sum, part) => sum + part.length, this.pendingBytes);
    if (!this.isSlow) this.take();
  }

  /** Of all memory of which it has a part. */
  get heldBytes(): number {
    const memory = new Set(this.#pending.map(({ buffer }) => buffer));
    return Array.from(memory).reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  take(): void {
    for (const part of this.#pending) this.#onBytes(Buffer.from(part));
    this.#pending = [];
    this.pendingBytes = 0;
  }
}

class Stream extends Http2Stream {
  onHead(): void {}
  onData(): void {}
  onRemoteEnd(): void {}
  onClosed(): void {}
  onReset(): void {}
  onEndDue(): void {}
  onRoom(): void {}
  isAwaitingBody(): boolean {
    return false;
  }
  onBodyTimeout(): void {}
}

/** A connection's sending half with two streams, and what their peer gets: payloads by stream. */
class Wire {
  readonly pool = new OutputPool(new Sweeper(new SimClock(), []));
  readonly output = new Output(this.pool);
  readonly sender = new Sender(this.output, MAX_OUTPUT_BYTES);
  readonly streams: Http2Stream[];
  readonly socket: Socket;
  #received: Buffer[] = [];

  constructor() {
    const connection = { limits: { streamWindowBytes: 65_535 } } as Http2Connection;
    this.streams = [1, 3].map((id) => new Stream(connection, id));
    this.socket = new Socket((bytes) => this.#received.push(bytes));
  }

  /** What a connection does at the end of a turn. */
  write(): void {
    if (this.socket.pendingBytes > 0) return;
    this.sender.pendingBytes = 0;
    do {
      this.sender.pump();
      this.output.flush(this.socket);
      this.sender.pendingBytes = this.socket.pendingBytes;
    } while (this.sender.hasWork && this.socket.pendingBytes === 0);
  }

  drain(): void {
    this.socket.take();
    this.sender.pendingBytes = 0;
    this.output.onDrain();
    this.write();
  }

  /** All frames that have arrived: all of them are DATA. */
  get frames(): readonly { readonly streamId: number; readonly payload: Buffer }[] {
    const bytes = Buffer.concat(this.#received);
    this.#received = [bytes];
    const frames = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
      assert.equal(bytes.readUInt16BE(at + 3), 0);
      assert.ok(end <= bytes.length);
      frames.push({
        streamId: bytes.readUInt32BE(at + 5),
        payload: bytes.subarray(at + FRAME_HEADER_BYTES, end),
      });
      at = end;
    }
    return frames;
  }

  bytesOf(stream: Http2Stream): Buffer {
    return Buffer.concat(
      this.frames.filter(({ streamId }) => streamId === stream.id).map(({ payload }) => payload),
    );
  }
}

interface Piece {
  readonly kind: 'small' | 'copied' | 'lasting';
  readonly length: number;
}

/** A body with these pieces, and the bytes that it stands for. */
function bodyOf(
  wire: Wire,
  stream: Http2Stream,
  pieces: readonly Piece[],
  mayRefer: boolean,
): [Body, Buffer] {
  const body = new Body(wire.pool, stream.id, wire.sender.maxFrameBytes, PREFIX_BYTES, mayRefer);
  body.prefixBlock.fill(0xaa, body.prefixAt, body.prefixAt + PREFIX_BYTES);
  const expected = [Buffer.alloc(PREFIX_BYTES, 0xaa)];
  for (const [i, { kind, length }] of pieces.entries()) {
    const bytes = Buffer.alloc(length, i + 1);
    if (kind === 'small') {
      const piece = bytes.subarray(0, length % 20);
      const at = body.reserve(piece.length);
      body.block.set(piece, at);
      expected.push(piece);
      continue;
    }
    expected.push(Buffer.from(bytes));
    if (kind === 'lasting') body.appendLasting(bytes, 0, length);
    else {
      body.append(bytes, 0, length);
      bytes.fill(0xff);
    }
  }
  return [body, Buffer.concat(expected)];
}

const anyPiece = fc.record<Piece>({
  kind: fc.constantFrom('small', 'copied', 'lasting'),
  length: fc.oneof(fc.nat(3000), fc.nat(50_000), fc.nat(300_000)),
});
const anyStep = fc.oneof(
  fc.record({
    kind: fc.constant('body' as const),
    stream: fc.nat(1),
    pieces: fc.array(anyPiece, { maxLength: 12 }),
    mayRefer: fc.boolean(),
    isPlain: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('window' as const), stream: fc.nat(1), bytes: fc.nat(100_000) }),
  fc.record({
    kind: fc.constantFrom('write', 'settle', 'slow', 'quick', 'drain', 'small frames', 'large frames'),
  }),
);

test('bodies arrive whole, in order and in frames that the peer takes, whatever windows, sockets and its settings do', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
      const wire = new Wire();
      const { sender, streams } = wire;
      const expected: Buffer[][] = [[], []];
      for (const step of steps) {
        if (step.kind === 'body') {
          const stream = streams[step.stream]!;
          const [body, bytes] = bodyOf(wire, stream, step.pieces, step.mayRefer);
          assert.equal(body.length, bytes.length - PREFIX_BYTES);
          expected[step.stream]!.push(bytes);
          // What is queued otherwise may come in between.
          if (step.isPlain) {
            sender.queueCopy(stream, bytes, 0, PREFIX_BYTES);
            expected[step.stream]!.splice(-1, 0, Buffer.from(bytes.subarray(0, PREFIX_BYTES)));
          }
          for (const segment of body.take()) sender.queueFrames(stream, segment);
        } else if (step.kind === 'window') {
          sender.onStreamWindow(streams[step.stream]!, step.bytes);
          sender.onConnectionWindow(step.bytes);
        } else if (step.kind === 'write') wire.write();
        else if (step.kind === 'settle') for (const stream of streams) stream.queue?.settle(wire.output);
        else if (step.kind === 'drain') wire.drain();
        else if (step.kind === 'small frames') sender.onMaxFrame(DEFAULT_MAX_FRAME_BYTES);
        else if (step.kind === 'large frames') sender.onMaxFrame(100_000);
        else wire.socket.isSlow = step.kind === 'slow';
        assert.ok(sender.windowBytes >= 0, 'more was sent than there was window for');
        for (const stream of streams) assert.ok(stream.sendCreditBytes + sender.initialWindowBytes >= 0);
      }
      wire.socket.isSlow = false;
      // The frames that were made for a peer that took larger ones, too.
      sender.onMaxFrame(DEFAULT_MAX_FRAME_BYTES);
      wire.drain();
      const before = wire.frames.length;
      for (const stream of streams) sender.onStreamWindow(stream, 100_000_000);
      sender.onConnectionWindow(200_000_000);
      wire.write();
      const later = wire.frames.slice(before);
      assert.ok(later.every(({ payload }) => payload.length <= DEFAULT_MAX_FRAME_BYTES));
      assert.equal(sender.queuedBytes, 0);
      for (const [i, stream] of streams.entries()) {
        assert.ok(wire.bytesOf(stream).equals(Buffer.concat(expected[i]!)));
      }
    }),
    { numRuns: 60 },
  );
});

test('a body with a sink is handed on while it is made, in blocks that are used again', () => {
  const wire = new Wire();
  const stream = wire.streams[0]!;
  wire.sender.onStreamWindow(stream, 10_000_000);
  wire.sender.onConnectionWindow(10_000_000);
  const blocks = new Set<Uint8Array>();
  const body = new Body(wire.pool, stream.id, DEFAULT_MAX_FRAME_BYTES, PREFIX_BYTES);
  const sink = {
    takeBlock: (segment: Segment) => {
      blocks.add(segment.bytes);
      wire.sender.queueFrames(stream, segment);
      wire.write();
    },
  };
  const value = Buffer.alloc(3000, 'v');
  body.sendTo(sink, 1000 * value.length);
  for (let i = 0; i < 999; i++) body.append(value, 0, value.length);
  assert.equal(body.isComplete, false);
  body.append(value, 0, value.length);
  assert.ok(body.isComplete);
  body.finish();
  assert.equal(wire.bytesOf(stream).length, PREFIX_BYTES + 1000 * value.length);
  assert.equal(blocks.size, 1);
});

test('what a body refers to is not copied while it can be sent, and is let go of when it can not', () => {
  const wire = new Wire();
  const stream = wire.streams[0]!;
  const text = 'v'.repeat(16_384);
  const value = Buffer.from(text);
  const body = new Body(wire.pool, stream.id, DEFAULT_MAX_FRAME_BYTES, PREFIX_BYTES, true);
  body.appendLasting(value, 0, value.length);
  const [segment] = body.take();
  assert.ok(segment!.references!.refersTo(value));
  wire.sender.queueFrames(stream, segment!);
  stream.queue!.settle(wire.output);
  assert.equal(segment!.references, null);
  value.fill('x');
  wire.write();
  assert.equal(wire.bytesOf(stream).subarray(PREFIX_BYTES).toString(), text);
});

test('a block of which a slow socket has a part still is not used again when what it refers to is let go of', () => {
  const wire = new Wire();
  const stream = wire.streams[0]!;
  wire.socket.isSlow = true;
  const [body, expected] = bodyOf(
    wire,
    stream,
    Array.from({ length: 10 }, () => ({ kind: 'lasting', length: MIN_REFERRED_BYTES })),
    true,
  );
  for (const segment of body.take()) wire.sender.queueFrames(stream, segment);
  const { references } = stream.queue!.first();
  wire.write();
  assert.ok(wire.socket.pendingBytes > 0);
  assert.equal(stream.queue!.first().references, references, 'a part of the block is in the queue still');
  assert.equal(references?.isWhole, false);
  stream.queue!.settle(wire.output);
  wire.pool.take(true).fill(0xff);
  wire.sender.onStreamWindow(stream, 10_000_000);
  wire.sender.onConnectionWindow(10_000_000);
  wire.drain();
  wire.drain();
  assert.ok(wire.bytesOf(stream).equals(expected));
});

test('a socket that takes nothing holds a few megabytes, wherever the values lie that it has been given', () => {
  const wire = new Wire();
  const stream = wire.streams[0]!;
  wire.socket.isSlow = true;
  wire.sender.onStreamWindow(stream, 10_000_000);
  wire.sender.onConnectionWindow(10_000_000);
  const body = new Body(wire.pool, stream.id, DEFAULT_MAX_FRAME_BYTES, PREFIX_BYTES, true);
  const expected = [Buffer.alloc(PREFIX_BYTES)];
  body.prefixBlock.fill(0, body.prefixAt, body.prefixAt + PREFIX_BYTES);
  for (let i = 0; i < 12; i++) {
    const slab = Buffer.alloc(524_288, i);
    const view = slab.subarray(7000, 7000 + MIN_REFERRED_BYTES);
    body.appendLasting(slab, 7000, 7000 + view.length);
    expected.push(view);
  }
  for (const segment of body.take()) wire.sender.queueFrames(stream, segment);
  wire.write();
  assert.ok(wire.socket.pendingBytes > 12 * MIN_REFERRED_BYTES);
  const { heldBytes } = wire.socket;
  assert.ok(heldBytes > 1024 * 1024 && heldBytes < 3 * 1024 * 1024, `${heldBytes} bytes`);
  wire.drain();
  assert.ok(wire.bytesOf(stream).equals(Buffer.concat(expected)));
});

test('a body that is discarded gives all of its blocks back', () => {
  const wire = new Wire();
  const body = new Body(wire.pool, 1, DEFAULT_MAX_FRAME_BYTES, PREFIX_BYTES, true);
  const blocks = new Set<Uint8Array>();
  const value = Buffer.alloc(LARGE_BLOCK_BYTES - FRAME_HEADER_BYTES, 'v');
  for (let i = 0; i < 5; i++) {
    body.append(value, 0, value.length);
    blocks.add(body.block);
  }
  body.discard();
  const again = Array.from(blocks, () => wire.pool.take(true));
  assert.ok(blocks.size >= 5);
  assert.ok(again.every((block) => blocks.has(block)));
});
