/** Every other path and method of the client and peer listeners, byte by byte as they were sent, beside real etcd 3.5 and 3.7. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { EtcdServer } from '../../support/etcd-server.ts';
import { NEEDS_ALL_SIDES, serveEachSide } from '../../support/sides.ts';

const servers = serveEachSide(undefined, [
  '--host-whitelist=localhost,a.example,127.0.0.1,::1',
  '--cors=http://ok.example:8080',
]);

interface Answer {
  readonly status: string;
  /** Of those headers that say something about the answer. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

const HEADERS = [
  'content-type',
  'allow',
  'location',
  'access-control-allow-origin',
  'x-content-type-options',
];

/** Some servers wait for seconds before they end a connection. */
function isWhole(request: string, answer: string): boolean {
  const headEnd = answer.indexOf('\r\n\r\n');
  if (headEnd < 0) return false;
  const length = /^content-length: (\d+)\r$/im.exec(answer.slice(0, headEnd + 2))?.[1];
  if (length === undefined) return false;
  return request.startsWith('HEAD') || Buffer.byteLength(answer.slice(headEnd + 4)) >= Number(length);
}

/** What comes behind bytes that are sent as they are, until the server ends the connection. */
async function askRaw(port: number, text: string): Promise<Answer> {
  const socket = connect(port, '127.0.0.1');
  socket.write(text, 'latin1');
  let answer = '';
  for await (const bytes of socket.setEncoding('utf8')) {
    answer += String(bytes);
    if (isWhole(text, answer)) break;
  }
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  const header = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1];
  const isJson = header('content-type') === 'application/json';
  const content = rest.join('\r\n\r\n');
  // White space of Go's JSON differs from run to run.
  const compact =
    isJson && content !== '' ? JSON.stringify(JSON.parse(content)).replaceAll(IDS, '') : content;
  return {
    status: head.split(' ')[1] ?? head,
    headers: Object.fromEntries(HEADERS.map((name) => [name, header(name)])),
    body: compact,
  };
}

