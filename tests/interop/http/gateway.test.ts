/**
 * The JSON gateway, request by request, beside that of real etcd 3.5 and 3.7: status, type and body are the same, but for ids, times and
 * white space.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT, tool } from '../../support/programs.ts';
import { eventually, run } from '../../support/run.ts';
import { NEEDS_ALL_SIDES, serveEachSide } from '../../support/sides.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const KEY = base64('foo');

interface Ask {
  readonly path: string;
  readonly body?: string;
  readonly method?: string;
  /** Where the two releases differ, the later one is right. */
  readonly only37?: boolean;
}

const ask = (path: string, body: string | object, more: Partial<Ask> = {}): Ask => ({
  path,
  body: typeof body === 'string' ? body : JSON.stringify(body),
  ...more,
});

/** In order: later ones see what earlier ones did. */
const ASKS: readonly Ask[] = [
  ask('/v3/kv/put', { key: KEY, value: base64('bar') }),
  ask('/v3/kv/put', { key: KEY, value: base64('baz'), prev_kv: true }),
  ask('/v3/kv/put', { key: KEY, value: base64('x'), lease: '99' }),
  ask('/v3/kv/put', {}),
  ask('/v3/kv/range', { key: KEY }),
  ask('/v3/kv/range', { key: KEY, countOnly: true, limit: '5' }),
  ask('/v3/kv/range', `{"key":"${KEY}","limit":5.0,"revision":2e0,"sort_order":"DESCEND","sort_target":2}`),
  ask('/v3/kv/range', { key: base64('a'), range_end: base64('z'), keys_only: true }),
  ask('/v3/kv/range', { key: KEY, revision: '1000' }),
  ask('/v3/kv/range', { key: '*' }),
  ask('/v3/kv/range', { key: 5 }),
  ask('/v3/kv/range', { key: KEY, limit: 'abc' }),
  ask('/v3/kv/range', { key: KEY, limit: 1.5 }),
  ask('/v3/kv/range', `{"key":"${KEY}","limit":99999999999999999999}`),
  ask('/v3/kv/range', { key: KEY, sort_order: 'FOO' }),
  ask('/v3/kv/range', { key: KEY, sort_order: 9 }, { only37: true }),
  ask('/v3/kv/range', { key: KEY, nonsense: [{ a: 1 }] }),
  ask('/v3/kv/range', { key: KEY, serializable: 'true' }),
  ask('/v3/kv/range', `{"key":"${KEY}"`),
  ask('/v3/kv/range', `{"key":"${KEY}"} x`),
  ask('/v3/kv/range', 'hello'),
  ask('/v3/kv/range', '{"key" 1}'),
  ask('/v3/kv/range', '{"key":"\\x"}'),
  ask('/v3/kv/range', '{"key":tru}'),
  ask('/v3/kv/range', '{,}'),
  ask('/v3/kv/range', '[1 2]'),
  ask('/v3/kv/range', '{"limit":1.}'),
  ask('/v3/kv/range', '{"limit":1e}'),
  ask('/v3/kv/range', '{"limit":1.5E+x}'),
  ask('/v3/kv/range', '{"limit":-}'),
  ask('/v3/kv/range', '{"limit":01}'),
  ask('/v3/kv/range', ''),
  ask('/v3/kv/range', '[]'),
  ask('/v3/kv/range', 'null'),
  ask('/v3/kv/range', `{"key":"${KEY}","key":"${KEY}"}`),
  ask('/v3/kv/range', '{}', { method: 'GET' }),
  ask('/v3/kv/range', '{}', { method: 'PUT' }),
  ask('/v3/kv/range/', '{}'),
  ask('/v3/kv/nothing', '{}'),
  ask('/v3/', '{}'),
  ask('/v3beta/kv/range', { key: KEY }),
  ask('/v3alpha/kv/range', { key: KEY }),
  ask('/v3/kv/txn', {
    compare: [{ key: KEY, target: 'VERSION', version: '0', result: 'GREATER' }],
    success: [{ request_put: { key: KEY, value: base64('1') } }, { requestRange: { key: KEY } }],
    failure: [{ request_delete_range: { key: KEY } }],
  }),
  ask('/v3/kv/txn', { compare: [{ key: KEY, target: 'VERSION', version: '0', value: 'AAA=' }] }),
  ask('/v3/kv/txn', { success: [{ request_put: { key: KEY } }, { request_put: { key: KEY } }] }),
  ask('/v3/kv/deleterange', { key: KEY, prev_kv: true }),
  ask('/v3/kv/compaction', { revision: '3' }),
  ask('/v3/kv/compaction', { revision: '3' }),
  ask('/v3/kv/range', { key: KEY, revision: '2' }),
  ask('/v3/lease/grant', { TTL: '100', ID: '7777' }),
  ask('/v3/lease/grant', { TTL: 100, ID: 7777 }),
  ask('/v3/lease/grant', { TTL: '9000000001' }),
  ask('/v3/lease/timetolive', { ID: '8888', keys: true }),
  ask('/v3/lease/keepalive', { ID: '8888' }),
  ask('/v3/lease/leases', {}),
  ask('/v3/kv/lease/revoke', { ID: 7777 }),
  ask('/v3/lease/revoke', { ID: '7777' }),
  ask('/v3/cluster/member/list', {}),
  ask('/v3/cluster/member/remove', { ID: '1' }),
  ask('/v3/cluster/member/add', { peerURLs: ['nonsense'] }),
  ask('/v3/maintenance/alarm', { action: 'GET' }),
  ask('/v3/maintenance/transfer-leadership', { targetID: '1' }),
  ask('/v3/maintenance/downgrade', { action: 'ENABLE', version: '9.9.9' }),
  ask('/v3/auth/status', {}),
  ask('/v3/auth/enable', {}),
  ask('/v3/auth/user/add', { name: 'root', password: 'secret' }),
  ask('/v3/auth/user/add', { name: 'root', password: 'secret' }),
  ask('/v3/auth/user/add', { name: '' }),
  ask('/v3/auth/user/get', { name: 'nobody' }),
  ask('/v3/auth/role/add', { name: 'r' }),
  ask('/v3/auth/role/grant', {
    name: 'r',
    perm: { permType: 'READWRITE', key: KEY, range_end: base64('fop') },
  }),
  ask('/v3/auth/role/get', { role: 'r' }),
  ask('/v3/auth/user/list', {}),
  ask('/v3/auth/role/list', {}),
  ask('/v3/auth/authenticate', { name: 'root', password: 'secret' }),
];

