import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { GrpcCode } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { Duplex } from '../duplex/duplex.ts';
import { memoryDuplexPair } from '../duplex/memory-duplex.ts';
import { ErrorCode, Flag, FrameType, Setting } from '../http2/protocol.ts';
import { type Fields, grpcMessage, grpcRequest, RawPeer } from '../testing/raw-peer.ts';
import { SimServer } from '../testing/sim-server.ts';
import { GrpcServer } from './grpc-server.ts';
import type { ServerCall } from './server-call.ts';

function newServer(options: ConstructorParameters<typeof SimServer>[1] = {}): SimServer {
  return new SimServer(new SimClock(), options);
}

function replace(fields: Fields, name: string, value: string | null): Fields {
  return fields.flatMap(([n, v]) =>
    n !== name ? [[n, v] as const] : value === null ? [] : [[n, value] as const],
  );
}

const ECHO = '/test.S/Echo';

test('a unary call: headers, one message, trailers', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.call(1, ECHO, 'hello');
  sim.clock.settle();
  const [headers, data, trailers] = peer.ofStream(1);
  assert.deepEqual(headers?.fields, { ':status': '200', 'content-type': 'application/grpc' });
  assert.deepEqual(data?.payload, grpcMessage('hello'));
  assert.deepEqual(trailers?.fields, { 'grpc-status': '0' });
  assert.equal(trailers?.flags, Flag.END_STREAM | Flag.END_HEADERS);
  assert.equal(peer.ofStream(1).length, 3);
});

test('later answers of a connection begin and end with blocks of two bytes and one', () => {
  const sim = newServer();
  const peer = sim.connect();
  for (const id of [1, 3, 5]) peer.call(id, ECHO, 'x');
  sim.clock.settle();
  const sizes = peer.ofStream(5).map((each) => each.payload.length);
  assert.deepEqual(sizes, [2, 6, 1]);
  assert.equal(peer.trailers(5)['grpc-status'], '0');
});

test('a peer without a header table gets plain blocks', () => {
  const sim = newServer();
  const peer = sim.connect({ noPreface: true });
  peer.preface([[Setting.HEADER_TABLE_SIZE, 0]]);
  for (const id of [1, 3, 5]) peer.call(id, ECHO, 'x');
  sim.clock.settle();
  assert.equal(peer.ofStream(5)[0]?.fields['content-type'], 'application/grpc');
  assert.equal(peer.trailers(5)['grpc-status'], '0');
  // The change of the table's size is said once, in the first block.
  const firstBytes = [1, 3, 5].map((id) => peer.ofStream(id)[0]?.payload[0]);
  assert.deepEqual(firstBytes, [0x20, 0x88, 0x88]);
});

