/** Connections to a server, as an ordinary gRPC client makes them. */
import { connect } from 'node:net';
import { NodeClock } from '@etcd/base/node';
import { GrpcChannel, socketDuplex, type UnaryCallback } from '@etcd/transport';

const MAX_ANSWER_BYTES = 512 * 1024 * 1024;

const clock = new NodeClock();

/** A connection to `target`, `host:port`. Resolves when the server has answered. */
export function openChannel(target: string): Promise<GrpcChannel> {
  const colon = target.lastIndexOf(':');
  return new Promise((resolve, reject) => {
    const socket = connect(Number(target.slice(colon + 1)), target.slice(0, colon));
    const channel: GrpcChannel = new GrpcChannel(socketDuplex(socket), {
      clock,
      authority: target,
      maxReceiveMessageBytes: MAX_ANSWER_BYTES,
      onReady: () => resolve(channel),
      onClosed: (reason) => reject(new Error(`${target}: ${reason}`)),
    });
  });
}

/** Connections spread over the targets, in turn. */
export function openChannels(targets: readonly string[], count: number): Promise<GrpcChannel[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => openChannel(targets[i % targets.length]!)));
}

/** A unary call as a promise of the answer's bytes. */
export function callOnce(
  channel: GrpcChannel,
  path: string,
  request: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const done: UnaryCallback = (code, message, bytes, start, end) => {
      if (code === 0) resolve(bytes.subarray(start, end));
      else reject(new Error(`${path}: code ${code}: ${message}`));
    };
    channel.unary(path, request, done, { timeoutMs });
  });
}
