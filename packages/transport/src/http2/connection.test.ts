import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import fc from 'fast-check';
import { frame, grpcMessage, grpcRequest, type RawPeer, uint32 } from '../testing/raw-peer.ts';
import { SimServer } from '../testing/sim-server.ts';
import { CLIENT_PREFACE, ErrorCode, Flag, FrameType, Setting } from './protocol.ts';

function newServer(options: ConstructorParameters<typeof SimServer>[1] = {}): SimServer {
  return new SimServer(new SimClock(), {
    onRequest: (exchange) => exchange.respond(200, [['x-method', exchange.method]], exchange.body),
    ...options,
  });
}

const GET: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/health'],
  [':authority', 'test'],
];

test('the first frame of a server is SETTINGS, before the client has said anything', () => {
  const peer = newServer().connect({ noPreface: true });
  assert.equal(peer.frames[0]?.type, FrameType.SETTINGS);
  assert.equal(peer.frames[0]?.flags, 0);
});

test('a settings frame is acknowledged, a ping answered with its bytes', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.ping('12345678');
  sim.clock.settle();
  assert.equal(peer.ofType(FrameType.SETTINGS).filter((each) => each.flags === Flag.ACK).length, 1);
  const [pong] = peer.ofType(FrameType.PING);
  assert.equal(pong?.flags, Flag.ACK);
  assert.equal(pong?.payload.toString(), '12345678');
});

/** Each ends the connection with this error code. */
const CONNECTION_ERRORS: readonly [string, number, (peer: RawPeer) => void][] = [
  ['a bad preface', ErrorCode.PROTOCOL_ERROR, (peer) => peer.bytes(Buffer.from('GET / HTTP/1.1\r\n\r\n'))],
  [
    'a first frame that is not SETTINGS',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => peer.bytes(Buffer.from(CLIENT_PREFACE), frame(FrameType.PING, 0, 0, Buffer.alloc(8))),
  ],
];

