/** Connections to a server, as an ordinary gRPC client makes them. */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { NodeClock } from '@etcd/base/node';
import { GrpcChannel, socketDuplex, type UnaryCallback } from '@etcd/transport';

const MAX_ANSWER_BYTES = 512 * 1024 * 1024;

const clock = new NodeClock();

/** What a client of a server on TLS needs: files, since they go from process to process as paths. */
export interface ClientFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

/** Files behind the address of a target that speaks TLS: `host:port`, blank, then the three paths. */
export function secureTarget(address: string, { certFile, keyFile, caFile }: ClientFiles): string {
  return [address, certFile, keyFile, caFile].join(' ');
}

/** A connection to `target`, `host:port` or {@link secureTarget}. Resolves when the server has answered. */
export function openChannel(target: string): Promise<GrpcChannel> {
  return new Promise((resolve, reject) => {
    const socket = openSocket(target);
    const channel: GrpcChannel = new GrpcChannel(socketDuplex(socket), {
      clock,
      authority: target.split(' ', 1)[0]!,
      maxReceiveMessageBytes: MAX_ANSWER_BYTES,
      onReady: () => resolve(channel),
      onClosed: (reason) => reject(new Error(`${target}: ${reason}`)),
    });
  });
}

/** A connection that nothing has been said on yet. A TLS session of an earlier one may be given. */
export function openSocket(target: string, session?: Buffer): Socket {
  const [address, ...files] = target.split(' ');
  const colon = address!.lastIndexOf(':');
  const [host, port] = [address!.slice(0, colon), Number(address!.slice(colon + 1))];
  if (files.length === 0) return connect(port, host);
  const secureContext = contextOf(files[0]!, files[1]!, files[2]!);
  return connectTls({
    host,
    port,
    secureContext,
    ALPNProtocols: ['h2'],
    ...(session === undefined ? {} : { session }),
  });
}

const contexts = new Map<string, SecureContext>();

function contextOf(certFile: string, keyFile: string, caFile: string): SecureContext {
  let context = contexts.get(certFile);
  if (context === undefined) {
    context = createSecureContext({
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      ca: readFileSync(caFile),
    });
    contexts.set(certFile, context);
  }
  return context;
}

/** So many are made at a time: more than a server has room for in its backlog would be tried again a second later. */
const CONNECTING_AT_A_TIME = 256;

/** Connections spread over the targets, in turn. */
export async function openChannels(targets: readonly string[], count: number): Promise<GrpcChannel[]> {
  const channels: GrpcChannel[] = [];
  while (channels.length < count) {
    const length = Math.min(CONNECTING_AT_A_TIME, count - channels.length);
    const from = channels.length;
    const opening = Array.from({ length }, (_, i) => openChannel(targets[(from + i) % targets.length]!));
    channels.push(...(await Promise.all(opening)));
  }
  return channels;
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
