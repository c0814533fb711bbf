import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrpcCode } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { Duplex } from '../duplex/duplex.ts';
import { memoryDuplexPair } from '../duplex/memory-duplex.ts';
import { FrameType, Setting } from '../http2/protocol.ts';
import { grpcRequest, RawPeer } from '../testing/raw-peer.ts';
import { SimServer } from '../testing/sim-server.ts';
import { GrpcServer } from './grpc-server.ts';
import type { ServerCall } from './server-call.ts';

const ECHO = '/test.S/Echo';

test('later answers of a connection begin and end with blocks of two bytes and one', () => {
  const sim = new SimServer(new SimClock());
  const peer = sim.connect();
  for (const id of [1, 3, 5]) peer.call(id, ECHO, 'x');
  sim.clock.settle();
  const sizes = peer.ofStream(5).map((each) => each.payload.length);
  assert.deepEqual(sizes, [2, 6, 1]);
  assert.equal(peer.trailers(5)['grpc-status'], '0');
});

test('a peer without a header table gets plain blocks', () => {
  const sim = new SimServer(new SimClock());
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

test('small messages of one turn share a DATA frame, those of different streams do not', () => {
  const sim = new SimServer(new SimClock());
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
      writesParts: ours.writesParts,
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

test('counters of a method: started, handled by code, messages', () => {
  const sim = new SimServer(new SimClock());
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

test('whoever follows the calls of a method hears of each once, when it is over', () => {
  const sim = new SimServer(new SimClock());
  const peer = sim.connect();
  const method = [...sim.server.methods].find(({ path }) => path === ECHO)!;
  const ended: (readonly [code: number, message: string])[] = [];
  let begun = 0;
  method.observer = {
    // The second one is not followed.
    begin: () => (++begun === 2 ? null : { onEnd: (code, message) => void ended.push([code, message]) }),
  };
  for (const id of [1, 3, 5]) peer.call(id, ECHO, 'x');
  sim.clock.settle();
  assert.equal(begun, 3);
  assert.deepEqual(ended, [
    [GrpcCode.OK, ''],
    [GrpcCode.OK, ''],
  ]);
  const later = [...sim.server.methods].find(({ path }) => path === '/test.S/Later')!;
  later.observer = method.observer;
  peer.call(7, '/test.S/Later', 'x');
  sim.clock.settle();
  sim.pending[0]!.fail(GrpcCode.NotFound, 'no such thing');
  sim.clock.settle();
  assert.deepEqual(ended.slice(2), [[GrpcCode.NotFound, 'no such thing']]);
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
