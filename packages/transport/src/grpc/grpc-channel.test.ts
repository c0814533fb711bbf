import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { GrpcCode } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import fc from 'fast-check';
import { memoryDuplexPair } from '../duplex/memory-duplex.ts';
import { ErrorCode, Flag, FrameType, Setting } from '../http2/protocol.ts';
import { type Fields, grpcMessage, RawPeer, uint32 } from '../testing/raw-peer.ts';
import { SimServer } from '../testing/sim-server.ts';
import type { ClientCall, ClientReceiver } from './client-call.ts';
import { GrpcChannel, type GrpcChannelOptions } from './grpc-channel.ts';

/** Notes what a client's call hears. */
class Notes implements ClientReceiver {
  readonly messages: string[] = [];
  readonly ends: [code: number, message: string][] = [];
  headerCount = 0;
  writableCount = 0;
  pauseAfter = Number.POSITIVE_INFINITY;

  onHeaders(): void {
    this.headerCount++;
  }

  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    assert.equal(this.ends.length, 0, 'a message behind the end');
    this.messages.push(Buffer.from(bytes.subarray(start, end)).toString('latin1'));
    if (this.messages.length >= this.pauseAfter) call.pause();
  }

  onWritable(): void {
    this.writableCount++;
  }

  onEnd(_call: ClientCall, code: number, message: string): void {
    this.ends.push([code, message]);
  }
}

/** A channel whose server is a raw peer. */
function newRaw(options: Partial<GrpcChannelOptions> = {}): {
  clock: SimClock;
  channel: GrpcChannel;
  peer: RawPeer;
} {
  const clock = new SimClock();
  const [ours, theirs] = memoryDuplexPair({ clock });
  const channel = new GrpcChannel(ours, { clock, authority: 'test', ...options });
  const peer = new RawPeer(theirs);
  peer.settings([]);
  clock.settle();
  return { clock, channel, peer };
}

const ANSWER: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];

function answer(peer: RawPeer, id: number, body: string, trailers: Fields = [['grpc-status', '0']]): void {
  peer.headers(id, ANSWER);
  peer.data(id, grpcMessage(body));
  peer.headers(id, trailers, true);
}

test('a unary call against our own server', () => {
  const sim = new SimServer(new SimClock());
  const channel = sim.channel();
  const results: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    channel.unary('/test.S/Echo', Buffer.from(`hello ${i}`), (code, message, bytes, start, end) => {
      results.push([code, message, Buffer.from(bytes.subarray(start, end)).toString()]);
    });
  }
  sim.clock.settle();
  assert.deepEqual(
    results,
    [0, 1, 2, 3, 4].map((i) => [0, '', `hello ${i}`]),
  );
  assert.equal(channel.callCount, 0);
  assert.equal(sim.server.streamCount, 0);
});

test('the request on the wire: preface, headers, one DATA frame that ends the stream', () => {
  const { clock, channel, peer } = newRaw({ isSecure: true, userAgent: 'me' });
  channel.unary('/a.B/C', Buffer.from('body'), () => {}, {
    metadata: [['x-bin', '\x00\xff']],
    timeoutMs: 1500,
  });
  clock.settle();
  const [headers, data] = peer.ofStream(1);
  assert.deepEqual(headers?.fields, {
    ':method': 'POST',
    ':scheme': 'https',
    ':path': '/a.B/C',
    ':authority': 'test',
    'content-type': 'application/grpc',
    'user-agent': 'me',
    te: 'trailers',
    'grpc-accept-encoding': 'gzip',
    'x-bin': 'AP8',
    'grpc-timeout': '1500000u',
  });
  assert.deepEqual(data?.payload, grpcMessage('body'));
  assert.equal(data?.flags, Flag.END_STREAM);
  assert.equal(peer.ofStream(1).length, 2);
});

test('streams of all kinds against our own server, with bytes cut anywhere', () => {
  fc.assert(
    fc.property(
      fc.infiniteStream(fc.integer({ min: 1, max: 3000 })),
      fc.array(fc.nat(70_000), { maxLength: 6 }),
      (sizes, lengths) => {
        const sim = new SimServer(new SimClock());
        const channel = sim.channel({ nextChunkBytes: () => sizes.next().value });
        const notes = new Notes();
        const call = channel.call('/test.S/Bidi', notes);
        const messages = lengths.map((length, i) => `${i}`.padEnd(length, 'x'));
        for (const message of messages) call.write(Buffer.from(message));
        call.halfClose();
        for (let i = 0; i < 1000 && notes.ends.length === 0; i++) sim.clock.settle();
        assert.deepEqual(notes.messages, messages);
        assert.deepEqual(notes.ends, [[0, '']]);
        assert.equal(sim.server.streamCount + channel.callCount, 0);
      },
    ),
    { numRuns: 30 },
  );
});

