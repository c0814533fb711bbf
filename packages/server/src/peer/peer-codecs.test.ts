import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, encodeMessage, Message, MessageType } from '@etcd/api/raftpb';
import { randomMessage } from '@etcd/api/testing';
import { SeededRandom } from '@etcd/base';
import { AppendEncoder, AppendFormat } from './append-codec.ts';
import { writeU64 } from './big-endian.ts';
import { PeerCodecError, type PeerCodecErrorCode } from './codec-error.ts';
import { FrameDecoder, type FrameFormat } from './frame-decoder.ts';
import type { FrameTarget } from './frame-target.ts';
import { MessageEncoder, MessageFormat } from './message-codec.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const LOCAL = 1n;
const REMOTE = 2n;

/** Collects frames in one growing array. */
class Sink implements FrameTarget {
  bytes = new Uint8Array(1024 * 1024);
  length = 0;

  reserve(length: number): number {
    const at = this.length;
    this.length += length;
    assert.ok(this.length <= this.bytes.length);
    return at;
  }

  written(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}

function decodeAll(format: FrameFormat, bytes: Uint8Array, cuts: readonly number[]): Message[] {
  const messages: Message[] = [];
  const decoder = new FrameDecoder(format, (message) => messages.push(message));
  let start = 0;
  for (const cut of [...cuts, bytes.length]) {
    // A Buffer, as sockets give it: its methods are not all those of a Uint8Array.
    const chunk = Buffer.from(bytes.subarray(start, cut));
    decoder.push(chunk);
    // Nothing that came out may depend on the chunk.
    chunk.fill(0xee);
    start = cut;
  }
  return messages;
}

function assertSame(actual: readonly Message[], expected: readonly Message[]): void {
  assert.equal(actual.length, expected.length);
  for (const [i, message] of expected.entries()) {
    assert.deepEqual(Buffer.from(encodeMessage(actual[i]!)), Buffer.from(encodeMessage(message)));
  }
}

function entries(random: SeededRandom, term: number, after: number, count: number): Entry[] {
  return Array.from({ length: count }, (_, i) => {
    const data = new Uint8Array(random.below(300)).fill(random.below(256));
    return new Entry({ term, index: after + i + 1, data });
  });
}

/** What a leader sends to one follower: mostly messages that continue, now and then a new term or a step back. */
function appends(random: SeededRandom, count: number): Message[] {
  let term = 1;
  let logTerm = 0;
  let index = 0;
  return Array.from({ length: count }, () => {
    if (random.chance(0.2)) term++;
    if (random.chance(0.2)) index = Math.max(0, index - 3);
    const message = new Message({
      type: MessageType.MsgApp,
      from: REMOTE,
      to: LOCAL,
      term,
      logTerm,
      index,
      commit: index,
      entries: entries(random, term, index, random.below(5)),
    });
    index += message.entries.length;
    logTerm = term;
    return message;
  });
}

function streamOf(encoder: AppendEncoder | MessageEncoder, messages: readonly Message[]): Uint8Array {
  const sink = new Sink();
  for (const [i, message] of messages.entries()) {
    const before = sink.length;
    assert.equal(encoder.encode(message, sink), sink.length - before);
    if (i % 3 === 0) encoder.encodeHeartbeat(sink);
  }
  return sink.written();
}

test(`random messages come through the message stream, cut anywhere (seed ${SEED})`, () => {
  const random = new SeededRandom(SEED);
  const messages = Array.from({ length: 40 }, () => {
    const message = randomMessage(random, 'raftpb.Message') as Message;
    // Nobody's heartbeat is the link's own.
    message.from = 7n;
    return message;
  });
  const bytes = streamOf(new MessageEncoder(), messages);
  assertSame(decodeAll(new MessageFormat(), bytes, []), messages);
  for (let round = 0; round < 50; round++) {
    const cuts = Array.from({ length: 20 }, () => random.below(bytes.length)).sort((a, b) => a - b);
    assertSame(decodeAll(new MessageFormat(), bytes, cuts), messages);
  }
});

test(`both streams can be cut at every byte, and into single bytes (seed ${SEED})`, () => {
  const random = new SeededRandom(SEED);
  const messages = appends(random, 12);
  const streams: [Uint8Array, () => FrameFormat][] = [
    [streamOf(new AppendEncoder(), messages), () => new AppendFormat(LOCAL, REMOTE)],
    [streamOf(new MessageEncoder(), messages), () => new MessageFormat()],
  ];
  for (const [bytes, createFormat] of streams) {
    for (let cut = 0; cut <= bytes.length; cut++) {
      assertSame(decodeAll(createFormat(), bytes, [cut]), messages);
    }
    const everywhere = Array.from(bytes.keys());
    assertSame(decodeAll(createFormat(), bytes, everywhere), messages);
  }
});

test(`appends of a leader come through the append stream (seed ${SEED})`, () => {
  const random = new SeededRandom(SEED);
  for (let round = 0; round < 100; round++) {
    const messages = appends(random, 30);
    const bytes = streamOf(new AppendEncoder(), messages);
    const cuts = Array.from({ length: 5 }, () => random.below(bytes.length)).sort((a, b) => a - b);
    assertSame(decodeAll(new AppendFormat(LOCAL, REMOTE), bytes, cuts), messages);
  }
});

test('entries that continue are sent as etcd does: type 1, count, lengths and entries, commit', () => {
  const first = new Message({ type: MessageType.MsgApp, from: 2n, to: 1n, term: 3, logTerm: 3, index: 7 });
  const entry = new Entry({ term: 3, index: 8, data: Buffer.from('x') });
  const second = new Message({ ...first, entries: [entry], commit: 7 });
  const sink = new Sink();
  const encoder = new AppendEncoder();
  const size = encodeMessage(first).length;
  assert.equal(encoder.encode(first, sink), 9 + size);
  assert.equal(sink.bytes[0], 2);
  const at = sink.length;
  encoder.encode(second, sink);
  const frame = Buffer.from(sink.written().subarray(at)).toString('hex');
  const encodedEntry = '080010031808220178';
  assert.equal(frame, `010000000000000001${'0000000000000009'}${encodedEntry}${'0000000000000007'}`);
});

test('a frame larger than any buffer comes through in pieces', () => {
  const data = new Uint8Array(3 * 1024 * 1024).map((_, i) => i % 251);
  const entry = new Entry({ term: 1, index: 1, data });
  const first = new Message({ type: MessageType.MsgApp, from: REMOTE, to: LOCAL, term: 1, logTerm: 1 });
  const messages = [first, new Message({ ...first, entries: [entry] }), new Message({ ...first, index: 1 })];
  for (const encoder of [new AppendEncoder(), new MessageEncoder()]) {
    const sink = new Sink();
    sink.bytes = new Uint8Array(4 * 1024 * 1024);
    for (const message of messages) encoder.encode(message, sink);
    const format = encoder instanceof AppendEncoder ? new AppendFormat(LOCAL, REMOTE) : new MessageFormat();
    const bytes = sink.written();
    const cuts = Array.from({ length: Math.floor(bytes.length / 50_000) }, (_, i) => (i + 1) * 50_000);
    assertSame(decodeAll(format, bytes, cuts), messages);
  }
});

function u64(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  for (const [i, value] of values.entries()) writeU64(bytes, i * 8, value);
  return bytes;
}

function assertRefused(format: FrameFormat, bytes: Uint8Array, code: PeerCodecErrorCode): void {
  assert.throws(
    () => decodeAll(format, bytes, []),
    (error) => error instanceof PeerCodecError && error.code === code,
  );
}

test('S17 S21 lengths, counts and types that no member sends end the stream with an error', () => {
  const append = () => new AppendFormat(LOCAL, REMOTE);
  const typed = (type: number, ...rest: Uint8Array[]) => Buffer.concat([Uint8Array.of(type), ...rest]);
  const huge = new Uint8Array(8).fill(0xff);
  assertRefused(new MessageFormat(), huge, 'too-large');
  assertRefused(new MessageFormat(), u64(2 ** 29 + 1), 'too-large');
  assertRefused(append(), typed(2, huge), 'too-large');
  assertRefused(append(), typed(1, huge), 'too-large');
  assertRefused(append(), typed(1, u64(2 ** 20 + 1)), 'too-large');
  assertRefused(append(), typed(1, u64(1), huge), 'too-large');
  // Each entry alone is small enough, all of them are not.
  assertRefused(append(), typed(1, u64(2, 2 ** 29 - 1)), 'too-large');
  assertRefused(append(), typed(3), 'frame-type');
  assertRefused(append(), typed(255), 'frame-type');
  assertRefused(append(), typed(2, u64(2), Uint8Array.of(0x0a, 0xff)), 'message');
  assertRefused(append(), typed(1, u64(1, 1), Uint8Array.of(0x22), u64(0)), 'message');
  assertRefused(new MessageFormat(), Buffer.concat([u64(1), Uint8Array.of(0x07)]), 'message');
});

test('S21 a length alone makes nobody allocate: memory follows what has come', () => {
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 200 }, () => {
    const decoder = new FrameDecoder(new MessageFormat(), () => assert.fail('nothing is complete'));
    decoder.push(u64(2 ** 29 - 8, 0));
    return decoder;
  });
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.equal(decoders.length, 200);
  assert.ok(grown < 300 * 1024 * 1024, `${grown} bytes for 200 announcements of 512 MiB`);
});

test(`S17 random bytes never do more than end the stream (seed ${SEED})`, () => {
  const random = new SeededRandom(SEED);
  const valid = [
    streamOf(new AppendEncoder(), appends(random, 5)),
    streamOf(new MessageEncoder(), appends(random, 5)),
  ];
  let refused = 0;
  for (let round = 0; round < 4000; round++) {
    const bytes = valid[round % 2]!.slice();
    for (let i = random.below(4); i >= 0; i--) bytes[random.below(bytes.length)] = random.below(256);
    const format = round % 2 === 0 ? new AppendFormat(LOCAL, REMOTE) : new MessageFormat();
    try {
      decodeAll(format, bytes, [random.below(bytes.length)]);
    } catch (error) {
      assert.ok(error instanceof PeerCodecError, String(error));
      refused++;
    }
  }
  assert.ok(refused > 100, `${refused} refused`);
});
