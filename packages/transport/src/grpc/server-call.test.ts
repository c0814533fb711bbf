import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrpcCode } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { Body } from '../http2/body.ts';
import { ErrorCode, Flag, FrameType, Setting } from '../http2/protocol.ts';
import { type Fields, grpcMessage, grpcRequest } from '../testing/raw-peer.ts';
import { SimServer } from '../testing/sim-server.ts';
import type { ServerCall } from './server-call.ts';

const ECHO = '/test.S/Echo';

test('a unary call: headers, one message, trailers', () => {
  const sim = new SimServer(new SimClock());
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

test('an answer above the send limit fails instead', () => {
  const sim = new SimServer(new SimClock(), { maxSendMessageBytes: 10 });
  const peer = sim.connect();
  peer.call(1, ECHO, 'x'.repeat(11));
  peer.call(3, '/test.S/List', 'x'.repeat(11));
  sim.clock.settle();
  assert.equal(peer.trailers(1)['grpc-message'], 'grpc: trying to send message larger than max (11 vs. 10)');
  assert.equal(peer.trailers(3)['grpc-message'], 'trying to send message larger than max (11 vs. 10)');
});

test('errors: trailers alone, the message percent-encoded, metadata with them', () => {
  const sim = new SimServer(new SimClock());
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
  const sim = new SimServer(new SimClock());
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
  const sim = new SimServer(new SimClock());
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
  const sim = new SimServer(new SimClock());
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
  const sim = new SimServer(new SimClock());
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

test('the deadline of the client cancels the call, no earlier than it is due and little later', () => {
  for (const [timeout, timeoutMs] of [
    ['100m', 100],
    ['3S', 3000],
    ['7M', 420_000],
  ] as const) {
    const sim = new SimServer(new SimClock());
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
  const sim = new SimServer(new SimClock());
  const peer = sim.connect();
  for (let id = 1; id < 100; id += 2) peer.call(id, ECHO, 'x', [['grpc-timeout', `${id}m`]]);
  peer.headers(101, grpcRequest('/test.S/Bidi', [['grpc-timeout', '99999999H']]));
  sim.clock.settle();
  sim.clock.advance(1000);
  assert.equal(peer.frames.filter((each) => each.type === FrameType.RST_STREAM).length, 0);
  assert.equal(sim.streams[0]!.isAlive, true);
});

test('a reset by the client cancels the call once, and late answers go nowhere', () => {
  const sim = new SimServer(new SimClock());
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

test('a message that leaves while it is made is as long as was said, unless its client has gone or it is too long', () => {
  const sim = new SimServer(new SimClock(), { maxSendMessageBytes: 1_000_000 });
  const peer = sim.connect();
  for (const id of [1, 3, 5]) peer.call(id, '/test.S/Later');
  sim.clock.settle();
  const [here, gone, long] = sim.pending;
  const half = Buffer.alloc(200_000);
  const begin = (call: ServerCall, length: number): Body => {
    const body = call.openBody(length);
    body.append(half, 0, half.length);
    return body;
  };
  assert.throws(() => here!.closeAnswer(begin(here!, 400_000)), /not as long as was said/);
  const body = begin(gone!, 400_000);
  peer.reset(3, ErrorCode.CANCEL);
  sim.clock.settle();
  assert.equal(gone!.isCancelled, true);
  gone!.closeAnswer(body);
  long!.closeAnswer(begin(long!, 1_000_001));
  sim.clock.settle();
  assert.match(peer.trailers(5)['grpc-message']!, /larger than max/);
});

test('a unary call is answered once: what comes second is ignored', () => {
  const sim = new SimServer(new SimClock());
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
  const sim = new SimServer(new SimClock());
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

test('an answer is held back until its client takes it, or is gone, and whoever follows the call is told', () => {
  for (const [frame, code] of [
    ['update', GrpcCode.OK],
    ['reset', GrpcCode.Canceled],
  ] as const) {
    const sim = new SimServer(new SimClock());
    const peer = sim.connect({ noPreface: true });
    peer.preface([[Setting.INITIAL_WINDOW_SIZE, 0]]);
    peer.call(1, '/test.S/Later');
    sim.clock.settle();
    const call = sim.pending[0]!;
    const codes: number[] = [];
    call.trace = { onEnd: (ended) => void codes.push(ended) };
    assert.equal(call.isHeldBack, false, 'there is no answer yet');
    call.respond(Buffer.alloc(100));
    sim.clock.settle();
    assert.equal(call.isHeldBack, true);
    assert.deepEqual(codes, []);
    if (frame === 'update') peer.windowUpdate(1, 1000);
    else peer.reset(1, ErrorCode.CANCEL);
    sim.clock.settle();
    assert.equal(call.isHeldBack, false);
    assert.deepEqual(codes, [code]);
  }
});

test('writers are told when to wait and when to go on', () => {
  const sim = new SimServer(new SimClock());
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