test('how a call ends: by the status, by a reset, by an answer that is none', () => {
  const cases: [string, number, string, (peer: RawPeer) => void][] = [
    [
      'trailers only',
      5,
      'ключ %',
      (peer) =>
        peer.headers(
          1,
          [...ANSWER, ['grpc-status', '5'], ['grpc-message', '%D0%BA%D0%BB%D1%8E%D1%87 %']],
          true,
        ),
    ],
    ['no status', GrpcCode.Unknown, '', (peer) => answer(peer, 1, '', [['x', 'y']])],
    [
      'a status that is no number',
      GrpcCode.Unknown,
      'transport: malformed grpc-status: "x"',
      (peer) => answer(peer, 1, '', [['grpc-status', 'x']]),
    ],
    [
      'no trailers',
      GrpcCode.Internal,
      'server closed the stream without sending trailers',
      (peer) => {
        peer.headers(1, ANSWER);
        peer.data(1, grpcMessage(''), true);
      },
    ],
    [
      'half a message',
      GrpcCode.Internal,
      'unexpected EOF',
      (peer) => {
        peer.headers(1, ANSWER);
        peer.data(1, grpcMessage('abc').subarray(0, 6));
        peer.headers(1, [['grpc-status', '0']], true);
      },
    ],
    [
      'headers in the middle',
      GrpcCode.Internal,
      'a HEADERS frame cannot appear in the middle of a stream',
      (peer) => {
        peer.headers(1, ANSWER);
        peer.headers(1, ANSWER);
      },
    ],
    [
      'another content-type',
      GrpcCode.Unknown,
      'unexpected HTTP status code received from server: 200 (OK); transport: received unexpected content-type "text/html"',
      (peer) => peer.headers(1, [ANSWER[0]!, ['content-type', 'text/html']], true),
    ],
    [
      '503',
      GrpcCode.Unavailable,
      'unexpected HTTP status code received from server: 503 (Service Unavailable); malformed header: missing HTTP content-type',
      (peer) => peer.headers(1, [[':status', '503']], true),
    ],
    [
      'a reset: refused',
      GrpcCode.Unavailable,
      'stream terminated by RST_STREAM with error code: REFUSED_STREAM',
      (peer) => peer.reset(1, ErrorCode.REFUSED_STREAM),
    ],
    [
      'a reset: cancel',
      GrpcCode.Canceled,
      'stream terminated by RST_STREAM with error code: CANCEL',
      (peer) => peer.reset(1, ErrorCode.CANCEL),
    ],
    [
      'a reset: calm',
      GrpcCode.ResourceExhausted,
      'stream terminated by RST_STREAM with error code: ENHANCE_YOUR_CALM',
      (peer) => peer.reset(1, ErrorCode.ENHANCE_YOUR_CALM),
    ],
    [
      'too large',
      GrpcCode.ResourceExhausted,
      'grpc: received message larger than max (11 vs. 10)',
      (peer) => answer(peer, 1, 'x'.repeat(11)),
    ],
    [
      'an unknown compression',
      GrpcCode.Internal,
      'grpc: Decompressor is not installed for grpc-encoding "zstd"',
      (peer) => {
        peer.headers(1, [...ANSWER, ['grpc-encoding', 'zstd']]);
        peer.data(1, grpcMessage('x', 1));
      },
    ],
    [
      'two messages',
      GrpcCode.Internal,
      'cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message',
      (peer) => {
        peer.headers(1, ANSWER);
        peer.data(1, Buffer.concat([grpcMessage('a'), grpcMessage('b')]));
        peer.headers(1, [['grpc-status', '0']], true);
      },
    ],
    [
      'no message',
      GrpcCode.Internal,
      'cardinality violation: received no response message from non-server-streaming RPC',
      (peer) => peer.headers(1, [...ANSWER, ['grpc-status', '0']], true),
    ],
    ['a lost connection', GrpcCode.Unavailable, 'the peer has closed the connection', (peer) => peer.end()],
    [
      'a broken connection',
      GrpcCode.Unavailable,
      'WINDOW_UPDATE by nothing',
      (peer) => peer.windowUpdate(0, 0),
    ],
  ];
  for (const [what, code, message, act] of cases) {
    const { clock, channel, peer } = newRaw({ maxReceiveMessageBytes: 10 });
    const ends: [number, string][] = [];
    channel.unary('/a.B/C', Buffer.from('x'), (c, m) => ends.push([c, m]));
    clock.settle();
    act(peer);
    clock.settle();
    assert.deepEqual(ends, [[code, message]], what);
    assert.equal(channel.callCount, 0, what);
  }
});

