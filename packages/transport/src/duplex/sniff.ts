/**
 * HTTP/1 and HTTP/2 on one port: looks at the first bytes of a connection, which for HTTP/2 are its preface,
 * and hands the socket, with those bytes put back, to whom it is for.
 */
import type { Socket } from 'node:net';
import type { Clock } from '@etcd/base';
import { CLIENT_PREFACE } from '../http2/protocol.ts';

export interface SniffOptions {
  readonly clock: Clock;
  /** A socket that has not said enough by then is destroyed. */
  readonly timeoutMs?: number;
  readonly onHttp2: (socket: Socket) => void;
  /** For example `(socket) => httpServer.emit('connection', socket)`. */
  readonly onHttp1: (socket: Socket) => void;
  /** What begins like TLS is shown here before it is destroyed; nothing speaks TLS behind this. */
  readonly onTls?: ((socket: Socket) => void) | undefined;
}

export const DEFAULT_SNIFF_TIMEOUT_MS = 10_000;

/** No HTTP/1 request begins with these. */
const BEGINNING = Buffer.from(CLIENT_PREFACE.slice(0, 'PRI * HTTP/2.0'.length), 'latin1');

/** The type of the first record of TLS: no byte that a request begins with. */
const TLS_HANDSHAKE = 0x16;

export function sniffProtocol(socket: Socket, options: SniffOptions): void {
  let seen: Buffer = Buffer.alloc(0);
  const timeoutMs = options.timeoutMs ?? DEFAULT_SNIFF_TIMEOUT_MS;
  const timer = options.clock.setTimer(timeoutMs, () => socket.destroy());
  // Nobody else listens yet; a connection that fails this early is nobody's loss.
  const onError = (): void => {};
  const onData = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, BEGINNING.length);
    const isHttp2 = seen.compare(BEGINNING, 0, length, 0, length) === 0;
    if (isHttp2 && length < BEGINNING.length) return;
    stop();
    if (seen[0] === TLS_HANDSHAKE && options.onTls !== undefined) {
      options.onTls(socket);
      socket.on('error', onError);
      return void socket.destroy();
    }
    socket.pause();
    socket.unshift(seen);
    if (isHttp2) options.onHttp2(socket);
    else options.onHttp1(socket);
    socket.resume();
  };
  const stop = (): void => {
    timer.cancel();
    socket.off('data', onData);
    socket.off('error', onError);
    socket.off('close', stop);
  };
  socket.on('error', onError);
  socket.on('close', stop);
  socket.on('data', onData);
}