const servers = serveEachSide();

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: unknown;
}

/** What differs between any two clusters. */
const VOLATILE = new Set([
  'cluster_id',
  'member_id',
  'raft_term',
  'revision',
  'peerURLs',
  'clientURLs',
  'token',
]);
const ID = /^\d{16,}$/;

function masked(value: unknown, name = ''): unknown {
  if (VOLATILE.has(name) || (typeof value === 'string' && ID.test(value))) return 'masked';
  if (Array.isArray(value)) return value.map((item) => masked(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, masked(item, key)]));
}

async function answerOf(server: EtcdServer, { path, body, method = 'POST' }: Ask): Promise<Answer> {
  const hasBody = method !== 'GET';
  const response = await fetch(`${server.clientUrl}${path}`, { method, ...(hasBody ? { body: body! } : {}) });
  const text = await response.text();
  const type = response.headers.get('content-type');
  const isJson = type === 'application/json';
  const lines = isJson ? text.split('\n').filter((line) => line !== '') : [];
  const read = isJson ? lines.map((line) => masked(JSON.parse(line))) : text;
  return { status: response.status, type, body: read };
}

test('every request gets the answer of real etcd', NEEDS_ALL_SIDES, async () => {
  for (const request of ASKS) {
    const answers = new Map<string, Answer>();
    for (const [name, server] of servers) answers.set(name, await answerOf(server, request));
    const what = `${request.method ?? 'POST'} ${request.path} ${request.body}`;
    assert.deepEqual(answers.get('ours'), answers.get('3.7'), what);
    if (request.only37 !== true)
      assert.deepEqual(comparable(answers.get('ours')!), comparable(answers.get('3.5')!), what);
  }
});