const ERRORS_AFTER_PREFACE: typeof CONNECTION_ERRORS = [
  ['DATA on stream 0', ErrorCode.PROTOCOL_ERROR, (peer) => peer.data(0, 'x')],
  ['DATA on an idle stream', ErrorCode.PROTOCOL_ERROR, (peer) => peer.data(5, 'x')],
  ['HEADERS on stream 0', ErrorCode.PROTOCOL_ERROR, (peer) => peer.headers(0, GET, true)],
  ['HEADERS on an even stream', ErrorCode.PROTOCOL_ERROR, (peer) => peer.headers(2, GET, true)],
  [
    'HEADERS on a stream below one that was used',
    ErrorCode.STREAM_CLOSED,
    (peer) => {
      peer.headers(5, GET, true);
      peer.headers(3, GET, true);
    },
  ],
  ['a broken header block', ErrorCode.COMPRESSION_ERROR, (peer) => peer.frame(1, 5, 1, Buffer.from([0x80]))],
  [
    'padding longer than the frame',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => peer.frame(FrameType.HEADERS, Flag.PADDED | 5, 1, Buffer.from([200, 0x82])),
  ],
  [
    'an unpadded frame with the flag of padding',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      peer.headers(1, grpcRequest('/test.S/Later'));
      peer.frame(FrameType.DATA, Flag.PADDED, 1);
    },
  ],
  [
    'a header block that is interrupted',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      peer.frame(FrameType.HEADERS, 0, 1, peer.block(GET));
      peer.ping();
    },
  ],
  [
    'CONTINUATION of another stream',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      peer.frame(FrameType.HEADERS, 0, 1, peer.block(GET));
      peer.frame(FrameType.CONTINUATION, Flag.END_HEADERS, 3);
    },
  ],
  ['CONTINUATION alone', ErrorCode.PROTOCOL_ERROR, (peer) => peer.frame(FrameType.CONTINUATION, 4, 1)],
  [
    'a frame that is too large',
    ErrorCode.FRAME_SIZE_ERROR,
    (peer) => peer.frame(0xee, 0, 0, Buffer.alloc(16_385)),
  ],
  ['SETTINGS on a stream', ErrorCode.PROTOCOL_ERROR, (peer) => peer.frame(FrameType.SETTINGS, 0, 1)],
  ['SETTINGS of 5 bytes', ErrorCode.FRAME_SIZE_ERROR, (peer) => peer.frame(4, 0, 0, Buffer.alloc(5))],
  ['SETTINGS ACK with a payload', ErrorCode.FRAME_SIZE_ERROR, (peer) => peer.frame(4, 1, 0, Buffer.alloc(6))],
  ['ENABLE_PUSH of 2', ErrorCode.PROTOCOL_ERROR, (peer) => peer.settings([[Setting.ENABLE_PUSH, 2]])],
  [
    'an initial window above 2^31 - 1',
    ErrorCode.FLOW_CONTROL_ERROR,
    (peer) => peer.settings([[Setting.INITIAL_WINDOW_SIZE, 0x8000_0000]]),
  ],
  ['MAX_FRAME_SIZE of 1', ErrorCode.PROTOCOL_ERROR, (peer) => peer.settings([[Setting.MAX_FRAME_SIZE, 1]])],
  ['PING on a stream', ErrorCode.PROTOCOL_ERROR, (peer) => peer.frame(6, 0, 1, Buffer.alloc(8))],
  ['PING of 7 bytes', ErrorCode.FRAME_SIZE_ERROR, (peer) => peer.frame(6, 0, 0, Buffer.alloc(7))],
  ['PUSH_PROMISE', ErrorCode.PROTOCOL_ERROR, (peer) => peer.frame(FrameType.PUSH_PROMISE, 4, 1, uint32(2))],
  ['PRIORITY on stream 0', ErrorCode.PROTOCOL_ERROR, (peer) => peer.frame(2, 0, 0, Buffer.alloc(5))],
  ['RST_STREAM on an idle stream', ErrorCode.PROTOCOL_ERROR, (peer) => peer.reset(7, 0)],
  ['RST_STREAM on stream 0', ErrorCode.PROTOCOL_ERROR, (peer) => peer.reset(0, 0)],
  ['RST_STREAM of 3 bytes', ErrorCode.FRAME_SIZE_ERROR, (peer) => peer.frame(3, 0, 1, Buffer.alloc(3))],
  ['GOAWAY on a stream', ErrorCode.PROTOCOL_ERROR, (peer) => peer.frame(7, 0, 1, Buffer.alloc(8))],
  ['WINDOW_UPDATE by nothing', ErrorCode.PROTOCOL_ERROR, (peer) => peer.windowUpdate(0, 0)],
  ['WINDOW_UPDATE on an idle stream', ErrorCode.PROTOCOL_ERROR, (peer) => peer.windowUpdate(9, 1)],
  ['WINDOW_UPDATE of 3 bytes', ErrorCode.FRAME_SIZE_ERROR, (peer) => peer.frame(8, 0, 0, Buffer.alloc(3))],
  [
    'a connection window above 2^31 - 1',
    ErrorCode.FLOW_CONTROL_ERROR,
    (peer) => peer.windowUpdate(0, 0x7fff_ffff),
  ],
  [
    'a stream window pushed above 2^31 - 1 by settings',
    ErrorCode.FLOW_CONTROL_ERROR,
    (peer) => {
      peer.headers(1, grpcRequest('/test.S/Later'));
      peer.windowUpdate(1, 0x7fff_0000);
      peer.settings([[Setting.INITIAL_WINDOW_SIZE, 0x7fff_ffff]]);
    },
  ],
];

test('connection errors: GOAWAY with the right code, the end of the connection, and every stream told', () => {
  const table = [
    ...CONNECTION_ERRORS.map((entry) => [true, ...entry] as const),
    ...ERRORS_AFTER_PREFACE.map((entry) => [false, ...entry] as const),
  ];
  for (const [noPreface, what, errorCode, act] of table) {
    const sim = newServer();
    const peer = sim.connect({ noPreface });
    act(peer);
    sim.clock.settle();
    assert.equal(peer.goaway()?.errorCode, errorCode, what);
    assert.ok(peer.hasEnded, what);
    sim.clock.advance(2000);
    assert.equal(sim.server.connectionCount, 0, what);
    assert.equal(sim.server.streamCount, 0, what);
    assert.equal(sim.server.counters.connectionErrors, 1, what);
  }
});

