/**
 * Rules of HTTP/1 that `node:http` does not look after, or answers in another way than Go's server does: what breaks one is refused before
 * anybody else sees the request, and its connection ends, since where the next request begins is a matter of opinion.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { PipelinedRequests } from './pipelined-requests.ts';
import { readTarget } from './request-target.ts';

export interface Http1Refusal {
  readonly status: number;
  /** Stands in the status line and in the body: what more there is to say than the usual. */
  readonly reason: string;
  readonly body: string;
}

/** What may stand in the header Host, by whatever kind of name. */
const HOST = /^[\w!$%&'()*+,\-.:;=[\]~]*$/;
const BAD_REQUEST = 400;
const HEADERS_TOO_LARGE = 431;
const NOT_IMPLEMENTED = 501;

/** Whether `text` may be the value of a header Host. */
export function isHost(text: string): boolean {
  return HOST.test(text);
}

/** Null: it may go on. */
export function refusalOf(request: IncomingMessage): Http1Refusal | null {
  const { headers, method = 'GET', url = '' } = request;
  const { host, 'transfer-encoding': encoding } = headers;
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
    return { status: NOT_IMPLEMENTED, reason: 'Not Implemented', body: 'Unsupported transfer encoding' };
  }
  if (readTarget(method, url) === null || hasSecondHost(request)) return badRequest();
  if (host === undefined) {
    return request.httpVersionMinor >= 1 ? badRequest('missing required Host header') : null;
  }
  return isHost(host) ? null : badRequest('malformed Host header');
}

/** The answer, in its turn; the connection ends behind it. */
export function answerRefusal(response: ServerResponse, { status, reason, body }: Http1Refusal): void {
  // As {@link refusalText}: its length is where the connection ends.
  response.removeHeader('content-length');
  response.removeHeader('transfer-encoding');
  response.sendDate = false;
  response.writeHead(status, reason, { 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close' });
  response.end(body);
}

/** As an answer; the connection is to be closed behind it. */
export function refusalText({ status, reason, body }: Http1Refusal): string {
  return `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${body}`;
}

/** What is no version of HTTP/1, by its first line, is nobody's. */
const NO_HTTP_ERRORS: ReadonlySet<string> = new Set([
  'HPE_INVALID_METHOD',
  'HPE_INVALID_CONSTANT',
  'HPE_INVALID_VERSION',
]);

/** What `node:http` says of bytes that it could not read. */
interface Unreadable extends NodeJS.ErrnoException {
  readonly rawPacket?: Buffer;
}

/** Answers what `node:http` could not read, or hangs up on it as etcd does: it may be a broken HTTP/2 client. */
export function answerUnreadable(error: Unreadable, socket: Duplex, pipelined: PipelinedRequests): void {
  const code = error.code ?? '';
  // The reader rests while answers wait, and over TLS it is given bytes all the same, of which it has taken none. It and the socket go on
  // together when there is room.
  if (code === 'HPE_PAUSED' && error.rawPacket !== undefined) {
    socket.pause();
    socket.unshift(error.rawPacket);
    return;
  }
  // Behind the last request of a connection: that one has its answer, and what follows is nothing.
  if (code === 'HPE_CLOSED_CONNECTION' || pipelined.isEnding(socket)) return;
  if (!socket.writable) return void socket.destroy();
  pipelined.endWith(socket, () => {
    if (NO_HTTP_ERRORS.has(code)) socket.destroy();
    else socket.end(unreadableText(code), 'latin1', () => socket.destroy());
  });
}

function unreadableText(code: string): string {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n';
  return refusalText(code === 'HPE_HEADER_OVERFLOW' ? plainRefusal(HEADERS_TOO_LARGE) : badRequest());
}

function badRequest(more = ''): Http1Refusal {
  if (more === '') return plainRefusal(BAD_REQUEST);
  return {
    status: BAD_REQUEST,
    reason: `bad request: ${more}`,
    body: `${BAD_REQUEST} Bad Request: ${more}`,
  };
}

function plainRefusal(status: number): Http1Refusal {
  const reason = STATUS_CODES[status] ?? '';
  return { status, reason, body: `${status} ${reason}` };
}

/** `node:http` shows the first alone. */
function hasSecondHost({ rawHeaders }: IncomingMessage): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === 'host') count++;
  }
  return count > 1;
}