/** What grpc-go answers (1.82, as in etcd 3.7): HTTP status, code, text. */
const REFUSALS: readonly [string, Fields, string, number, string][] = [
  [
    'no content-type',
    replace(grpcRequest(ECHO), 'content-type', null),
    '415',
    3,
    'invalid gRPC request content-type ""',
  ],
  [
    'another content-type',
    replace(grpcRequest(ECHO), 'content-type', 'application/json'),
    '415',
    3,
    'invalid gRPC request content-type "application/json"',
  ],
  [
    'an odd content-type',
    replace(grpcRequest(ECHO), 'content-type', 'a"b\t\xfc'),
    '415',
    3,
    'invalid gRPC request content-type "a\\"b\\t\\xfc"',
  ],
  [
    'GET',
    replace(grpcRequest(ECHO), ':method', 'GET'),
    '405',
    13,
    'Received a HEADERS frame with :method "GET" which should be POST',
  ],
  ['an unknown service', grpcRequest('/x.Y/Foo'), '200', 12, 'unknown service x.Y'],
  ['an unknown method', grpcRequest('/test.S/Foo'), '200', 12, 'unknown method Foo for service test.S'],
  ['a path of one part', grpcRequest('/x'), '200', 12, 'malformed method name: "/x"'],
  [
    'an unknown compression',
    grpcRequest(ECHO, [['grpc-encoding', 'snappy']]),
    '200',
    12,
    'grpc: Decompressor is not installed for grpc-encoding "snappy"',
  ],
  [
    'a timeout without unit',
    grpcRequest(ECHO, [['grpc-timeout', '5x']]),
    '400',
    13,
    'malformed grpc-timeout: transport: timeout unit is not recognized: "5x"',
  ],
  [
    'a timeout that is no number',
    grpcRequest(ECHO, [['grpc-timeout', 'abcm']]),
    '400',
    13,
    'malformed grpc-timeout: strconv.ParseUint: parsing "abc": invalid syntax',
  ],
  ['no time left', grpcRequest(ECHO, [['grpc-timeout', '0n']]), '200', 4, 'context deadline exceeded'],
  [
    'binary metadata that is not base64',
    grpcRequest(ECHO, [['x-bin', '!!!']]),
    '400',
    13,
    'malformed binary metadata "!!!" in header "x-bin": illegal base64 data at input byte 0',
  ],
  [
    'two hosts',
    grpcRequest(ECHO, [
      ['host', 'a'],
      ['host', 'b'],
    ]),
    '400',
    13,
    'num values of :authority: 1, num values of host: 2, both must only have 1 value as per HTTP/2 spec',
  ],
];

test('requests that are no calls are refused with the statuses and words of grpc-go', () => {
  for (const [what, fields, httpStatus, code, text] of REFUSALS) {
    const sim = newServer();
    const peer = sim.connect();
    peer.headers(1, fields);
    sim.clock.settle();
    const answer = peer.trailers(1);
    assert.equal(answer[':status'], httpStatus, what);
    assert.equal(answer['grpc-status'], String(code), what);
    assert.equal(answer['grpc-message'], text, what);
    // The body that may come is not waited for.
    assert.equal(peer.resetOf(1), ErrorCode.NO_ERROR, what);
    assert.equal(sim.server.streamCount, 0, what);
  }
});

test('a refusal because of compression names what is understood', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.headers(1, grpcRequest(ECHO, [['grpc-encoding', 'snappy']]), true);
  sim.clock.settle();
  assert.equal(peer.trailers(1)['grpc-accept-encoding'], 'gzip');
});

test('S10 no odd spelling of a path reaches a handler, or an ordinary request that belongs to a method', () => {
  const odd = [
    'test.S/Echo',
    '//test.S/Echo',
    '/test.S//Echo',
    '/test.S/Echo/',
    '/./test.S/Echo',
    '/test.S/../test.S/Echo',
    '/test.S/%45cho',
    '/test.S%2fEcho',
    '/TEST.S/ECHO',
    '/test.s/echo',
    '/test.S/Echo?x=1',
    '/test.S/Echo#x',
    '/test.S/Echo ',
    ' /test.S/Echo',
    '\\test.S\\Echo',
    'http://test/test.S/Echo',
    '*',
  ];
  for (const path of odd) {
    const sim = newServer();
    const peer = sim.connect();
    peer.call(1, path, 'x');
    sim.clock.settle();
    assert.equal(peer.trailers(1)['grpc-status'], '12', path);
    assert.equal(peer.body(1).length, 0, path);
  }
  // Where ordinary requests are served too, a method's path is never one of them.
  const requests: string[] = [];
  const sim = newServer({
    onRequest: (exchange) => {
      requests.push(exchange.path);
      exchange.respond(200, [], Buffer.alloc(0));
    },
  });
  const peer = sim.connect();
  peer.headers(1, replace(grpcRequest(ECHO), 'content-type', 'application/json'), true);
  peer.headers(3, replace(grpcRequest('/v3/kv/range'), 'content-type', 'application/json'), true);
  sim.clock.settle();
  assert.equal(peer.trailers(1)[':status'], '415');
  assert.deepEqual(requests, ['/v3/kv/range']);
});