const STREAM_ERRORS: readonly [string, number, (peer: RawPeer) => void][] = [
  [
    'a self-dependent stream',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => peer.frame(2, 0, 1, Buffer.from([0, 0, 0, 1, 0])),
  ],
  [
    'a request that depends on itself',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      const payload = Buffer.concat([uint32(1), Buffer.from([0]), peer.block(GET)]);
      peer.frame(FrameType.HEADERS, Flag.PRIORITY | 5, 1, payload);
    },
  ],
  ['PRIORITY of 4 bytes', ErrorCode.FRAME_SIZE_ERROR, (peer) => peer.frame(2, 0, 1, Buffer.alloc(4))],
  ['upper case', ErrorCode.PROTOCOL_ERROR, (peer) => peer.headers(1, [...GET, ['X-Test', 'a']], true)],
  ['a line break', ErrorCode.PROTOCOL_ERROR, (peer) => peer.headers(1, [...GET, ['x-test', 'a\r\nb']], true)],
  [
    'an unknown pseudo field',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => peer.headers(1, [...GET, [':test', '']], true),
  ],
  [
    'a status in a request',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => peer.headers(1, [...GET, [':status', '200']], true),
  ],
  [
    'a pseudo field behind others',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => peer.headers(1, [...GET.slice(0, 2), ['x-test', 'a'], ...GET.slice(2)], true),
  ],
  [
    'connection',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => peer.headers(1, [...GET, ['connection', 'close']], true),
  ],
  ['te: gzip', ErrorCode.PROTOCOL_ERROR, (peer) => peer.headers(1, [...GET, ['te', 'gzip']], true)],
  ['no path', ErrorCode.PROTOCOL_ERROR, (peer) => peer.headers(1, [...GET.slice(0, 2), GET[3]!], true)],
  [
    'an empty path',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => peer.headers(1, [...GET.slice(0, 2), [':path', '']], true),
  ],
  ['two methods', ErrorCode.PROTOCOL_ERROR, (peer) => peer.headers(1, [GET[0]!, ...GET], true)],
  [
    'a body shorter than content-length',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      peer.headers(1, [...GET, ['content-length', '5']]);
      peer.data(1, '1234', true);
    },
  ],
  [
    'a body longer than content-length',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      peer.headers(1, [...GET, ['content-length', '5']]);
      peer.data(1, '123456');
    },
  ],
  [
    'trailers with a pseudo field',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      peer.headers(1, GET);
      peer.headers(1, [[':method', 'GET']], true);
    },
  ],
  [
    'trailers that do not end the stream',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      peer.headers(1, GET);
      peer.headers(1, [['x-test', 'a']]);
    },
  ],
  [
    'DATA behind the end',
    ErrorCode.STREAM_CLOSED,
    (peer) => {
      peer.call(1, '/test.S/Later');
      peer.data(1, 'x');
    },
  ],
  [
    'HEADERS behind the end',
    ErrorCode.STREAM_CLOSED,
    (peer) => {
      peer.call(1, '/test.S/Later');
      peer.headers(1, [['x-test', 'a']], true);
    },
  ],
  [
    'WINDOW_UPDATE of a stream by nothing',
    ErrorCode.PROTOCOL_ERROR,
    (peer) => {
      peer.headers(1, grpcRequest('/test.S/Later'));
      peer.windowUpdate(1, 0);
    },
  ],
  [
    'a stream window above 2^31 - 1',
    ErrorCode.FLOW_CONTROL_ERROR,
    (peer) => {
      peer.headers(1, grpcRequest('/test.S/Later'));
      peer.windowUpdate(1, 0x7fff_ffff);
    },
  ],
  [
    'more than the stream window holds',
    ErrorCode.FLOW_CONTROL_ERROR,
    (peer) => {
      peer.headers(1, grpcRequest('/test.S/Bidi'));
      for (let i = 0; i < 17; i++) peer.data(1, Buffer.alloc(16_384));
    },
  ],
];