test('interim answers are skipped, gzip messages understood, metadata of headers and trailers kept', () => {
  const { clock, channel, peer } = newRaw();
  let call: ClientCall | null = null;
  const results: string[] = [];
  call = channel.unary('/a.B/C', Buffer.from('x'), (code, _message, bytes, start, end) => {
    results.push(`${code} ${Buffer.from(bytes.subarray(start, end)).toString()}`);
  });
  clock.settle();
  peer.headers(1, [[':status', '103']]);
  peer.headers(1, [...ANSWER, ['grpc-encoding', 'gzip'], ['x-head', '1']]);
  peer.data(1, grpcMessage(gzipSync('zipped'), 1));
  peer.headers(
    1,
    [
      ['grpc-status', '0'],
      ['x-trail-bin', 'AP8'],
    ],
    true,
  );
  clock.settle();
  assert.deepEqual(results, ['0 zipped']);
  assert.equal(call.answerMetadata('x-head'), '1');
  assert.equal(call.answerMetadata('x-trail-bin'), '\x00\xff');
  assert.equal(call.answerMetadata('absent'), null);
  assert.deepEqual(call.trailers, [['x-trail-bin', '\x00\xff']]);
});

test('cancel: the server hears of it, the caller afterwards', () => {
  const sim = new SimServer(new SimClock());
  const channel = sim.channel();
  const notes = new Notes();
  const call = channel.call('/test.S/Bidi', notes);
  sim.clock.settle();
  call.cancel();
  call.cancel();
  assert.deepEqual(notes.ends, []);
  sim.clock.settle();
  assert.deepEqual(notes.ends, [[GrpcCode.Canceled, 'context canceled']]);
  assert.equal(sim.receivers[0]!.cancelCount, 1);
  assert.equal(call.write(Buffer.from('x')), false);
  call.halfClose();
  sim.clock.settle();
});

test('a deadline ends the call on both sides', () => {
  const sim = new SimServer(new SimClock());
  const channel = sim.channel();
  const ends: [number, string][] = [];
  channel.unary('/test.S/Later', Buffer.from('x'), (code, message) => ends.push([code, message]), {
    timeoutMs: 500,
  });
  sim.clock.advance(499);
  assert.deepEqual(ends, []);
  sim.clock.advance(20);
  assert.deepEqual(ends, [[GrpcCode.DeadlineExceeded, 'context deadline exceeded']]);
  assert.equal(sim.server.streamCount, 0);
});

test('a reset that comes a moment before our own deadline still counts as the deadline', () => {
  const { clock, channel, peer } = newRaw();
  const ends: number[] = [];
  const call = channel.unary('/a.B/C', Buffer.from('x'), (code) => ends.push(code), { timeoutMs: 1000 });
  clock.advance(500);
  call.deadlineMs = clock.now();
  peer.reset(1, ErrorCode.CANCEL);
  clock.settle();
  assert.deepEqual(ends, [GrpcCode.DeadlineExceeded]);
});

