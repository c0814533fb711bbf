import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { parseUrls, SILENT_LOGGER } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { Listener } from './listener.ts';

type Hold = (response: ServerResponse, answer: () => void) => void;

/** Answers a request for each method and target with `METHOD target headers`; one for `/held` when it is told to. */
async function open(context: TestContext, hold: Hold = () => {}): Promise<number> {
  const { urls } = parseUrls(['http://127.0.0.1:0']);
  const listener = new Listener({
    url: urls![0]!,
    services: {
      grpc: null,
      http: {
        onHttp1: (request, response) => {
          request.resume();
          const { method, url, headers } = request;
          const answer = (): void => {
            response.end(`<${method} ${url} ${Object.keys(headers).length}>`);
          };
          if (url === '/held' || url === 'held:80') hold(response, answer);
          else answer();
        },
      },
    },
    connectionLimit: null,
    limitsRequestTime: false,
    reusePort: false,
    secure: null,
    clock: new NodeClock(),
    logger: SILENT_LOGGER,
    refusals: { rejectedMessage: '', onRejected: () => {} },
  });
  context.after(() => listener.close());
  await listener.listen();
  listener.open();
  return Number(listener.address.split(':')[1]);
}

/** All that comes until the other side ends the connection. */
async function ask(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(text, 'latin1');
  let answer = '';
  for await (const bytes of socket.setEncoding('latin1')) answer += String(bytes);
  return answer;
}

const CLOSE = 'Connection: close\r\n\r\n';

test('S17 what breaks a rule of HTTP/1 is answered as Go answers it, and the connection ends', async (context) => {
  const port = await open(context);
  const bad =
    'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request';
  const more = (text: string): string =>
    bad
      .replace('400 Bad Request', `400 bad request: ${text}`)
      .replace(/400 Bad Request$/, `400 Bad Request: ${text}`);
  const answers: Readonly<Record<string, string>> = {
    'GET / HTTP/1.1\r\n\r\n': more('missing required Host header'),
    'GET / HTTP/1.1\r\nHost: a b\r\n\r\n': more('malformed Host header'),
    'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n': more('malformed Host header'),
    'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n': bad,
    'GET health HTTP/1.1\r\nHost: a\r\n\r\n': bad,
    'GET /% HTTP/1.1\r\nHost: a\r\n\r\n': bad,
    'GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n': bad,
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n': bad,
    'GET / HTTP/2.0\r\nHost: a\r\n\r\n': '',
    'GET /\r\n\r\n': '',
    'NO-METHOD / HTTP/1.1\r\nHost: a\r\n\r\n': '',
  };
  for (const [text, answer] of Object.entries(answers)) assert.equal(await ask(port, text), answer, text);
  const coded = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`;
  assert.match(
    await ask(port, coded),
    /^HTTP\/1.1 501 Not Implemented\r\n[\s\S]*\r\n\r\nUnsupported transfer encoding$/,
  );
});

test('S20 a head has a limit, and nothing in one that is within it is lost', async (context) => {
  const port = await open(context);
  const many = Array.from({ length: 3000 }, (_, i) => `X${i}: 1\r\n`).join('');
  assert.match(await ask(port, `GET / HTTP/1.1\r\nHost: a\r\n${many}${CLOSE}`), /<GET \/ 3002>$/);
  const long = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(70_000)}\r\n${CLOSE}`;
  assert.match(await ask(port, long), /^HTTP\/1.1 431 [\s\S]*\r\n\r\n431 Request Header Fields Too Large$/);
});

test('a tunnel is a request like any other, the last of its connection', async (context) => {
  const port = await open(context);
  const answer = await ask(port, 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n[\s\S]*<CONNECT a:80 1>/);
  assert.equal(answer.split('HTTP/1.1').length, 2);
});

test('who expects to be told to go on is told so if there is something to send; other expectations fail', async (context) => {
  const port = await open(context);
  const expecting = (more: string): string => `PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${more}`;
  const full = await ask(port, expecting('Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}'));
  assert.match(full, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK\r\n/);
  assert.match(await ask(port, expecting('Expect: 100-continue\r\n\r\n')), /^HTTP\/1.1 200 OK\r\n/);
  const other = await ask(port, expecting('Expect: more\r\nContent-Length: 2\r\n\r\n{}'));
  assert.match(other, /^HTTP\/1.1 417 Expectation Failed\r\nconnection: close\r\ncontent-length: 0\r\n/);
});