test('stream errors: RST_STREAM with the right code, and the connection lives on', () => {
  for (const [what, errorCode, act] of STREAM_ERRORS) {
    const sim = newServer({ limits: { maxStreamWindowBytes: 262_144 } });
    sim.server.bidi('/test.S/Paused', (call) => call.pause());
    const peer = sim.connect();
    if (what.startsWith('more than')) {
      // A reader that pauses grants no more window.
      peer.headers(1, grpcRequest('/test.S/Paused'));
      for (let i = 0; i < 17; i++) peer.data(1, Buffer.alloc(16_384));
    } else {
      act(peer);
    }
    sim.clock.settle();
    assert.equal(peer.resetOf(1), errorCode, what);
    assert.equal(sim.server.streamCount, 0, what);
    peer.call(101, '/test.S/Echo', 'alive');
    sim.clock.settle();
    assert.deepEqual(peer.messages(101), ['alive'], what);
    assert.equal(peer.goaway(), null, what);
  }
});

test('frames that are to be ignored are ignored', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.call(1, '/test.S/Echo', 'a');
  sim.clock.settle();
  peer.frame(0x42, 0xff, 0, Buffer.from('unknown'));
  peer.frame(FrameType.PRIORITY, 0, 77, Buffer.from([0, 0, 0, 1, 0]));
  peer.windowUpdate(1, 5);
  peer.reset(1, ErrorCode.CANCEL);
  peer.settings([[0x99, 1]]);
  peer.frame(FrameType.GOAWAY, 0, 0, Buffer.alloc(8));
  peer.call(3, '/test.S/Echo', 'b');
  sim.clock.settle();
  assert.deepEqual(peer.messages(3), ['b']);
});

test('frames of a stream that was reset by us are ignored, its header blocks decoded all the same', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.headers(1, [...GET, ['X-Bad', 'a']]);
  sim.clock.settle();
  assert.equal(peer.resetOf(1), ErrorCode.PROTOCOL_ERROR);
  peer.data(1, 'late');
  // Puts a field into the table that the next request refers to.
  peer.headers(1, [['x-later', 'value']], true);
  peer.headers(3, [...GET, ['x-later', 'value']], true);
  sim.clock.settle();
  assert.equal(peer.trailers(3)[':status'], '200');
  assert.equal(peer.goaway(), null);
});

test('padding is not part of the body and counts for the window', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/test.S/Echo'));
  const message = grpcMessage('padded');
  peer.frame(
    FrameType.DATA,
    Flag.PADDED | Flag.END_STREAM,
    1,
    Buffer.concat([Buffer.from([4]), message, Buffer.alloc(4)]),
  );
  sim.clock.settle();
  assert.deepEqual(peer.messages(1), ['padded']);
});

test('requests give the same answers however the bytes are cut', () => {
  const answers = (nextChunkBytes: () => number): unknown => {
    const sim = newServer();
    const peer = sim.connect({ nextChunkBytes });
    peer.call(1, '/test.S/Echo', 'x'.repeat(300));
    peer.headers(3, GET, true);
    peer.headers(5, grpcRequest('/test.S/Bidi'));
    peer.data(5, grpcMessage('one'));
    peer.data(
      5,
      Buffer.concat([grpcMessage('two'), grpcMessage(''), grpcMessage('y'.repeat(20_000)).subarray(0, 9000)]),
    );
    peer.data(5, grpcMessage('y'.repeat(20_000)).subarray(9000), true);
    peer.frame(FrameType.HEADERS, 0, 7, peer.block(grpcRequest('/test.S/Nope')).subarray(0));
    peer.frame(FrameType.CONTINUATION, 0, 7);
    peer.frame(FrameType.CONTINUATION, Flag.END_HEADERS, 7);
    for (let i = 0; i < 30; i++) sim.clock.settle();
    assert.equal(sim.server.streamCount, 0);
    return [1, 3, 5, 7].map((id) => [peer.body(id).toString('latin1'), peer.trailers(id)]);
  };
  const whole = answers(() => 1_000_000);
  assert.deepEqual(
    answers(() => 1),
    whole,
  );
  fc.assert(
    fc.property(fc.infiniteStream(fc.integer({ min: 1, max: 70 })), (sizes) => {
      assert.deepEqual(
        answers(() => sizes.next().value),
        whole,
      );
    }),
    { numRuns: 20 },
  );
});

