/** How other processes are reached. The one place that opens connections, so that TLS has one place to go to. */
import net from 'node:net';
import { type Clock, type EtcdUrl, isSecureUrl, isUnixUrl, unixSocketPath } from '@etcd/base';
import { systemErrorText } from '../process/index.ts';
import { connectTls, type TlsSide } from '../tls/index.ts';

export interface Dialer {
  /** A connection for requests. It may be written to before it is there; errors come as its events. */
  connect(url: EtcdUrl): net.Socket;
  /**
   * A connection whose bytes go to `onBytes`, `buffer[0, length)`, instead of a 'data' event. The buffer is used again for
   * the next ones, and may be changed until then.
   */
  connectStream(url: EtcdUrl, onBytes: (buffer: Uint8Array, length: number) => void): net.Socket;
}

const STREAM_BUFFER_BYTES = 64 * 1024;

/** Plain TCP, and Unix sockets. */
export const TCP_DIALER: Dialer = {
  connect: (url) => attempt(() => net.connect(plainEndpoint(url))),
  connectStream: (url, onBytes) =>
    attempt(() =>
      net.connect({
        ...plainEndpoint(url),
        onread: {
          buffer: Buffer.allocUnsafeSlow(STREAM_BUFFER_BYTES),
          callback: (length, buffer) => {
            onBytes(buffer, length);
            return true;
          },
        },
      }),
    ),
};

/** What Node refuses at once, as a port that is none, becomes an event like all that can go wrong later. */
function attempt(open: () => net.Socket): net.Socket {
  try {
    return open();
  } catch (error) {
    return new net.Socket().destroy(error as Error);
  }
}

/** Over TLS to URLs that say so, as `side` has it, and as {@link TCP_DIALER} to others. */
export function secureDialer(side: TlsSide, clock: Clock): Dialer {
  const connect = (url: EtcdUrl): net.Socket => {
    if (!isSecureUrl(url)) return TCP_DIALER.connect(url);
    const path = isUnixUrl(url) ? unixSocketPath(url) : undefined;
    return attempt(() => connectTls(side, { path, host: url.hostname, port: Number(url.port) }, clock));
  };
  return {
    connect,
    connectStream: (url, onBytes) => {
      if (!isSecureUrl(url)) return TCP_DIALER.connectStream(url, onBytes);
      const socket = connect(url);
      socket.on('data', (chunk: Buffer) => onBytes(chunk, chunk.length));
      return socket;
    },
  };
}

/** Nothing meant to be secret goes out in plain text because a setting is missing. */
function plainEndpoint(url: EtcdUrl): net.NetConnectOpts {
  if (isSecureUrl(url))
    throw new Error(`${url.text} needs TLS, for which no certificate or authority is given`);
  return endpoint(url);
}

function endpoint(url: EtcdUrl): net.NetConnectOpts {
  if (isUnixUrl(url)) return { path: unixSocketPath(url) };
  return { host: url.hostname, port: Number(url.port), noDelay: true };
}

/** What is wrong with a connection, in the words of Go's `net`, for which people search. */
export function connectionErrorText(url: EtcdUrl, error: unknown): string {
  const network = isUnixUrl(url) ? 'unix' : 'tcp';
  const address = isUnixUrl(url) ? unixSocketPath(url) : url.host;
  // One for each address of a host name: they fail alike, as a rule.
  const cause: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const call = cause instanceof Error && 'syscall' in cause ? String(cause.syscall) : '';
  const text = systemErrorText(cause);
  if (call === 'connect') return `dial ${network} ${address}: connect: ${text}`;
  return call === '' ? text : `${call} ${network} ${address}: ${text}`;
}
