import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type Clock, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { SimClock } from '@etcd/testing';
import { GrpcChannel, GrpcServer, memoryDuplexPair, socketDuplex, UNKNOWN_CONNECTION } from '@etcd/transport';
import { startTracing, type Tracing } from './index.ts';

function tracing(address: string, clock: Clock = new NodeClock()): Tracing {
  return startTracing({
    config: { address, serviceName: 'svc', instanceId: 'inst', samplesPerMillion: 1_000_000 },
    clock,
    logger: SILENT_LOGGER,
    random: new SeededRandom(1),
  });
}

/** Makes `count` calls of a server in memory, all of which are followed. */
function callTraced(traced: Tracing, count: number): GrpcServer {
  const clock = new SimClock();
  const server = new GrpcServer({ clock });
  server.unary('/test.S/Echo', (call, bytes, start, end) => call.respond(bytes, start, end));
  traced.observe(server);
  const [theirs, ours] = memoryDuplexPair({ clock });
  server.accept(ours, UNKNOWN_CONNECTION);
  const channel = new GrpcChannel(theirs, { clock, authority: 'test' });
  let answered = 0;
  for (let i = 0; i < count; i++) {
    channel.unary('/test.S/Echo', new Uint8Array(), () => answered++);
    clock.settle();
  }
  assert.equal(answered, count);
  return server;
}

async function listen(onSocket: (socket: net.Socket) => void): Promise<net.Server> {
  const server = net.createServer(onSocket).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

const addressOf = (server: net.Server): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;

test('S19 an address that is none ends the start', () => {
  assert.throws(() => tracing('http://c:4317'), {
    name: 'MemberStartError',
    message: '--distributed-tracing-address: "http://c:4317" is not the address of a collector, host:port',
  });
});

test('spans that wait are sent when the member stops, with its names', async () => {
  const clock = new NodeClock();
  const collector = new GrpcServer({ clock });
  const received: string[] = [];
  collector.unary(
    '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    (call, bytes, start, end) => {
      received.push(Buffer.from(bytes.subarray(start, end)).toString('latin1'));
      call.respond(new Uint8Array());
    },
  );
  const listener = await listen((socket) => collector.accept(socketDuplex(socket), UNKNOWN_CONNECTION));
  const traced = tracing(addressOf(listener));
  callTraced(traced, 3);
  await traced.stop();
  assert.equal(received.length, 1);
  for (const text of ['service.name', 'svc', 'service.instance.id', 'inst', 'test.S/Echo'])
    assert.ok(received[0]!.includes(text), text);
  assert.equal(received[0]!.split('rpc.response.status_code').length, 4);
  collector.close();
  listener.close();
});

test('S20 a collector that is not there holds up neither calls nor the stop, however many spans there are', async () => {
  const listener = await listen(() => {});
  const address = addressOf(listener);
  listener.close();
  await once(listener, 'close');
  const traced = tracing(address);
  callTraced(traced, 5000);
  await traced.stop();
});

test('S20 a collector that takes the connection and never answers is not waited for', async () => {
  const sockets: net.Socket[] = [];
  const connected = Promise.withResolvers<void>();
  const listener = await listen((socket) => {
    sockets.push(socket.on('error', () => {}));
    connected.resolve();
  });
  const traced = tracing(addressOf(listener));
  callTraced(traced, 10);
  const stopped = traced.stop();
  await connected.promise;
  await stopped;
  for (const socket of sockets) socket.destroy();
  listener.close();
});

test('who follows calls already goes on doing so', () => {
  const clock = new SimClock();
  const server = new GrpcServer({ clock });
  server.unary('/test.S/Echo', (call, bytes, start, end) => call.respond(bytes, start, end));
  const [method] = [...server.methods];
  const ended: number[] = [];
  method!.observer = { begin: () => ({ onEnd: (code) => void ended.push(code) }) };
  tracing('127.0.0.1:1', clock).observe(server);
  const [theirs, ours] = memoryDuplexPair({ clock });
  server.accept(ours, UNKNOWN_CONNECTION);
  new GrpcChannel(theirs, { clock, authority: 'test' }).unary('/test.S/Echo', new Uint8Array(), () => {});
  clock.settle();
  assert.deepEqual(ended, [0]);
});