test('answers keep to both windows, and go on when they grow', () => {
  const sim = newServer();
  const peer = sim.connect({ noPreface: true });
  peer.preface([[Setting.INITIAL_WINDOW_SIZE, 10]]);
  peer.call(1, '/test.S/Echo', 'x'.repeat(95));
  sim.clock.settle();
  assert.equal(peer.body(1).length, 10);
  peer.windowUpdate(1, 1);
  sim.clock.settle();
  assert.equal(peer.body(1).length, 11);
  // A smaller initial window makes the stream's negative; it must come back above zero first.
  peer.settings([[Setting.INITIAL_WINDOW_SIZE, 0]]);
  peer.windowUpdate(1, 9);
  sim.clock.settle();
  assert.equal(peer.body(1).length, 11);
  peer.windowUpdate(1, 6);
  sim.clock.settle();
  assert.equal(peer.body(1).length, 16);
  peer.settings([[Setting.INITIAL_WINDOW_SIZE, 1000]]);
  sim.clock.settle();
  assert.equal(peer.body(1).length, 100);
  assert.equal(peer.trailers(1)['grpc-status'], '0');
});

test('the connection window holds for all streams together, which take turns', () => {
  const sim = newServer();
  const peer = sim.connect({ noPreface: true });
  peer.preface([[Setting.INITIAL_WINDOW_SIZE, 1_000_000]]);
  const body = Buffer.alloc(100_000, 'a');
  for (const id of [1, 3, 5]) {
    peer.headers(id, grpcRequest('/test.S/Echo'));
    const message = grpcMessage(body);
    for (let at = 0; at < message.length; at += 16_000) {
      peer.data(id, message.subarray(at, at + 16_000), at + 16_000 >= message.length);
    }
  }
  sim.clock.settle();
  assert.equal(peer.body(1).length + peer.body(3).length + peer.body(5).length, 65_535);
  assert.ok(peer.body(5).length > 0, 'the last stream gets its share');
  peer.windowUpdate(0, 1_000_000);
  sim.clock.settle();
  for (const id of [1, 3, 5]) {
    assert.equal(peer.body(id).length, 100_005);
    assert.equal(peer.trailers(id)['grpc-status'], '0');
  }
});

test('frames are no larger than the peer allows', () => {
  const sim = newServer();
  const peer = sim.connect({ noPreface: true });
  peer.preface([
    [Setting.INITIAL_WINDOW_SIZE, 1_000_000],
    [Setting.MAX_FRAME_SIZE, 20_000],
  ]);
  peer.windowUpdate(0, 1_000_000);
  peer.headers(1, grpcRequest('/test.S/Echo'));
  for (let i = 0; i < 10; i++)
    peer.data(1, grpcMessage(Buffer.alloc(100_000)).subarray(i * 10_001, (i + 1) * 10_001), i === 9);
  sim.clock.settle();
  const sizes = peer
    .ofStream(1)
    .filter((each) => each.type === FrameType.DATA)
    .map((each) => each.payload.length);
  assert.equal(Math.max(...sizes), 20_000);
  assert.equal(peer.body(1).length, 100_005);
});

test('a peer that keeps sending gets a growing window', () => {
  const sim = newServer();
  sim.echoStreams = false;
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/test.S/Bidi'));
  let granted = 262_144;
  for (let sent = 0; sent < 8_000_000; sent += 16_000) {
    peer.data(1, grpcMessage(Buffer.alloc(15_995)));
    granted -= 16_000;
    sim.clock.settle();
    granted += peer.frames.splice(0).reduce((sum, each) => {
      if (each.type !== FrameType.WINDOW_UPDATE || each.streamId !== 1) return sum;
      return sum + each.payload.readUInt32BE(0);
    }, 0);
    assert.ok(granted > 0);
  }
  assert.ok(granted > 2_000_000, `the window has grown to ${granted}`);
  assert.equal(sim.receivers[0]?.messages.length, 500);
});

