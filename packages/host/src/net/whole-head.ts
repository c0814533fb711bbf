/** The head of a request that can be answered from what stands in it and its body alone. */
import { isHost } from './http1-rules.ts';

/** Heads that are equal, on one connection, are one object: what is concluded from it can be kept with it. */
export class WholeHead {
  /** As the client sent it. */
  readonly target: string;
  readonly contentLength: number;
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, string>;

  constructor(target: string, contentLength: number, headers: ReadonlyMap<string, string>) {
    this.target = target;
    this.contentLength = contentLength;
    this.headers = headers;
  }
}

const LINE_END = '\r\n';
const REQUEST_LINE = /^POST (\/[!-~]*) HTTP\/1\.1$/;
const NAME = /^[!#$%&'*+.^_`|~\w-]+$/;
const VALUE = /^[\t\x20-\x7e]*$/;
const LENGTH = /^\d{1,9}$/;
/** They change what the connection is, where the body ends, or who waits for whom. */
const MEANINGFUL: ReadonlySet<string> = new Set([
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The head of a POST with this text (Latin-1, without the empty line); null for one that asks for more than an answer to its body, and for any that
 * two readers could understand in two ways. Whoever can read all of HTTP/1 judges those.
 */
export function parseWholeHead(text: string): WholeHead | null {
  const [requestLine = '', ...lines] = text.split(LINE_END);
  const target = REQUEST_LINE.exec(requestLine)?.[1];
  if (target === undefined) return null;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    const value = line.slice(colon + 1);
    if (!NAME.test(name) || !VALUE.test(value) || MEANINGFUL.has(name) || headers.has(name)) return null;
    headers.set(name, value.trim());
  }
  const length = headers.get('content-length') ?? '0';
  const connection = headers.get('connection') ?? 'keep-alive';
  const host = headers.get('host');
  if (!LENGTH.test(length) || connection.toLowerCase() !== 'keep-alive') return null;
  if (host === undefined || !isHost(host)) return null;
  return new WholeHead(target, Number(length), headers);
}