test('the answer has the content-type of the request', () => {
  const sim = newServer();
  const peer = sim.connect();
  for (const [id, contentType, answer] of [
    [1, 'application/grpc+proto', 'application/grpc+proto'],
    [3, 'application/grpc', 'application/grpc'],
    [5, 'application/grpc;x=1', 'application/grpc+x=1'],
  ] as const) {
    peer.headers(id, replace(grpcRequest(ECHO), 'content-type', contentType));
    peer.data(id, grpcMessage('x'), true);
    sim.clock.settle();
    assert.equal(peer.ofStream(id)[0]?.fields['content-type'], answer);
  }
});

test('messages that are none fail as in grpc-go', () => {
  const half = grpcMessage('abcdef').subarray(0, 8);
  const cases: [string, string, Buffer, number, string][] = [
    [
      'compressed without saying how',
      ECHO,
      grpcMessage('abc', 1),
      13,
      'grpc: compressed flag set with identity or empty encoding',
    ],
    ['an unknown flag', ECHO, grpcMessage('abc', 2), 13, 'grpc: received unexpected payload format 2'],
    ['half a message', ECHO, half, 2, 'unexpected EOF'],
    ['half a message of a stream', '/test.S/List', half, 13, 'unexpected EOF'],
    ['half a prefix', ECHO, half.subarray(0, 3), 2, 'EOF'],
    ['nothing', ECHO, Buffer.alloc(0), 2, 'EOF'],
    [
      'nothing for a server stream',
      '/test.S/List',
      Buffer.alloc(0),
      13,
      'cardinality violation: received no request message from non-client-streaming RPC',
    ],
    [
      'two messages for a server stream',
      '/test.S/List',
      Buffer.concat([grpcMessage('a'), grpcMessage('b')]),
      13,
      'cardinality violation: received multiple request messages for non-client-streaming RPC',
    ],
  ];
  for (const [what, path, body, code, text] of cases) {
    const sim = newServer();
    const peer = sim.connect();
    peer.headers(1, grpcRequest(path));
    peer.data(1, body, true);
    sim.clock.settle();
    assert.equal(peer.trailers(1)['grpc-status'], String(code), what);
    assert.equal(peer.trailers(1)['grpc-message'], text, what);
    assert.equal(sim.server.streamCount, 0, what);
  }
});

test('S18 messages above the limit are refused by their prefix, before their bytes', () => {
  const sim = newServer({ maxReceiveMessageBytes: 1000 });
  const peer = sim.connect();
  peer.headers(1, grpcRequest(ECHO));
  peer.data(1, Buffer.from([0, 0x7f, 0, 0, 0]));
  peer.call(3, ECHO, 'x'.repeat(1000));
  peer.call(5, ECHO, 'x'.repeat(1001));
  sim.clock.settle();
  assert.equal(
    peer.trailers(1)['grpc-message'],
    'grpc: received message larger than max (2130706432 vs. 1000)',
  );
  assert.equal(peer.trailers(3)['grpc-status'], '0');
  assert.equal(peer.trailers(5)['grpc-status'], String(GrpcCode.ResourceExhausted));
});

test('gzip messages are understood, and bounded by what they expand to', () => {
  const sim = newServer({ maxReceiveMessageBytes: 100_000 });
  const peer = sim.connect();
  const gzip: Fields = [['grpc-encoding', 'gzip']];
  const send = (id: number, body: Buffer, flag = 1): void => {
    peer.headers(id, grpcRequest(ECHO, gzip));
    peer.data(id, grpcMessage(body, flag), true);
  };
  send(1, gzipSync('hello'));
  send(3, Buffer.from('plain, though gzip was announced'), 0);
  send(5, gzipSync(Buffer.alloc(100_000_000)).subarray(0, 16_000));
  send(7, gzipSync(Buffer.alloc(100_001)));
  send(9, Buffer.from('no gzip'));
  send(11, gzipSync(Buffer.alloc(100_000)));
  send(13, Buffer.alloc(0));
  sim.clock.settle();
  assert.deepEqual(peer.messages(1), ['hello']);
  assert.equal(peer.messages(3).length, 1);
  for (const id of [5, 7]) {
    assert.equal(peer.trailers(id)['grpc-status'], '8');
    assert.equal(
      peer.trailers(id)['grpc-message'],
      'grpc: received message after decompression larger than max 100000',
    );
  }
  assert.equal(peer.trailers(9)['grpc-status'], '13');
  assert.equal(peer.body(11).length > 10_000, true);
  assert.equal(peer.trailers(13)['grpc-status'], '13');
});