test('more streams than allowed are refused, and only those', () => {
  const sim = newServer({ limits: { maxConcurrentStreams: 2 } });
  const peer = sim.connect();
  for (const id of [1, 3, 5]) peer.call(id, '/test.S/Later');
  sim.clock.settle();
  assert.deepEqual([peer.resetOf(1), peer.resetOf(3), peer.resetOf(5)], [-1, -1, ErrorCode.REFUSED_STREAM]);
  sim.pending[0]!.respond(Buffer.from('x'));
  peer.call(7, '/test.S/Echo', 'room');
  sim.clock.settle();
  assert.deepEqual(peer.messages(7), ['room']);
});

test('drain: notice first, then refusal, then the end when the last stream has ended', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.call(1, '/test.S/Later');
  sim.clock.settle();
  let isDrained = false;
  sim.server.drain(() => {
    isDrained = true;
  });
  sim.clock.settle();
  assert.deepEqual(peer.goaway(), { lastStreamId: 0x7fff_ffff, errorCode: 0, text: 'graceful_stop' });
  // Still on its way when the notice was sent.
  peer.call(3, '/test.S/Echo', 'in time');
  sim.clock.settle();
  assert.deepEqual(peer.messages(3), ['in time']);
  const ping = peer.ofType(FrameType.PING).at(-1)!;
  peer.frame(FrameType.PING, Flag.ACK, 0, ping.payload);
  sim.clock.settle();
  assert.equal(peer.goaway()?.lastStreamId, 3);
  peer.call(5, '/test.S/Echo', 'too late');
  sim.clock.settle();
  assert.equal(peer.resetOf(5), ErrorCode.REFUSED_STREAM);
  assert.equal(isDrained, false);
  sim.pending[0]!.respond(Buffer.from('last'));
  sim.clock.advance(1100);
  assert.deepEqual(peer.messages(1), ['last']);
  assert.ok(peer.hasEnded);
  assert.equal(isDrained, true);
});

test('drain: without an answer to the ping it goes on after a while, and large answers are sent to their end', () => {
  const sim = newServer();
  const peer = sim.connect({ capacityBytes: 1000 });
  peer.windowUpdate(0, 1_000_000);
  peer.settings([[Setting.INITIAL_WINDOW_SIZE, 1_000_000]]);
  peer.call(1, '/test.S/Later');
  sim.clock.settle();
  sim.server.drain(() => {});
  sim.clock.advance(6000);
  assert.equal(peer.goaway()?.lastStreamId, 1);
  peer.pause();
  sim.pending[0]!.respondChunks([Buffer.alloc(300_000)], 300_000);
  sim.clock.advance(10_000);
  assert.equal(sim.server.connectionCount, 1);
  peer.resume();
  sim.clock.advance(2000);
  assert.equal(peer.body(1).length, 300_005);
  assert.equal(peer.trailers(1)['grpc-status'], '0');
  assert.equal(sim.server.connectionCount, 0);
});

test('a client that goes away ends its streams, and the connection', () => {
  for (const leave of [(peer: RawPeer) => peer.end(), (peer: RawPeer) => peer.destroy()]) {
    const sim = newServer();
    const peer = sim.connect();
    peer.call(1, '/test.S/Later');
    peer.headers(3, grpcRequest('/test.S/Bidi'));
    sim.clock.settle();
    leave(peer);
    sim.clock.advance(2000);
    assert.deepEqual(
      sim.receivers.map((each) => each.cancelCount),
      [1, 1],
    );
    assert.equal(sim.server.connectionCount, 0);
    sim.pending[0]!.respond(Buffer.from('nobody is there'));
    sim.clock.settle();
  }
});
