/** Heads of HTTP/1 as clients send them: what is read here and what `node:http` reads must be the same, and targets as Go's server has them. */
import { createServer, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { type FuzzTarget, InputReader } from '@etcd/testing';
import { refusalOf } from '../http1-rules.ts';
import { readTarget, redirectTo } from '../request-target.ts';
import { parseWholeHead } from '../whole-head.ts';

const HEAD_END = '\r\n\r\n';
/** What `node:http` hands on as one. */
const TARGET = /^[A-Z]* ([!-~\x80-\xff]+)/;
const METHODS = ['GET', 'POST', 'CONNECT', 'HEAD'];

/** One end of a connection: what was sent, and then its end. */
class Sent extends Duplex {
  constructor(bytes: Uint8Array) {
    super();
    this.push(bytes);
    this.push(null);
  }

  override _read(): void {}

  override _write(_bytes: unknown, _encoding: unknown, done: () => void): void {
    done();
  }
}

/** The first request that `node:http` finds; null: it finds none. */
async function readByNode(bytes: Uint8Array): Promise<IncomingMessage | null> {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage | null>();
  const server = createServer((request, response) => {
    resolve(request);
    response.on('error', () => {});
    request.resume();
    response.end();
  });
  server.on('checkContinue', resolve);
  server.on('checkExpectation', resolve);
  server.on('connect', resolve);
  server.on('clientError', () => resolve(null));
  const connection = new Sent(bytes);
  connection.on('error', () => resolve(null));
  connection.on('close', () => resolve(null));
  server.emit('connection', connection);
  const found = await promise;
  connection.destroy();
  return found;
}

function check(target: string, method: string): void {
  const read = readTarget(method, target);
  if (read?.location == null) return;
  const { status, body } = redirectTo(method, read.location);
  if (status !== 307 || /[\r\n ]/.test(read.location))
    throw new Error(`a redirect to ${read.location}: ${body}`);
  // Whoever follows it is not sent on.
  const next = readTarget('GET', read.location);
  if (next === null || (next.location !== null && method !== 'CONNECT'))
    throw new Error(`${target} is sent round`);
}

const http1Head: FuzzTarget = {
  name: 'http1-head',
  what: 'a head of HTTP/1 at a client port, read by both readers, and its target',
  tokens: [
    HEAD_END,
    '\r\n',
    'POST /v3/kv/put HTTP/1.1\r\n',
    'Host: a\r\n',
    'Content-Length: 1\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Connection: close\r\n',
    'Expect: 100-continue\r\n',
    'http://a:1/',
    '%2e%2e/',
    '//',
    '\t',
  ],
  seeds: () =>
    [
      'POST /v3/kv/put HTTP/1.1\r\nHost: a:1\r\nContent-Length: 2\r\n\r\n{}',
      'GET /a/../b//c?x=%20 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      'GET http://a:1/%2e/metrics HTTP/1.0\r\n\r\n',
      'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    ].map((text) => Buffer.from(`\x01${text}`, 'latin1')),
  run: async (input) => {
    const reader = new InputReader(input);
    const method = METHODS[reader.byte() % METHODS.length]!;
    const bytes = reader.rest();
    const text = Buffer.from(bytes).toString('latin1');
    check(TARGET.exec(text)?.[1] ?? '', method);
    const end = text.indexOf(HEAD_END);
    const head = end < 0 ? null : parseWholeHead(text.slice(0, end));
    const request = await readByNode(bytes);
    if (request !== null) refusalOf(request);
    if (head === null) return;
    if (request === null) throw new Error('a head that node:http does not read');
    const names = [...head.headers.keys()].filter((name) => request.headers[name] !== head.headers.get(name));
    if (request.url !== head.target || request.method !== 'POST' || names.length > 0) {
      throw new Error(`understood in two ways: ${request.method} ${request.url}, ${names.join()}`);
    }
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [http1Head];