test('an answer above the send limit fails instead', () => {
  const sim = newServer({ maxSendMessageBytes: 10 });
  const peer = sim.connect();
  peer.call(1, ECHO, 'x'.repeat(11));
  peer.call(3, '/test.S/List', 'x'.repeat(11));
  sim.clock.settle();
  assert.equal(peer.trailers(1)['grpc-message'], 'grpc: trying to send message larger than max (11 vs. 10)');
  assert.equal(peer.trailers(3)['grpc-message'], 'trying to send message larger than max (11 vs. 10)');
});

test('errors: trailers alone, the message percent-encoded, metadata with them', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.call(1, '/test.S/Later');
  sim.clock.settle();
  sim.pending[0]!.fail(GrpcCode.NotFound, 'ключ 100%\n', [['x-reason-bin', '\x00\xff']]);
  sim.clock.settle();
  assert.equal(peer.ofStream(1).length, 1);
  assert.deepEqual(peer.trailers(1), {
    ':status': '200',
    'content-type': 'application/grpc',
    'grpc-status': '5',
    'grpc-message': '%D0%BA%D0%BB%D1%8E%D1%87 100%25%0A',
    'x-reason-bin': 'AP8',
  });
});

test('metadata of the client, text and binary, one value or several', () => {
  const sim = newServer();
  const peer = sim.connect();
  const metadata: Fields = [
    ['token', 'secret'],
    ['x-multi', 'a'],
    ['x-multi', 'b'],
    ['x-bin', 'AP8'],
    ['y-bin', 'AP8='],
  ];
  peer.call(1, '/test.S/Later', '', metadata);
  sim.clock.settle();
  const [call] = sim.pending;
  assert.equal(call!.metadata('token'), 'secret');
  assert.equal(call!.metadata('x-bin'), '\x00\xff');
  assert.equal(call!.metadata('y-bin'), '\x00\xff');
  assert.equal(call!.metadata('absent'), null);
  assert.deepEqual(call!.head.values('x-multi'), ['a', 'b']);
  assert.deepEqual(
    call!.allMetadata().map(([name]) => name),
    ['token', 'x-multi', 'x-multi', 'x-bin', 'y-bin'],
  );
});

test('answers in place, in copies and in chunks give the same bytes', () => {
  const sim = newServer();
  sim.server.unary('/test.S/InPlace', (call, bytes, start, end) => {
    const at = call.reserve(end - start);
    for (let i = start; i < end; i++) call.output[at + i - start] = bytes[i]!;
  });
  sim.server.unary('/test.S/Chunks', (call, bytes, start, end) => {
    const middle = (start + end) >> 1;
    call.respondChunks(
      [bytes.subarray(start, middle), new Uint8Array(0), bytes.subarray(middle, end)],
      end - start,
    );
  });
  for (const size of [0, 1, 30, 1000, 16_379, 16_380, 50_000, 400_000]) {
    const peer = sim.connect();
    peer.settings([[Setting.INITIAL_WINDOW_SIZE, 1_000_000]]);
    peer.windowUpdate(0, 2_000_000);
    const body = Buffer.alloc(size, 'abcdefghij');
    for (const [id, path] of [
      [1, ECHO],
      [3, '/test.S/InPlace'],
      [5, '/test.S/Chunks'],
    ] as const) {
      const message = grpcMessage(body);
      peer.headers(id, grpcRequest(path));
      for (let at = 0; at < message.length; at += 16_384) {
        peer.data(id, message.subarray(at, at + 16_384), at + 16_384 >= message.length);
      }
      sim.clock.settle();
      assert.ok(peer.body(id).equals(message), `${path} ${size}`);
      assert.equal(peer.trailers(id)['grpc-status'], '0', `${path} ${size}`);
    }
    peer.destroy();
  }
});