/** A release may add fields; what it shares with another is compared by the later one's test. */
function comparable({ status, type }: Answer): unknown {
  return { status, type };
}

/** What a stream of the gateway is answered, as far as that comes within a while behind each piece of the request. */
async function converse(server: EtcdServer, path: string, pieces: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(server.clientUrl);
  const socket = connect(Number(port), hostname);
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;
  let answered = '';
  socket.on('data', (bytes) => (answered += bytes.toString()));
  socket.on('error', (error) => (answered += error.message));
  socket.write(head);
  for (const piece of pieces) {
    socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    await answerOf(server, ask('/v3/kv/put', { key: base64('stream') }));
  }
  await eventually('an answer', () => answered.includes('\r\n\r\n'));
  socket.destroy();
  return answered;
}

test('S17 a stream whose JSON is none has its answer, and the member goes on', async () => {
  const server = servers.get('ours')!;
  for (const path of ['/v3/watch', '/v3/lease/keepalive']) {
    const answered = await converse(server, path, ['{bad', '{bad']);
    assert.match(answered, /^HTTP\/1.1 400 /, path);
    assert.match(answered, /invalid character 'b' looking for beginning of object key string/, path);
  }
  const created = JSON.stringify({ create_request: { key: base64('stream') } });
  assert.match(await converse(server, '/v3/watch', [created, '{bad', created]), /"created":true/);
});

test(
  'a watch is a line for each event, over both versions of HTTP, until the client goes',
  needs('curl'),
  async () => {
    const server = servers.get('ours')!;
    const watched = base64('watched');
    const body = JSON.stringify({ create_request: { key: watched, start_revision: '1' } });
    await answerOf(server, ask('/v3/kv/put', { key: watched, value: KEY }));
    for (const version of ['--http1.1', '--http2-prior-knowledge']) {
      const args = ['-s', '-N', '--max-time', '1', version, '-d', body, `${server.clientUrl}/v3/watch`];
      // The history of before was compacted away by other tests: the first line says so, or has the event.
      const { stdout, code } = await run(tool('curl'), args);
      assert.match(stdout, /^\{"result":\{"header":.*"created":true/, version);
      assert.ok(stdout.includes('"events":[{"kv"') || stdout.includes('compact_revision'), stdout);
      assert.ok(code === 28 || code === 0, `curl ended with ${code}`);
    }
  },
);

test(
  'S07 a token in the header Authorization is the caller; without one there is nobody',
  needs('etcd 3.7'),
  async () => {
    for (const [name, program] of [
      ['ours', SUBJECT],
      ['3.7', peer('3.7', 'etcd')],
    ] as const) {
      const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
      const send = async (
        path: string,
        body: object,
        token?: string,
      ): Promise<{ status: number; json: Record<string, unknown> }> => {
        const headers: Record<string, string> = token === undefined ? {} : { Authorization: token };
        const response = await fetch(`${server.clientUrl}${path}`, {
          method: 'POST',
          headers,
          body: JSON.stringify(body),
        });
        return { status: response.status, json: (await response.json()) as Record<string, unknown> };
      };
      await send('/v3/auth/user/add', { name: 'root', password: 'secret' });
      await send('/v3/auth/user/grant', { user: 'root', role: 'root' });
      await send('/v3/auth/enable', {});
      const refused = await send('/v3/kv/put', { key: KEY });
      assert.deepEqual(
        [refused.status, refused.json['message']],
        [400, 'etcdserver: user name is empty'],
        name,
      );
      const wrong = await send('/v3/kv/put', { key: KEY }, 'forged');
      assert.deepEqual([wrong.status, wrong.json['message']], [401, 'etcdserver: invalid auth token'], name);
      const { json } = await send('/v3/auth/authenticate', { name: 'root', password: 'secret' });
      assert.equal((await send('/v3/kv/put', { key: KEY }, String(json['token']))).status, 200, name);
      await server.kill();
    }
  },
);
