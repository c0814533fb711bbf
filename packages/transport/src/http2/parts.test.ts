import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import fc from 'fast-check';
import type { Duplex } from '../duplex/duplex.ts';
import { frame } from '../testing/raw-peer.ts';
import { Flusher } from './flusher.ts';
import type { FrameSink } from './frame-reader.ts';
import { FrameReader } from './frame-reader.ts';
import { Output, OutputPool } from './output.ts';
import { FrameType } from './protocol.ts';
import { SendQueue } from './send-queue.ts';
import { StreamTable } from './stream-table.ts';
import { Sweeper } from './sweeper.ts';

/** Notes the frames it gets, DATA joined from its pieces. */
class Collector implements FrameSink {
  readonly frames: string[] = [];
  oversized = -1;
  #data: Buffer[] = [];
  #dataHeader = '';

  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    this.#note(`${type} ${flags} ${streamId}`, Buffer.from(bytes.subarray(start, end)));
    return true;
  }

  onDataBegin(flags: number, streamId: number, _length: number): boolean {
    this.#dataHeader = `0 ${flags} ${streamId}`;
    this.#data = [];
    return true;
  }

  onDataPiece(bytes: Uint8Array, start: number, end: number, isLast: boolean): boolean {
    assert.ok(start < end);
    this.#data.push(Buffer.from(bytes.subarray(start, end)));
    if (isLast) this.#note(this.#dataHeader, Buffer.concat(this.#data));
    return true;
  }

  onOversizedFrame(streamId: number): void {
    this.oversized = streamId;
  }

  #note(header: string, payload: Buffer): void {
    this.frames.push(`${header} ${payload.toString('hex')}`);
  }
}

const anyFrame = fc.record({
  type: fc.nat(12),
  flags: fc.nat(255),
  streamId: fc.nat(0x7fff_ffff),
  payload: fc.uint8Array({ maxLength: 60 }),
});

test('frames are the same however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(anyFrame), fc.infiniteStream(fc.integer({ min: 1, max: 40 })), (frames, sizes) => {
      const bytes = Buffer.concat(
        frames.map((each) => frame(each.type, each.flags, each.streamId, each.payload)),
      );
      const expected = frames.map(
        ({ type, flags, streamId, payload }) =>
          `${type} ${flags} ${streamId} ${Buffer.from(payload).toString('hex')}`,
      );
      const whole = new Collector();
      assert.equal(new FrameReader(whole).read(bytes, 0), true);
      assert.deepEqual(whole.frames, expected);
      const cut = new Collector();
      const reader = new FrameReader(cut);
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + sizes.next().value);
        assert.equal(reader.read(bytes.subarray(at, end), 0), true);
        at = end;
      }
      assert.deepEqual(cut.frames, expected);
      assert.equal(reader.isHolding, false);
    }),
  );
});

test('a frame above the limit is reported by its header alone, cut or not', () => {
  const bytes = frame(FrameType.DATA, 0, 7, Buffer.alloc(16_385));
  for (const size of [1, 9, 20_000]) {
    const sink = new Collector();
    const reader = new FrameReader(sink);
    let goesOn = true;
    for (let at = 0; at < 9 && goesOn; at += size) goesOn = reader.read(bytes.subarray(at, at + size), 0);
    assert.equal(goesOn, false);
    assert.equal(sink.oversized, 7);
  }
});

test('the stream table agrees with a Map, whatever lives long', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat(50)), { maxLength: 3000, minLength: 500 }),
      (operations) => {
        const table = new StreamTable<{ id: number }>();
        const model = new Map<number, { id: number }>();
        let nextId = 1;
        for (const [isDelete, pick] of operations) {
          const ids = [...model.keys()];
          if (isDelete && ids.length > 0) {
            const id = ids[ids.length - 1 - (pick % ids.length)]!;
            table.delete(id);
            model.delete(id);
          } else {
            const stream = { id: nextId };
            nextId += 2 * (1 + pick * pick);
            table.add(stream);
            model.set(stream.id, stream);
          }
          assert.equal(table.count, model.size);
        }
        for (const [id, stream] of model) assert.equal(table.get(id), stream);
        assert.equal(table.get(nextId), null);
        assert.equal(table.get(nextId - 1), null);
        assert.deepEqual(new Set(table.list()), new Set(model.values()));
      },
    ),
    { numRuns: 30 },
  );
});

/** A duplex that keeps what is written, and takes it at once or when it is told to {@link drain}. */
class Sink implements Duplex {
  readonly writesParts = true;
  pendingBytes = 0;
  isSlow = false;
  readonly parts: Uint8Array[] = [];