test('every kind of stream: messages both ways, half-close, status', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/test.S/Bidi'));
  peer.data(1, grpcMessage('a'));
  sim.clock.settle();
  assert.deepEqual(peer.messages(1), ['a']);
  peer.data(1, Buffer.concat([grpcMessage('b'), grpcMessage('')]));
  peer.data(1, '', true);
  sim.clock.settle();
  assert.deepEqual(peer.messages(1), ['a', 'b', '']);
  assert.equal(peer.trailers(1)['grpc-status'], '0');

  peer.call(3, '/test.S/List', 'first');
  sim.clock.settle();
  assert.deepEqual(peer.messages(3), ['first']);
  const list = sim.streams.at(-1)!;
  list.write(Buffer.from('second'));
  list.end();
  sim.clock.settle();
  assert.deepEqual(peer.messages(3), ['first', 'second']);
  assert.equal(peer.trailers(3)['grpc-status'], '0');
  assert.equal(sim.server.streamCount, 0);
});

test('a stream can send its headers first, with metadata, and end with trailers', () => {
  const sim = newServer();
  sim.echoStreams = false;
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/test.S/Bidi'));
  sim.clock.settle();
  sim.streams[0]!.sendHeaders([['x-early', 'yes']]);
  sim.clock.settle();
  assert.equal(peer.trailers(1)['x-early'], 'yes');
  sim.streams[0]!.write(Buffer.from('m'));
  sim.streams[0]!.end(GrpcCode.Aborted, 'because', [['x-late', 'too']]);
  sim.clock.settle();
  assert.deepEqual(peer.trailers(1), { 'grpc-status': '10', 'grpc-message': 'because', 'x-late': 'too' });
});

test('small messages of one turn share a DATA frame, those of different streams do not', () => {
  const sim = newServer();
  sim.echoStreams = false;
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/test.S/Bidi'));
  peer.headers(3, grpcRequest('/test.S/Bidi'));
  sim.clock.settle();
  const [a, b] = sim.streams;
  const shared = Buffer.from(' shared body of many streams');
  for (let i = 0; i < 10; i++) a!.writeParts(Buffer.from(`#${i}`), 0, 2, shared);
  b!.write(Buffer.from('other'));
  a!.write(Buffer.from('last'));
  a!.end();
  sim.clock.settle();
  const frames = peer.frames.filter((each) => each.type === FrameType.DATA).map((each) => each.streamId);
  assert.deepEqual(frames, [1, 3, 1]);
  assert.equal(peer.messages(1)[9], '#9 shared body of many streams');
  assert.equal(peer.messages(1)[10], 'last');
  assert.equal(peer.trailers(1)['grpc-status'], '0');
});

test('a thousand answers of one turn are one write per connection', () => {
  const clock = new SimClock();
  let writeCount = 0;
  const server = new GrpcServer({ clock });
  const calls: ServerCall[] = [];
  server.unary('/test.S/Later', (call) => calls.push(call));
  const peers: RawPeer[] = [];
  for (let i = 0; i < 100; i++) {
    const [ours, theirs] = memoryDuplexPair({ clock });
    const counting: Duplex = {
      get pendingBytes() {
        return ours.pendingBytes;
      },
      open: (receiver) => ours.open(receiver),
      write: (parts) => {
        writeCount++;
        ours.write(parts);
      },
      pause: () => ours.pause(),
      resume: () => ours.resume(),
      end: () => ours.end(),
      destroy: () => ours.destroy(),
    };
    server.accept(counting);
    const peer = new RawPeer(theirs);
    peer.preface();
    for (let id = 1; id < 20; id += 2) peer.call(id, '/test.S/Later');
    peers.push(peer);
  }
  clock.settle();
  assert.equal(calls.length, 1000);
  writeCount = 0;
  for (const call of calls) call.respond(Buffer.from('ok'));
  clock.settle();
  assert.equal(writeCount, 100);
  for (const peer of peers) assert.deepEqual(peer.messages(19), ['ok']);
});

