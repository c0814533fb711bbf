/** How other processes are reached. The one place that opens connections, so that TLS has one place to go to. */
import net from 'node:net';
import { type EtcdUrl, isUnixUrl, unixSocketPath } from '@etcd/base';
import { systemErrorText } from '../process/index.ts';

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
  connect: (url) => dial(endpoint(url)),
  connectStream: (url, onBytes) =>
    dial({
      ...endpoint(url),
      onread: {
        buffer: Buffer.allocUnsafeSlow(STREAM_BUFFER_BYTES),
        callback: (length, buffer) => {
          onBytes(buffer, length);
          return true;
        },
      },
    }),
};

/** What Node refuses at once, as a port that is none, becomes an event like all that can go wrong later. */
function dial(options: net.NetConnectOpts): net.Socket {
  try {
    return net.connect(options);
  } catch (error) {
    return new net.Socket().destroy(error as Error);
  }
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
