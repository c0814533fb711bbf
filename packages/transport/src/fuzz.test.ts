import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { memoryDuplexPair } from './duplex/memory-duplex.ts';
import { GrpcChannel } from './grpc/grpc-channel.ts';
import { Flag, FrameType, Setting } from './http2/protocol.ts';
import { frame, grpcMessage, grpcRequest, RawPeer, uint32 } from './testing/raw-peer.ts';
import { SimServer } from './testing/sim-server.ts';

const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 300);
const FIRST_SEED = Number(process.env['FUZZ_SEED'] ?? 1);

const PATHS = ['/test.S/Echo', '/test.S/Later', '/test.S/Bidi', '/test.S/List', '/test.S/Collect', '/x', '*'];

/**
 * Makes frames that are right, or, now and then, nearly right: so that a connection lives long enough to be
 * odd.
 */
class FrameSource {
  readonly #random: SeededRandom;
  readonly #peer: RawPeer;
  #nextId = 1;
  #used: number[] = [];

  constructor(random: SeededRandom, peer: RawPeer) {
    this.#random = random;
    this.#peer = peer;
  }

  next(): Buffer {
    const random = this.#random;
    if (random.chance(0.02)) return this.#wrong();
    const id = this.#used.length === 0 ? 0 : random.pick(this.#used);
    const kind = id === 0 ? 0 : random.below(10);
    switch (kind) {
      case 0:
      case 1:
        return this.#request();
      case 2:
      case 3:
      case 4:
        return frame(FrameType.DATA, random.chance(0.3) ? Flag.END_STREAM : 0, id, this.#body());
      case 5:
        return frame(FrameType.RST_STREAM, 0, id, uint32(random.below(14)));
      case 6: {
        const [setting, value] = random.pick([
          [Setting.INITIAL_WINDOW_SIZE, random.below(50_000)],
          [Setting.MAX_FRAME_SIZE, 16_384 + random.below(50_000)],
          [Setting.HEADER_TABLE_SIZE, random.below(5000)],
        ]);
        return frame(FrameType.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, setting]), uint32(value)]));
      }
      case 7:
        return frame(FrameType.PING, random.below(2), 0, Buffer.alloc(8));
      case 8:
        return frame(
          FrameType.WINDOW_UPDATE,
          0,
          random.chance(0.5) ? 0 : id,
          uint32(1 + random.below(100_000)),
        );
      default:
        return frame(FrameType.PRIORITY, 0, id, Buffer.concat([uint32(0), Buffer.from([1])]));
    }
  }

  #request(): Buffer {
    const random = this.#random;
    const id = this.#nextId;
    this.#nextId += 2;
    this.#used = [...this.#used.slice(-10), id];
    const more: [string, string][] = random.chance(0.3) ? [['grpc-timeout', `${random.below(2000)}m`]] : [];
    const block = this.#peer.block(grpcRequest(random.pick(PATHS), more));
    const endStream = random.chance(0.1) ? Flag.END_STREAM : 0;
    if (random.chance(0.8)) return frame(FrameType.HEADERS, Flag.END_HEADERS | endStream, id, block);
    const cut = random.below(block.length);
    const first = frame(FrameType.HEADERS, endStream, id, block.subarray(0, cut));
    return Buffer.concat([first, frame(FrameType.CONTINUATION, Flag.END_HEADERS, id, block.subarray(cut))]);
  }

  #body(): Buffer {
    const bytes = grpcMessage(Buffer.alloc(this.#random.below(3000)));
    return this.#random.chance(0.3) ? bytes.subarray(0, this.#random.below(bytes.length)) : bytes;
  }

  #wrong(): Buffer {
    const random = this.#random;
    const payload = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
    return frame(random.below(12), random.below(256), random.below(100), payload);
  }
}

/** What a server may send on one of the first streams of a client. */
function answerFrame(random: SeededRandom, peer: RawPeer, streamCount: number): Buffer {
  const id = 2 * random.below(Math.max(1, streamCount)) + 1;
  const end = random.chance(0.3) ? Flag.END_STREAM : 0;
  const headers = (fields: [string, string][]): Buffer =>
    frame(FrameType.HEADERS, Flag.END_HEADERS | end, id, peer.block(fields));
  switch (random.below(6)) {
    case 0:
    case 1:
      return headers([
        [':status', random.pick(['200', '200', '200', '100', '404'])],
        ['content-type', random.pick(['application/grpc', 'application/grpc', 'text/plain'])],
      ]);
    case 2:
      return headers([['grpc-status', random.pick(['0', '5', 'x'])]]);
    case 3:
      return frame(FrameType.DATA, end, id, grpcMessage(Buffer.alloc(random.below(1200))));
    case 4:
      return frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1 + random.below(1000)));
    default:
      return random.chance(0.1)
        ? frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(id), uint32(0)]))
        : frame(FrameType.RST_STREAM, 0, id, uint32(random.below(14)));
  }
}

/** Flips, drops, doubles or inserts a few bytes. */
function mutate(random: SeededRandom, bytes: Buffer): Buffer {
  const copy = [...bytes];
  for (let i = random.below(4); i > 0; i--) {
    const at = random.below(copy.length + 1);
    const kind = random.below(4);
    if (kind === 0 && at < copy.length) copy[at]! ^= 1 << random.below(8);
    else if (kind === 1) copy.splice(at, 1);
    else copy.splice(at, 0, random.below(256));
  }
  return Buffer.from(copy);
}