test('calls beyond the server’s limit wait for a stream, in order; their time runs meanwhile', () => {
  const { clock, channel, peer } = newRaw();
  peer.settings([[Setting.MAX_CONCURRENT_STREAMS, 2]]);
  clock.settle();
  const results: string[] = [];
  const call = (name: string, timeoutMs?: number): ClientCall =>
    channel.unary(
      '/a.B/C',
      Buffer.from(name),
      (code) => results.push(`${name} ${code}`),
      timeoutMs === undefined ? {} : { timeoutMs },
    );
  call('a');
  call('b');
  call('c');
  call('d', 100);
  call('e').cancel();
  call('f');
  clock.advance(150);
  assert.deepEqual(results, ['e 1', 'd 4']);
  assert.equal(peer.ofType(FrameType.HEADERS).length, 2);
  answer(peer, 1, 'A');
  answer(peer, 3, 'B');
  clock.settle();
  assert.deepEqual(peer.messages(5), ['c']);
  assert.deepEqual(peer.messages(7), ['f']);
  answer(peer, 5, 'C');
  answer(peer, 7, 'F');
  clock.settle();
  assert.deepEqual(results, ['e 1', 'd 4', 'a 0', 'b 0', 'c 0', 'f 0']);
  assert.equal(channel.callCount, 0);
});

test('GOAWAY: calls that the server has not seen fail as unprocessed, the others go on, no new ones begin', () => {
  const reasons: string[] = [];
  const { clock, channel, peer } = newRaw({
    onDraining: (reason) => reasons.push(`draining ${reason}`),
    onClosed: (reason) => reasons.push(`closed ${reason}`),
  });
  const results: string[] = [];
  const call = (name: string): void => {
    channel.unary('/a.B/C', Buffer.from(name), (code, message, _b, _s, _e, each) =>
      results.push(`${name} ${code} ${each.isUnprocessed} ${message}`),
    );
  };
  call('a');
  call('b');
  clock.settle();
  peer.frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(1), uint32(11), Buffer.from('too_many_pings')]));
  clock.settle();
  assert.deepEqual(results, ['b 14 true the connection is draining']);
  call('c');
  clock.settle();
  assert.deepEqual(results.slice(1), ['c 14 true the connection is draining']);
  assert.equal(channel.isOpen, false);
  answer(peer, 1, 'A');
  clock.advance(2000);
  assert.deepEqual(results.slice(2), ['a 0 false ']);
  const goaway = 'closing transport due to goaway: code: ENHANCE_YOUR_CALM, debug data: "too_many_pings"';
  assert.deepEqual(reasons, [`draining ${goaway}`, `closed ${goaway}`]);
});

test('a channel that is closed fails its calls, and later ones at once', () => {
  const sim = new SimServer(new SimClock());
  const channel = sim.channel();
  const notes = new Notes();
  channel.call('/test.S/Bidi', notes);
  sim.clock.settle();
  channel.close('enough');
  sim.clock.advance(2000);
  assert.deepEqual(notes.ends, [[GrpcCode.Unavailable, 'enough']]);
  const late = new Notes();
  channel.call('/test.S/Bidi', late);
  assert.deepEqual(late.ends, []);
  sim.clock.settle();
  assert.deepEqual(late.ends, [[GrpcCode.Unavailable, 'enough']]);
  assert.equal(sim.server.connectionCount, 0);
});

test('drain lets open calls finish', () => {
  const sim = new SimServer(new SimClock());
  const channel = sim.channel();
  const results: number[] = [];
  channel.unary('/test.S/Later', Buffer.from('x'), (code) => results.push(code));
  sim.clock.settle();
  channel.drain();
  sim.clock.settle();
  sim.pending[0]!.respond(Buffer.from('y'));
  sim.clock.advance(2000);
  assert.deepEqual(results, [0]);
  assert.equal(sim.server.connectionCount, 0);
});

test('keepalive: a server that answers keeps the channel, one that does not loses it', () => {
  const sim = new SimServer(new SimClock());
  const limits = { keepaliveIntervalMs: 30_000, keepaliveTimeoutMs: 10_000 };
  const channel = sim.channel({}, { limits });
  const notes = new Notes();
  channel.call('/test.S/Bidi', notes);
  sim.clock.advance(3_600_000);
  assert.deepEqual(notes.ends, []);
  assert.equal(sim.server.connectionCount, 1);

  const { clock, channel: deaf } = newRaw({ limits });
  const ends = new Notes();
  deaf.call('/a.B/C', ends);
  clock.advance(29_000);
  assert.equal(ends.ends.length, 0);
  clock.advance(14_000);
  assert.deepEqual(ends.ends, [[GrpcCode.Unavailable, 'keepalive ping was not answered in time']]);
});