test('the deadline of the client cancels the call, no earlier than it is due and little later', () => {
  for (const [timeout, timeoutMs] of [
    ['100m', 100],
    ['3S', 3000],
    ['7M', 420_000],
  ] as const) {
    const sim = newServer();
    const peer = sim.connect();
    peer.call(1, '/test.S/Later', '', [['grpc-timeout', timeout]]);
    sim.clock.settle();
    const call = sim.pending[0]!;
    assert.equal(call.deadlineMs, sim.clock.now() + timeoutMs);
    sim.clock.advance(timeoutMs - 1);
    assert.equal(peer.resetOf(1), -1);
    sim.clock.advance(20);
    assert.equal(peer.resetOf(1), ErrorCode.CANCEL);
    assert.equal(call.isCancelled, true);
    assert.equal(sim.receivers[0]!.cancelCount, 1);
    assert.equal(call.method!.handled[GrpcCode.DeadlineExceeded], 1);
    call.respond(Buffer.from('too late'));
    sim.clock.settle();
    assert.equal(peer.body(1).length, 0);
  }
});

test('a call that is answered has no deadline any more', () => {
  const sim = newServer();
  const peer = sim.connect();
  for (let id = 1; id < 100; id += 2) peer.call(id, ECHO, 'x', [['grpc-timeout', `${id}m`]]);
  peer.headers(101, grpcRequest('/test.S/Bidi', [['grpc-timeout', '99999999H']]));
  sim.clock.settle();
  sim.clock.advance(1000);
  assert.equal(peer.frames.filter((each) => each.type === FrameType.RST_STREAM).length, 0);
  assert.equal(sim.streams[0]!.isAlive, true);
});

test('a reset by the client cancels the call once, and late answers go nowhere', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.call(1, '/test.S/Later');
  peer.headers(3, grpcRequest('/test.S/Bidi'));
  sim.clock.settle();
  peer.reset(1, ErrorCode.CANCEL);
  peer.reset(3, ErrorCode.CANCEL);
  sim.clock.settle();
  assert.deepEqual(
    sim.receivers.map((each) => each.cancelCount),
    [1, 1],
  );
  const before = peer.frames.length;
  const call = sim.pending[0]!;
  call.respond(Buffer.from('x'));
  call.output[call.reserve(100_000)] = 1;
  call.respondChunks([Buffer.from('x')], 1);
  call.fail(2, 'x');
  const stream = sim.streams[0]!;
  assert.equal(stream.write(Buffer.from('x')), false);
  stream.sendHeaders();
  stream.end();
  sim.clock.settle();
  assert.equal(peer.frames.length, before);
});

test('a unary call is answered once: what comes second is ignored', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.call(1, '/test.S/Later');
  sim.clock.settle();
  const call = sim.pending[0]!;
  call.respond(Buffer.from('first'));
  call.respond(Buffer.from('second'));
  call.fail(2, 'third');
  sim.clock.settle();
  assert.deepEqual(peer.messages(1), ['first']);
  assert.equal(peer.ofStream(1).length, 3);
});

test('an answer before the end of the request is complete, and tells the client to stop', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.headers(1, grpcRequest(ECHO));
  peer.data(1, grpcMessage('x'));
  sim.clock.settle();
  assert.deepEqual(peer.messages(1), ['x']);
  assert.equal(peer.resetOf(1), ErrorCode.NO_ERROR);
  // If the end comes in the same turn there is nothing to stop.
  peer.headers(3, grpcRequest(ECHO));
  peer.data(3, grpcMessage('x'));
  peer.data(3, '', true);
  sim.clock.settle();
  assert.equal(peer.resetOf(3), -1);
  assert.equal(sim.server.streamCount, 0);
});

