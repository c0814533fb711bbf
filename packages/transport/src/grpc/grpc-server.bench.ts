/**
 * Nanoseconds per unary request inside the process, without sockets: chunks of ten requests each are handed
 * to a server, whose answers are dropped. What is left of the cost of a request is the kernel's and Node's.
 *
 *   node packages/transport/src/grpc/grpc-server.bench.ts
 */
import type { Clock } from '@etcd/base';
import type { Duplex, DuplexReceiver } from '../duplex/duplex.ts';
import { HpackEncoder, Indexing } from '../hpack/hpack-encoder.ts';
import { CLIENT_PREFACE, FrameType } from '../http2/protocol.ts';
import { frame, grpcMessage, grpcRequest } from '../testing/raw-peer.ts';
import { GrpcServer } from './grpc-server.ts';
import type { ServerCall } from './server-call.ts';

const CONNECTIONS = 100;
const REQUESTS_PER_CHUNK = 10;
const TURNS = 300;
const ROUNDS = 10;

const deferred: (() => void)[] = [];
const clock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer: () => ({ cancel: () => {} }),
  defer: (callback) => deferred.push(callback),
};

/** Takes whatever is written. */
class Sink implements Duplex {
  readonly pendingBytes = 0;
  readonly writesParts = true;
  receiver: DuplexReceiver | null = null;
  byteCount = 0;

  open(receiver: DuplexReceiver): void {
    this.receiver = receiver;
  }

  write(parts: readonly Uint8Array[]): void {
    for (const part of parts) this.byteCount += part.length;
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

function settle(): void {
  for (const callback of deferred.splice(0)) callback();
}

/** One chunk per turn, for a connection of its own. */
function chunks(timeout: (i: number) => string | null): Buffer[] {
  const encoder = new HpackEncoder();
  const body = grpcMessage(Buffer.alloc(270));
  let id = 1;
  return Array.from({ length: TURNS * ROUNDS }, () => {
    const parts: Buffer[] = [];
    for (let i = 0; i < REQUESTS_PER_CHUNK; i++, id += 2) {
      encoder.begin();
      for (const [name, value] of grpcRequest('/etcdserverpb.KV/Put'))
        encoder.add(name, value, Indexing.INCREMENTAL);
      const text = timeout(id);
      if (text !== null) encoder.add('grpc-timeout', text, Indexing.INCREMENTAL);
      parts.push(frame(FrameType.HEADERS, 4, id, encoder.finish()), frame(FrameType.DATA, 1, id, body));
    }
    return Buffer.concat(parts);
  });
}

function measure(name: string, input: readonly Buffer[], answer: (calls: ServerCall[]) => void): void {
  const server = new GrpcServer({ clock });
  const calls: ServerCall[] = [];
  const reply = Buffer.alloc(28);
  server.unary('/etcdserverpb.KV/Put', (call) => calls.push(call));
  const sinks = Array.from({ length: CONNECTIONS }, () => new Sink());
  for (const sink of sinks) {
    server.accept(sink);
    sink.receiver!.onData(Buffer.concat([Buffer.from(CLIENT_PREFACE), frame(FrameType.SETTINGS, 0, 0)]));
    sink.receiver!.onData(frame(FrameType.WINDOW_UPDATE, 0, 0, Buffer.from([0x7f, 0, 0, 0])));
  }
  settle();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    for (let turn = 0; turn < TURNS; turn++) {
      const chunk = input[round * TURNS + turn]!;
      for (const sink of sinks) sink.receiver!.onData(chunk);
      answer(calls);
      for (const call of calls) call.respond(reply);
      calls.length = 0;
      settle();
    }
    const requests = TURNS * CONNECTIONS * REQUESTS_PER_CHUNK;
    best = Math.min(best, ((performance.now() - startMs) * 1e6) / requests);
  }
  process.stdout.write(`${name.padEnd(30)} ${best.toFixed(0)} ns\n`);
}

measure(
  'no timeout',
  chunks(() => null),
  () => {},
);
measure(
  'the same timeout',
  chunks(() => '5S'),
  () => {},
);
measure(
  'another timeout every time',
  chunks((i) => `${4_000_000 + (i % 900_000)}u`),
  () => {},
);