test('without open calls a channel sends no keepalive unless told to', () => {
  for (const keepaliveWithoutStream of [false, true]) {
    const { clock, peer } = newRaw({
      limits: { keepaliveIntervalMs: 1000, keepaliveTimeoutMs: 500, keepaliveWithoutStream },
    });
    clock.advance(1400);
    assert.equal(peer.ofType(FrameType.PING).length, keepaliveWithoutStream ? 1 : 0);
  }
});

test('a large answer flows at any window, and a paused reader gets everything before the status', () => {
  const sim = new SimServer(new SimClock());
  const big = Buffer.alloc(30_000_000, 'abcdefghijk');
  sim.server.unary('/test.S/Big', (call) => call.respondChunks([big], big.length));
  const channel = sim.channel({}, { maxReceiveMessageBytes: 100_000_000 });
  const lengths: number[] = [];
  channel.unary('/test.S/Big', Buffer.from(''), (_code, _message, bytes, start, end) => {
    lengths.push(end - start);
    assert.ok(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).equals(big));
  });
  sim.clock.settle();
  assert.deepEqual(lengths, [big.length]);

  sim.echoStreams = false;
  const notes = new Notes();
  notes.pauseAfter = 1;
  const call = channel.call('/test.S/Bidi', notes);
  call.halfClose();
  sim.clock.settle();
  for (let i = 0; i < 5; i++) sim.streams[0]!.write(Buffer.from(`m${i}`));
  sim.streams[0]!.end();
  sim.clock.settle();
  assert.deepEqual(notes.messages, ['m0']);
  assert.deepEqual(notes.ends, []);
  notes.pauseAfter = 3;
  call.resume();
  assert.deepEqual(notes.messages, ['m0', 'm1', 'm2']);
  notes.pauseAfter = 100;
  call.resume();
  assert.deepEqual(notes.messages, ['m0', 'm1', 'm2', 'm3', 'm4']);
  assert.deepEqual(notes.ends, [[0, '']]);
});

test('a message above the send limit ends the call', () => {
  const { clock, channel } = newRaw({ maxSendMessageBytes: 3 });
  const ends: [number, string][] = [];
  channel.unary('/a.B/C', Buffer.from('four'), (code, message) => ends.push([code, message]));
  clock.settle();
  assert.deepEqual(ends, [[8, 'trying to send message larger than max (4 vs. 3)']]);
});

test('a writer waits for the server’s window', () => {
  const { clock, channel, peer } = newRaw();
  const notes = new Notes();
  const call = channel.call('/a.B/C', notes);
  let written = 0;
  while (call.write(Buffer.alloc(1000))) written++;
  call.halfClose();
  clock.settle();
  assert.ok(written > 120 && written < 135);
  assert.equal(notes.writableCount, 0);
  peer.windowUpdate(0, 1_000_000);
  peer.windowUpdate(1, 1_000_000);
  clock.settle();
  assert.equal(peer.messages(1).length, written + 1);
  assert.equal(peer.ofStream(1).at(-1)?.flags, Flag.END_STREAM);
});

test('a server that opens a stream, or pushes one, is cut off', () => {
  for (const act of [
    (peer: RawPeer) => peer.headers(2, ANSWER),
    (peer: RawPeer) => peer.frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, uint32(2)),
    (peer: RawPeer) => peer.headers(99, ANSWER),
  ]) {
    const { clock, channel, peer } = newRaw();
    const notes = new Notes();
    channel.call('/a.B/C', notes);
    clock.settle();
    act(peer);
    clock.settle();
    assert.equal(peer.goaway()?.errorCode, ErrorCode.PROTOCOL_ERROR);
    assert.equal(notes.ends[0]?.[0], GrpcCode.Unavailable);
  }
});

test('metadata that is used again is sent as it was, in turns with other metadata and by any path', () => {
  const { clock, channel, peer } = newRaw({ variedMetadata: 'x-from' });
  const metadata = ['a', 'b'].map((from) => [['x-from', from]] as const);
  const calls = ['/s/1', '/s/1', '/s/2', '/s/1'].flatMap((path) =>
    metadata.map((each) => [path, each] as const),
  );
  for (const [path, each] of calls) channel.call(path, new Notes(), { metadata: each });
  clock.settle();
  const heads = peer.ofType(FrameType.HEADERS).map(({ fields }) => [fields[':path'], fields['x-from']]);
  assert.deepEqual(
    heads,
    calls.map(([path, [[, from]]]) => [path, from]),
  );
});