/** Whatever was sent: once the connection is gone nothing of it is left. */
function assertNothingLeft(sim: SimServer, seed: number): void {
  sim.clock.advance(20_000_000);
  assert.equal(sim.server.connectionCount, 0, `seed ${seed}: connection left`);
  assert.equal(sim.server.streamCount, 0, `seed ${seed}: streams left`);
  for (const call of [...sim.pending, ...sim.streams]) {
    assert.equal(call.isClosed, true, `seed ${seed}`);
    assert.equal(call.connection.buffered.byteCount, 0, `seed ${seed}: buffered bytes left`);
    assert.equal(call.connection.sender.queuedBytes, 0, `seed ${seed}: queued bytes left`);
    // Late answers are harmless.
    call.respond(Buffer.alloc(100));
    call.end();
  }
  for (const receiver of sim.receivers) assert.ok(receiver.cancelCount <= 1, `seed ${seed}: cancelled twice`);
}

for (const isMutated of [false, true]) {
  test(`random frames${isMutated ? ', mutated,' : ''} never crash a server or leave anything behind`, () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + ROUNDS; seed++) {
      const random = new SeededRandom(seed);
      const sim = new SimServer(new SimClock(), {
        limits: {
          maxBufferedBytes: 5000,
          maxQueuedBytes: 20_000,
          maxOutputBytes: 5000,
          streamHighWaterBytes: 500,
        },
        maxReceiveMessageBytes: 10_000,
        onRequest: (exchange) => exchange.respond(200, [], exchange.body),
      });
      sim.echoStreams = random.chance(0.5);
      const peer = sim.connect({
        nextChunkBytes: random.chance(0.5) ? () => 1 + random.below(30) : () => 1_000_000,
        capacityBytes: random.chance(0.3) ? 200 : 1_000_000,
        noPreface: true,
      });
      peer.preface([[Setting.INITIAL_WINDOW_SIZE, random.below(1000)]]);
      const source = new FrameSource(random, peer);
      for (let step = 0; step < 100; step++) {
        const bytes = source.next();
        peer.bytes(isMutated && random.chance(0.05) ? mutate(random, bytes) : bytes);
        if (random.chance(0.3)) sim.clock.settle();
        if (random.chance(0.05)) sim.clock.advance(random.below(3000));
        const call = sim.pending[random.below(sim.pending.length + 1)];
        if (random.chance(0.3)) call?.respond(Buffer.alloc(random.below(3000)));
        const stream = sim.streams[random.below(sim.streams.length + 1)];
        if (random.chance(0.3)) stream?.write(Buffer.alloc(random.below(300)));
        if (random.chance(0.1)) stream?.pause();
        if (random.chance(0.1)) stream?.resume();
        if (random.chance(0.05)) stream?.end(random.below(17), 'text');
      }
      if (random.chance(0.5)) peer.end();
      else peer.destroy();
      assertNothingLeft(sim, seed);
    }
  });
}

test('random bytes of a server never crash a channel, and every call ends once', () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + ROUNDS; seed++) {
    const random = new SeededRandom(seed);
    const clock = new SimClock();
    const [ours, theirs] = memoryDuplexPair({ clock, nextChunkBytes: () => 1 + random.below(100) });
    const channel = new GrpcChannel(ours, { clock, authority: 'test', maxReceiveMessageBytes: 1000 });
    const peer = new RawPeer(theirs);
    peer.settings([]);
    const source = new FrameSource(random, peer);
    let begun = 0;
    let ended = 0;
    for (let step = 0; step < 60; step++) {
      if (random.chance(0.3)) {
        begun++;
        const call = channel.unary('/a.B/C', Buffer.alloc(random.below(100)), () => ended++, {
          timeoutMs: 1 + random.below(5000),
        });
        if (random.chance(0.2)) call.cancel();
      }
      const bytes = random.chance(0.05) ? source.next() : answerFrame(random, peer, begun);
      peer.bytes(random.chance(0.02) ? mutate(random, bytes) : bytes);
      if (random.chance(0.5)) clock.settle();
    }
    clock.advance(10_000);
    assert.equal(ended, begun, `seed ${seed}`);
    assert.equal(channel.callCount, 0, `seed ${seed}`);
  }
});

test('calls over a network that cuts and delays at will all end right, and two runs of a seed are equal', () => {
  const run = (seed: number): string => {
    const random = new SeededRandom(seed);
    const sim = new SimServer(new SimClock());
    const log: string[] = [];
    const channel = sim.channel({
      nextChunkBytes: () => 1 + random.below(2000),
      latencyMs: random.below(20),
      capacityBytes: 5000,
    });
    let open = 0;
    for (let i = 0; i < 100; i++) {
      const body = Buffer.alloc(random.below(20_000), i);
      const path = random.pick(['/test.S/Echo', '/test.S/Later']);
      open++;
      const timeoutMs = random.chance(0.2) ? 1 + random.below(50) : 60_000;
      const call = channel.unary(
        path,
        body,
        (code, message, bytes, start, end) => {
          open--;
          if (code === 0) assert.ok(body.equals(bytes.subarray(start, end)));
          log.push(`${sim.clock.now()} ${i} ${code} ${message}`);
        },
        { timeoutMs },
      );
      if (random.chance(0.1)) call.cancel();
      sim.clock.advance(random.below(10));
      for (const pending of sim.pending) if (random.chance(0.5)) pending.fail(9, 'later');
    }
    for (const pending of sim.pending) pending.fail(9, 'later');
    sim.clock.advance(30_000);
    for (const pending of sim.pending) pending.fail(9, 'later');
    sim.clock.advance(60_000);
    assert.equal(open, 0);
    assert.equal(sim.server.streamCount + channel.callCount, 0);
    return log.join('\n');
  };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + 20; seed++) assert.equal(run(seed), run(seed));
});
