import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { GrpcCode } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { memoryDuplexPair } from '../duplex/memory-duplex.ts';
import { FrameType } from '../http2/protocol.ts';
import { type Fields, grpcMessage, grpcRequest, RawPeer } from '../testing/raw-peer.ts';
import { SimServer } from '../testing/sim-server.ts';
import { GrpcServer } from './grpc-server.ts';
import type { ServerCall } from './server-call.ts';

const ECHO = '/test.S/Echo';

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
    const sim = new SimServer(new SimClock());
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
  const sim = new SimServer(new SimClock(), { maxReceiveMessageBytes: 1000 });
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
  const sim = new SimServer(new SimClock(), { maxReceiveMessageBytes: 100_000 });
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

test('a paused stream stops its sender, loses nothing, and goes on in order', () => {
  const sim = new SimServer(new SimClock());
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