  open(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  write(parts: readonly Uint8Array[]): void {
    for (const part of parts) this.parts.push(this.isSlow ? part : Buffer.from(part));
    if (this.isSlow) this.pendingBytes += parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** What is pending leaves now: from here on its memory may change. */
  drain(): void {
    this.pendingBytes = 0;
    for (const [i, part] of this.parts.entries()) this.parts[i] = Buffer.from(part);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

test('output comes out as it went in, and memory that is still in use is not reused', () => {
  const kinds = fc.constantFrom('reserve', 'append', 'adopt', 'release', 'flush', 'drain');
  const step = fc.tuple(kinds, fc.oneof(fc.nat(700), fc.nat(40_000)), fc.nat(255));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, isSlow) => {
      const pool = newPool();
      const output = new Output(pool);
      const sink = new Sink();
      sink.isSlow = isSlow;
      const expected: Buffer[] = [];
      for (const [kind, length, fill] of steps) {
        let bytes: Uint8Array = Buffer.alloc(length, fill);
        if (kind === 'drain') {
          sink.drain();
          output.onDrain();
          continue;
        }
        if (kind === 'flush') {
          if (sink.pendingBytes === 0) output.flush(sink);
          continue;
        }
        if (kind === 'release') {
          // Whatever the pool lends twice would be written over here.
          const block = pool.take(true).fill(fill);
          bytes = Buffer.from(block);
          output.adopt(block);
          output.releaseWhenSent(block);
        } else if (kind === 'append') output.append(bytes, 0, length);
        else if (kind === 'adopt') output.adopt(bytes);
        else {
          const at = output.reserve(length);
          output.bytes.set(bytes, at);
        }
        expected.push(Buffer.from(bytes));
        const written = sink.parts.reduce((sum, part) => sum + part.length, 0);
        const total = expected.reduce((sum, each) => sum + each.length, 0);
        assert.equal(written + output.byteCount, total);
      }
      sink.drain();
      output.onDrain();
      output.flush(sink);
      assert.ok(sink.bytes.equals(Buffer.concat(expected)));
    }),
    { numRuns: 200 },
  );
});

test('connections that write little lend themselves small blocks, those that write more usual ones', () => {
  const pool = newPool();
  const sink = new Sink();
  const output = new Output(pool);
  const write = (...lengths: number[]): number[] => {
    const blocks = lengths.map((length) => {
      output.reserve(length);
      return output.bytes.length;
    });
    output.flush(sink);
    return blocks;
  };
  assert.deepEqual(write(100, 100), [2048, 2048]);
  assert.deepEqual(write(2000, 100, 16_350), [2048, 16_384, 131_072]);
  assert.deepEqual(write(100), [16_384], 'it wrote more the last time');
  assert.deepEqual(write(100), [2048]);
  assert.deepEqual(write(2049), [16_384], 'it has no room in a small one');
  const others = Array.from({ length: 5000 }, () => new Output(pool));
  for (const other of others) other.reserve(100);
  const lent = new Set(others.map((other) => other.bytes));
  assert.equal(lent.size, 5000);
  for (const other of others) other.flush(sink);
  for (const other of others) other.reserve(100);
  assert.equal(others.filter((other) => lent.has(other.bytes)).length, 4096, 'so many are kept');
});

test('a send queue gives back what was put in, in order', () => {
  const step = fc.tuple(fc.constantFrom('append', 'adopt', 'consume'), fc.nat(300_000));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pool = newPool();
      const queue = new SendQueue(pool);
      const input: Buffer[] = [];
      const output: Buffer[] = [];
      const consume = (max: number): void => {
        const segment = queue.first();
        const { bytes, start, end, isPooled } = segment;
        const take = Math.min(max, end - start);
        output.push(Buffer.from(bytes.subarray(start, start + take)));
        queue.consume(take, take);
        if (isPooled && segment.start === segment.end) pool.give(bytes);
      };
      for (const [i, [kind, length]] of steps.entries()) {
        const bytes = Buffer.alloc(length, i);
        if (kind === 'consume') {
          if (queue.byteCount > 0) consume(length + 1);
          continue;
        }
        input.push(bytes);
        if (kind === 'adopt') queue.adopt(bytes, 0, length);
        else if (length > 0) queue.append(bytes, 0, length);
      }
      while (queue.byteCount > 0) consume(7000);
      assert.ok(Buffer.concat(output).equals(Buffer.concat(input)));
    }),
  );
});

function newPool(): OutputPool {
  return new OutputPool(new Sweeper(new SimClock(), []));
}

test('the flusher writes each connection once per turn, those that come while it runs in the next', () => {
  const clock = new SimClock();
  const flusher = new Flusher(clock);
  const order: string[] = [];
  const b = { flush: () => order.push('b') };
  const a = {
    flush: () => {
      order.push('a');
      if (order.length < 3) flusher.add(b);
    },
  };
  flusher.add(a);
  flusher.add(b);
  flusher.flush();
  assert.deepEqual(order, ['a', 'b']);
  clock.settle();
  assert.deepEqual(order, ['a', 'b', 'b']);
});

test('the sweeper looks in often enough for its limits, and only while there is somebody', () => {
  const clock = new SimClock();
  const sweeper = new Sweeper(clock, [0, 400]);
  const times: number[] = [];
  const member = { sweep: (nowMs: number) => times.push(nowMs) };
  sweeper.add(member);
  clock.advance(500);
  assert.ok(times.length >= 8);
  sweeper.delete(member);
  times.length = 0;
  clock.advance(5000);
  assert.deepEqual(times, []);
  assert.equal(clock.step(), false);
});

test('what a burst of large messages leaves in the pool is let go of in the seconds after it', () => {
  const clock = new SimClock();
  const sweeper = new Sweeper(clock, []);
  const pool = new OutputPool(sweeper);
  const blocks = Array.from({ length: 400 }, () => pool.take(true));
  for (const block of blocks) pool.give(block);
  const pooled = new Set(blocks);
  const reused = Array.from({ length: 400 }, () => pool.take(true)).filter((block) => pooled.has(block));
  assert.equal(reused.length, 400);
  for (const block of reused) pool.give(block);
  clock.advance(20_000);
  const left = Array.from({ length: 400 }, () => pool.take(true)).filter((block) => pooled.has(block));
  assert.equal(left.length, 96);
});