/** The answer to a request that is sent as it is: a library would tidy its path up. */
function ask(port: number, method: string, path: string, headers: string, body: string): Promise<Answer> {
  const length = `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  const fixed = `Host: localhost\r\nConnection: close\r\n`;
  return askRaw(port, `${method} ${path} HTTP/1.1\r\n${fixed}${headers}${length}\r\n${body}`);
}

type Row = readonly [method: string, path: string, headers?: string, body?: string];

/** Of whom they are. */
const IDS = /"(cluster_id|member_id|raft_term)":"\d+",?/g;

const JSON_TYPE = 'Content-Type: application/json\r\n';
const RANGE = '{"key":"Zm9v"}';
const MISSING = '{}';

const CLIENT_ROWS: readonly Row[] = [
  ['GET', '/'],
  ['POST', '/'],
  ['GET', '/v3'],
  ['POST', '/v3'],
  ['GET', '/v3?a=b'],
  ['GET', '/nothing'],
  ['GET', '/v2/keys'],
  ['GET', '/v2/members'],
  ['GET', '/config/local/log'],
  ['PUT', '/config/local/log', '', '{"Level":"DEBUG"}'],
  ['GET', '/debug/requests'],
  ['GET', '/debug/pprof/'],
  ['GET', '/raft/probing'],
  ['GET', '/members'],
  ['GET', '/v3/kv/range'],
  ['HEAD', '/v3/kv/range'],
  ['PUT', '/v3/kv/range', JSON_TYPE, RANGE],
  ['DELETE', '/v3/kv/range'],
  ['PATCH', '/v3/kv/range', JSON_TYPE, RANGE],
  ['POST', '/v3/kv/range?x=1', JSON_TYPE, MISSING],
  ['POST', '/v3/kv/range/', JSON_TYPE, MISSING],
  ['POST', '/v3/kv/Range', JSON_TYPE, MISSING],
  ['POST', '/v3/kv', JSON_TYPE, MISSING],
  ['POST', '/v3beta/kv/range', JSON_TYPE, MISSING],
  ['POST', '/v3alpha/kv/range', JSON_TYPE, MISSING],
  ['POST', '/v3/kv/put', 'Content-Type: text/plain\r\n', MISSING],
  ['POST', '/v3/kv/put', 'Content-Type: application/x-www-form-urlencoded\r\n', MISSING],
  ['POST', '/v3/kv/put', JSON_TYPE, '{"key":"Zm9v","value":"YmF\\u0079"} trailing'],
  ['POST', '/v3/kv/put', JSON_TYPE, '{"key":"Zm9v","value":"Y-_y"}'.slice(0, 12)],
  ['POST', '/v3/kv/put', JSON_TYPE, '{"key":"Zm9v","lease":"9223372036854775808"}'],
  ['POST', '/v3/kv/put', JSON_TYPE, '{"key":"Zm9v","lease":-9223372036854775809}'],
  ['POST', '/v3/kv/put', JSON_TYPE, '{"key":"Zm9v","prev_kv":1}'],
  ['POST', '/v3/kv/put', JSON_TYPE, '{"key":["Zm9v"]}'],
  ['POST', '/v3/kv/put', JSON_TYPE, '{"KEY":"Zm9v"}'],
  ['POST', '/v3/kv/range', JSON_TYPE, '{"key":"Zm9v","limit":"1e400"}'],
  ['POST', '/v3/kv/range', JSON_TYPE, '{"key":"Zm9v","limit":"0x10"}'],
  ['POST', '/v3/kv/range', JSON_TYPE, '{"key":"Zm9v","limit":" 1"}'],
  ['POST', '/v3/kv/range', JSON_TYPE, '{"key":"Zm9v","limit":01}'],
  ['POST', '/v3/kv/range', JSON_TYPE, '{"key":"Zm9v","limit":1.}'],
  ['POST', '/v3/kv/range', JSON_TYPE, '{"key":"Zm9v",}'],
  ['POST', '/v3/kv/range', JSON_TYPE, "{'key':1}"],
  ['POST', '/v3/kv/range', JSON_TYPE, '"text"'],
  ['POST', '/v3/kv/range', JSON_TYPE, '{"sort_order":"ASCEND","sort_target":null}'],
  ['POST', '/v3/cluster/member/remove', JSON_TYPE, '{"ID":-1}'],
  ['POST', '/v3/cluster/member/remove', JSON_TYPE, '{"ID":"18446744073709551616"}'],
  ['POST', '/v3/maintenance/snapshot', JSON_TYPE, '{bad'],
];

/** Targets that say in another way than usual where they lead. */
const TARGETS: readonly string[] = [
  ...[
    'http://localhost/v3/kv/range',
    'http://localhost:99/v3/kv/range?x=1',
    'ftp://localhost/v3/kv/range',
    'HTTP://localhost',
  ],
  ...[
    '//v3/kv/range',
    '/v3//kv/range',
    '/v3/kv/range//',
    '/v3/./kv/range',
    '/v3/kv/../kv/range?a=b',
    '/../v3/kv/range',
    '/v3/..',
    '/v3/.',
  ],
  ...[
    '/v3/kv/%72ange',
    '/%763/kv/range',
    '/v3%2Fkv/range',
    '/v3/kv%2Frange',
    '/v3/kv/range%2F',
    '/v3/kv/range%00',
    '/v3/kv/range%',
    '/v3/kv/range%zz',
  ],
  ...[
    '/v3/kv/%2e%2e/kv/range',
    '/v3/kv/range;x=1',
    '/v3/kv/range:foo',
    '/v3/kv/range#frag',
    '/v3/kv/range?',
    '/v3/kv/range?%zz',
    '/v3beta//kv/range',
    '//v3beta/kv/range',
    '/V3/kv/range',
  ],
  ...[
    '//health',
    '/health/',
    '/health/../version',
    '/%68ealth',
    '/health%2f',
    '//',
    '//?a=b',
    '/.',
    '/metrics/',
    '/version//',
    '/livez/',
    '/livez/nothing',
    '/readyz//data_corruption',
    '/debug/vars/',
    '/debug',
    '//v3',
    '/v3beta',
    '/v3beta/',
  ],
  ...[
    '//a%20b',
    '//a%2fb',
    '//a\'b"c<d>',
    '//a;b,c:d@e&f=g$!*()~',
    '//a%C3%A9',
    '/a|b//',
    '/v3?a=<b>&c="d"\'',
    '*',
    'health',
    'v3/kv/range',
  ],
];

const lines = (first: string, ...more: readonly string[]): string =>
  `${[first, ...more, 'Connection: close'].join('\r\n')}\r\n\r\n`;
const get = (host: string, ...more: readonly string[]): string =>
  lines('GET /health HTTP/1.1', `Host: ${host}`, ...more);
const post = (...more: readonly string[]): string =>
  lines('POST /v3/kv/range HTTP/1.1', 'Host: localhost', 'Content-Length: 14', ...more) + RANGE;
const bare = (first: string): string => lines(first, 'Host: localhost');

/** What a hostile client, or a strange one, may send. */
const HOSTILE: readonly string[] = [
  // Names of the host, to a server that lists those it has.
  ...[
    'a.example',
    'a.example:2379',
    'a.example:',
    'A.EXAMPLE',
    'a.example.',
    'b.example',
    '127.0.0.1:1',
    '[::1]',
    '[::1]:2379',
    '::1',
    '[::1',
    '[a]b:1',
    'a.example:x',
    'a.example:1:2',
    '',
    ':2379',
    'a.example,b',
    '*',
    'a b',
    'a/b',
    'a@b',
  ].map((host) => get(host)),
  lines('GET /health HTTP/1.1'),
  get('a.example', 'Host: a.example'),
  lines('GET http://a.example/health HTTP/1.1', 'Host: evil'),
  lines('GET http://evil/health HTTP/1.1', 'Host: a.example'),
  lines('OPTIONS /health HTTP/1.1', 'Host: evil'),
  lines('OPTIONS * HTTP/1.1', 'Host: evil'),
  lines('GET //health HTTP/1.1', 'Host: evil'),
  // Origins.
  ...[
    'http://ok.example:8080',
    'http://OK.example:8080',
    'https://ok.example:8080',
    'http://ok.example',
    'http://ok.example:8080/',
    'http://ok.example:8080.evil',
    'null',
    '',
    '*',
  ].map((origin) => get('a.example', `Origin: ${origin}`)),
  lines(
    'OPTIONS /v3/kv/range HTTP/1.1',
    'Host: a.example',
    'Origin: http://ok.example:8080',
    'Access-Control-Request-Method: POST',
  ),
  lines(
    'OPTIONS /v3/kv/range HTTP/1.1',
    'Host: a.example',
    'Origin: http://evil',
    'Access-Control-Request-Method: POST',
  ),
  // Methods, versions, heads.
  ...[
    'CONNECT localhost:80',
    'CONNECT /v3/kv/range',
    'CONNECT //v3',
    'CONNECT /health',
    'PROPFIND /health',
    'TRACE /health',
    'HEAD //health',
    'PUT //health',
    'OPTIONS //health',
  ].map((first) => bare(`${first} HTTP/1.1`)),
  bare('GET /health HTTP/2.0'),
  'GET /health\r\n\r\n',
  get('localhost', 'Foo'),
  get('localhost', 'Foo: a\0b'),
  get('localhost', ': x'),
  get('localhost', `X: ${'a'.repeat(17_000)}`),
  get('localhost', 'Upgrade: foo'),
  get('localhost', 'Expect: 100-continue'),
  // Bodies.
  post('Expect: nonsense'),
  post('Content-Length: 15'),
  lines('POST /v3/kv/range HTTP/1.1', 'Host: localhost', 'Content-Length: +2'),
  lines('POST /v3/kv/range HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: gzip, chunked'),
  lines('POST /v3/kv/range HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked') +
    '2;x=1\r\n{}\r\n0\r\nTrailer: x\r\n\r\n',
  post('Content-Encoding: gzip'),
  post('Accept: text/xml'),
  post('X-HTTP-Method-Override: GET'),
  post('X-HTTP-Method-Override: GET', 'Content-Type: application/x-www-form-urlencoded'),
  post('Grpc-Timeout: 1n'),
  post('Grpc-Timeout: -1S'),
  post('Grpc-Timeout: 0S'),
  post('Grpc-Timeout: x'),
  post('Grpc-Metadata-token: x'),
  post('Grpc-Metadata-hasleader: true'),
  `${lines('POST /v3/kv/range HTTP/1.1', 'Host: localhost', 'Content-Length: 5')}\xef\xbb\xbf{}`,
  `${post()}}`,
];

const PEER_ROWS: readonly Row[] = [
  ['GET', '/'],
  ['GET', '/health'],
  ['GET', '/metrics'],
  ['POST', '/v3/kv/range', JSON_TYPE, RANGE],
  ['POST', '/members'],
  ['POST', '/version'],
  ['GET', '//members'],
  ['GET', '/members/../version'],
  ['GET', 'http://any/nothing'],
];

/** Both releases are asked the same; where they redirect, the older one said that it is for good. */
async function compare(
  what: string,
  askOne: (server: EtcdServer) => Promise<Answer>,
  isOf35 = true,
): Promise<void> {
  const answers = new Map<string, Answer>();
  for (const [name, server] of servers) answers.set(name, await askOne(server));
  const ours = answers.get('ours')!;
  assert.deepEqual(ours, answers.get('3.7'), what);
  if (isOf35 && ours.status !== '307') assert.equal(ours.status, answers.get('3.5')!.status, `3.5: ${what}`);
}

async function compareRows(
  rows: readonly Row[],
  portOf: (server: EtcdServer) => number,
  isOf35 = true,
): Promise<void> {
  for (const [method, path, headers = '', body = ''] of rows) {
    await compare(
      `${method} ${path} ${headers}${body}`,
      (server) => ask(portOf(server), method, path, headers, body),
      isOf35,
    );
  }
}

test('paths and methods of the client listener', NEEDS_ALL_SIDES, () =>
  compareRows(CLIENT_ROWS, ({ clientPort }) => clientPort),
);

test('paths and methods of the peer listener', NEEDS_ALL_SIDES, () =>
  compareRows(PEER_ROWS, ({ peerPort }) => peerPort),
);

test('whole URIs, escapes, dots and empty parts lead where they lead in etcd', NEEDS_ALL_SIDES, async () => {
  for (const target of TARGETS) {
    await compareRows(
      [
        ['POST', target, JSON_TYPE, RANGE],
        ['GET', target],
      ],
      ({ clientPort }) => clientPort,
      // Escapes were resolved there before dots and slashes were looked at.
      !target.includes('%'),
    );
  }
});

test(
  'S12 S17 hosts, origins, heads and bodies of hostile clients get the answers of etcd',
  NEEDS_ALL_SIDES,
  async () => {
    for (const text of HOSTILE) {
      await compare(JSON.stringify(text).slice(0, 300), ({ clientPort }) => askRaw(clientPort, text));
    }
  },
);