test('what comes behind the last request of a connection takes nothing from its answer', async (context) => {
  const port = await open(context);
  const answer = await ask(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n}');
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n[\s\S]*<GET \/ 2>$/);
});

const HELD = 'GET /held HTTP/1.1\r\nHost: a\r\n\r\n';
const GOOD = 'GET /good HTTP/1.1\r\nHost: a\r\n\r\n';

test('S17 what is refused behind a request that waits for its answer takes not its place, and nothing behind it is looked at', async (context) => {
  const bad = 'GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n';
  for (const [last, end] of [
    [bad + GOOD, /<GET \/held 1>HTTP\/1.1 400 bad request: malformed Host header\r\n/],
    [`GET / HTTP/1.1\r\nA\r\n\r\n${GOOD}`, /<GET \/held 1>HTTP\/1.1 400 Bad Request\r\n/],
    [`NO-METHOD / HTTP/1.1\r\n\r\n${GOOD}`, /<GET \/held 1>$/],
    [`GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n${GOOD}`, /<GET \/held 1>HTTP\/1.1 417 /],
  ] as const) {
    const port = await open(context, (_response, answer) => setImmediate(answer));
    const answer = await ask(port, HELD + last);
    assert.match(answer, /^HTTP\/1.1 200 OK\r\n/, last);
    assert.match(answer, end, last);
    assert.doesNotMatch(answer, /<GET \/good/, last);
  }
  const port = await open(context);
  assert.doesNotMatch(await ask(port, bad + GOOD), /<GET/);
});

test('S17 a body that can not be read is told in the place of its own answer alone', async (context) => {
  const port = await open(context);
  const broken = 'POST /held HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n';
  assert.match(await ask(port, broken), /^HTTP\/1.1 400 Bad Request\r\n/);
  assert.equal(await ask(port, HELD + broken), '');
});

test('S20 a tunnel behind a request that waits ends the connection, and one whose client is gone ends nothing else', async (context) => {
  const held: ServerResponse[] = [];
  const closed = Promise.withResolvers<void>();
  const port = await open(context, (response) => {
    held.push(response);
    response.on('close', closed.resolve);
  });
  assert.equal(await ask(port, `${HELD}CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n`), '');
  await closed.promise;
  assert.equal(held.length, 1);
});

test('S20 the client of a tunnel may break its connection', async (context) => {
  const begun = Promise.withResolvers<ServerResponse>();
  const port = await open(context, begun.resolve);
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('CONNECT held:80 HTTP/1.1\r\nHost: a\r\n\r\n');
  const response = await begun.promise;
  const gone = Promise.withResolvers<void>();
  response.socket!.on('close', gone.resolve);
  socket.resetAndDestroy();
  await gone.promise;
  assert.match(await ask(port, `GET / HTTP/1.1\r\nHost: a\r\n${CLOSE}`), /^HTTP\/1.1 200 OK/);
});

test('S20 who leaves is told of for each request that waits, also for those whose turn has not come', async (context) => {
  const both = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  let [begun, closed] = [0, 0];
  const port = await open(context, (response) => {
    if (++begun === 2) both.resolve();
    response.on('close', () => {
      if (++closed === 2) gone.resolve();
    });
  });
  const socket = connect(port, '127.0.0.1');
  socket.write(HELD + HELD);
  await both.promise;
  socket.destroy();
  await gone.promise;
});

test('S20 a connection with too many requests that wait ends, and so does one that goes on behind a refusal', async (context) => {
  let begun = 0;
  const port = await open(context, () => void begun++);
  assert.equal(await ask(port, HELD.repeat(2000)), '');
  assert.equal(begun, 1024);
  assert.equal(await ask(port, `${HELD}GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n${GOOD.repeat(2000)}`), '');
  assert.equal(begun, 1025);
});