test('writers are told when to wait and when to go on', () => {
  const sim = newServer();
  sim.echoStreams = false;
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/test.S/Bidi'));
  sim.clock.settle();
  const call = sim.streams[0]!;
  const receiver = sim.receivers[0]!;
  const message = Buffer.alloc(1000);
  let written = 0;
  while (call.write(message)) written++;
  // The window of 65,535 and then the high-water mark of 65,536.
  assert.ok(written > 120 && written < 135, `${written}`);
  sim.clock.settle();
  assert.equal(receiver.writableCount, 0);
  peer.windowUpdate(0, 1_000_000);
  sim.clock.settle();
  assert.equal(receiver.writableCount, 0);
  peer.windowUpdate(1, 1_000_000);
  sim.clock.settle();
  assert.equal(receiver.writableCount, 1);
  assert.equal(peer.messages(1).length, written + 1);
  assert.equal(call.write(message), true);
});

test('a paused stream stops its sender, loses nothing, and goes on in order', () => {
  const sim = newServer();
  sim.echoStreams = false;
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/test.S/Bidi'));
  sim.clock.settle();
  const call = sim.streams[0]!;
  const receiver = sim.receivers[0]!;
  call.pause();
  const sent: string[] = [];
  for (let i = 0; i < 20; i++) {
    sent.push(`${i}:`.padEnd(10_000, 'x'));
    peer.data(1, grpcMessage(sent[i]!));
  }
  peer.data(1, '', true);
  sim.clock.settle();
  assert.deepEqual(receiver.messages, []);
  assert.equal(peer.ofStream(1).filter((each) => each.type === FrameType.WINDOW_UPDATE).length, 0);
  call.resume();
  assert.deepEqual(receiver.messages, sent);
  assert.equal(receiver.halfClosedCount, 1);
  call.end();
  sim.clock.settle();
  assert.equal(sim.server.streamCount, 0);
});

test('pausing between two messages of one chunk holds the second', () => {
  const clock = new SimClock();
  const seen: string[] = [];
  const server = new GrpcServer({ clock });
  let open: ServerCall | null = null;
  server.bidi('/test.S/Step', (call) => {
    open = call;
    call.receiver = {
      onMessage: (_call, bytes, start, end) => {
        seen.push(Buffer.from(bytes.subarray(start, end)).toString());
        call.pause();
      },
      onHalfClose: () => seen.push('end'),
    };
  });
  const [ours, theirs] = memoryDuplexPair({ clock });
  server.accept(ours);
  const stepper = new RawPeer(theirs);
  stepper.preface();
  stepper.headers(1, grpcRequest('/test.S/Step'));
  stepper.data(1, Buffer.concat(['a', 'b', 'c'].map((each) => grpcMessage(each))), true);
  clock.settle();
  assert.deepEqual(seen, ['a']);
  for (const expected of [
    ['a', 'b'],
    ['a', 'b', 'c'],
    ['a', 'b', 'c', 'end'],
  ]) {
    open!.resume();
    assert.deepEqual(seen, expected);
  }
});

test('counters of a method: started, handled by code, messages', () => {
  const sim = newServer();
  const peer = sim.connect();
  peer.call(1, ECHO, 'x');
  peer.call(3, ECHO, 'x');
  peer.headers(5, grpcRequest(ECHO), true);
  sim.clock.settle();
  const method = [...sim.server.methods].find((each) => each.path === ECHO)!;
  assert.deepEqual([method.service, method.name], ['test.S', 'Echo']);
  assert.equal(method.started, 3);
  assert.equal(method.messagesReceived, 2);
  assert.equal(method.messagesSent, 2);
  assert.deepEqual([method.bytesReceived, method.bytesSent], [2, 2]);
  assert.equal(method.handled[GrpcCode.OK], 2);
  assert.equal(method.handled[GrpcCode.Unknown], 1);
});

