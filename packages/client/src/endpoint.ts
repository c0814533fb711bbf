/**
 * Where a server listens, as it is written down: `host:port`, `http://host:port`, `https://host:port`, `unix://path`,
 * `unixs://path`. A missing port means 2379. Whether the connection is encrypted is decided by the scheme; without one, by
 * whether the client has TLS settings.
 */
import { ClientError } from './errors.ts';

export const DEFAULT_CLIENT_PORT = 2379;

export interface Endpoint {
  /** As it was given. */
  readonly text: string;
  /** True for `https` and `unixs`, false for `http` and `unix`, null where nothing is said. */
  readonly isSecure: boolean | null;
  /** The path of a Unix socket; null for TCP. */
  readonly path: string | null;
  /** Without brackets; empty for a Unix socket. */
  readonly host: string;
  readonly port: number;
  /** What the server is known by, for `:authority`. */
  readonly authority: string;
}

const SECURE_BY_SCHEME: ReadonlyMap<string, boolean> = new Map([
  ['http', false],
  ['https', true],
  ['unix', false],
  ['unixs', true],
]);

/** Throws a {@link ClientError} with code `bad-endpoint` for what is no endpoint. */
export function parseEndpoint(text: string): Endpoint {
  const scheme = /^([a-z]+):(?=\/\/|[^0-9])/.exec(text)?.[1];
  if (scheme === undefined || !SECURE_BY_SCHEME.has(scheme)) {
    if (text.includes('://')) throw bad(text, 'unknown scheme');
    return { ...parseHostPort(text, text), isSecure: null };
  }
  const isSecure = SECURE_BY_SCHEME.get(scheme) ?? null;
  const rest = text.slice(scheme.length + 1).replace(/^\/\//, '');
  if (scheme.startsWith('unix')) {
    if (rest === '') throw bad(text, 'a path is missing');
    return { text, isSecure, path: rest, host: '', port: 0, authority: rest };
  }
  return { ...parseHostPort(rest.replace(/\/.*$/, ''), text), isSecure };
}

function parseHostPort(hostPort: string, text: string): Omit<Endpoint, 'isSecure'> {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^:[\]]*))(?::([0-9]{0,5}))?$/.exec(hostPort);
  if (match === null) {
    // An address of IPv6 may come without brackets when no port follows.
    if (/^(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}$/.test(hostPort) && isWholeAddress(hostPort)) {
      return parseHostPort(`[${hostPort}]`, text);
    }
    throw bad(text, 'it is no host and port');
  }
  const host = match[1] ?? match[2] ?? '';
  const digits = match[3] ?? '';
  const port = digits === '' ? DEFAULT_CLIENT_PORT : Number(digits);
  if (port > 65_535) throw bad(text, 'no such port');
  const name = host === '' ? 'localhost' : host;
  const authority = name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`;
  return { text, path: null, host: name, port, authority };
}

function isWholeAddress(address: string): boolean {
  return address.includes('::') || address.split(':').length === 8;
}

function bad(text: string, why: string): ClientError {
  return new ClientError('bad-endpoint', `endpoint ${JSON.stringify(text)}: ${why}`);
}