test('ordinary requests: method, path, headers, body; answers whole or in pieces', () => {
  const sim = newServer({
    maxHttpBodyBytes: 1000,
    onRequest: (exchange) => {
      if (exchange.path === '/pieces') {
        exchange.start(200, [['Content-Type', 'text/plain']]);
        exchange.write(Buffer.from('one '));
        exchange.write(Buffer.from('two'));
        exchange.end();
        return;
      }
      const text = `${exchange.method} ${exchange.path} ${exchange.authority} ${exchange.header('x-a')} ${exchange.body.length}`;
      exchange.respond(201, [['x-b', 'c']], Buffer.from(text));
    },
  });
  const peer = sim.connect();
  const request = (method: string, path: string): Fields => [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'test'],
    ['x-a', 'b'],
  ];
  peer.headers(1, request('POST', '/x?y=z'));
  peer.data(1, 'abc');
  peer.data(1, 'def', true);
  peer.headers(3, request('GET', '/pieces'), true);
  peer.headers(5, request('HEAD', '/health'), true);
  peer.headers(7, request('POST', '/large'));
  peer.data(7, Buffer.alloc(1001));
  peer.headers(9, [...request('POST', '/large'), ['content-length', '1001']]);
  peer.headers(11, [...request('PUT', '/wait'), ['expect', '100-continue']]);
  sim.clock.settle();
  assert.equal(peer.body(1).toString(), 'POST /x?y=z test b 6');
  assert.deepEqual(peer.trailers(1), { ':status': '201', 'x-b': 'c', 'content-length': '20' });
  assert.equal(peer.body(3).toString(), 'one two');
  assert.equal(peer.trailers(3)['content-type'], 'text/plain');
  assert.equal(peer.body(5).length, 0);
  assert.equal(peer.trailers(5)['content-length'], '21');
  assert.equal(peer.trailers(7)[':status'], '413');
  assert.equal(peer.resetOf(7), ErrorCode.NO_ERROR);
  assert.equal(peer.trailers(9)[':status'], '413');
  assert.equal(peer.trailers(11)[':status'], '100');
  peer.data(11, 'x', true);
  sim.clock.settle();
  assert.equal(peer.trailers(11)[':status'], '201');
  assert.equal(sim.server.streamCount, 0);
});

test('an ordinary answer that is larger than the window is sent as the client takes it, and its writer waits', () => {
  let waits = 0;
  const sim = newServer({
    onRequest: (exchange) => {
      exchange.start(200, []);
      let left = 100;
      const more = (): void => {
        while (left > 0) {
          left--;
          if (!exchange.write(Buffer.alloc(10_000))) {
            waits++;
            return;
          }
        }
        exchange.end();
      };
      exchange.onWritable = more;
      more();
    },
  });
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/big').slice(0, 4), true);
  for (let received = 0; received < 1_000_000; ) {
    sim.clock.settle();
    const length = peer.body(1).length - received;
    received += length;
    assert.ok(length > 0, 'progress');
    peer.windowUpdate(0, length);
    peer.windowUpdate(1, length);
  }
  sim.clock.settle();
  assert.ok(waits > 5);
  assert.equal(sim.server.streamCount, 0);
});

test('methods must be registered with proper paths, once, and before connections', () => {
  const server = new GrpcServer({ clock: new SimClock() });
  const handler = (): void => {};
  server.unary('/a.B/C', handler);
  for (const path of ['/a.B/C', 'a.B/C', '/a', '/a/', '//a']) {
    assert.throws(() => server.unary(path, handler), { name: 'InvariantError' }, path);
  }
  assert.throws(() => new GrpcServer({ clock: new SimClock(), limits: { streamWindowBytes: 1 } }), {
    name: 'InvariantError',
  });
});
