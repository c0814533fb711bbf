/** Every other path and method of the client and peer listeners, byte by byte as they were sent, beside real etcd 3.5 and 3.7. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { EtcdServer } from '../../support/etcd-server.ts';
import { NEEDS_ALL_SIDES, serveEachSide } from '../../support/sides.ts';

const servers = serveEachSide();

interface Answer {
  readonly status: string;
  readonly type: string | undefined;
  readonly allow: string | undefined;
  readonly body: string;
}

/** The answer to a request that is sent as it is: a library would tidy its path up. */
async function ask(
  port: number,
  method: string,
  path: string,
  headers: string,
  body: string,
): Promise<Answer> {
  const socket = connect(port, '127.0.0.1');
  const length = `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}${length}\r\n${body}`,
  );
  let text = '';
  for await (const bytes of socket.setEncoding('utf8')) text += String(bytes);
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const header = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1];
  const isJson = header('content-type') === 'application/json';
  const content = rest.join('\r\n\r\n');
  // White space of Go's JSON differs from run to run.
  const compact =
    isJson && content !== '' ? JSON.stringify(JSON.parse(content)).replaceAll(IDS, '') : content;
  return {
    status: head.split(' ')[1] ?? head,
    type: header('content-type'),
    allow: header('allow'),
    body: compact,
  };
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

const PEER_ROWS: readonly Row[] = [
  ['GET', '/'],
  ['GET', '/health'],
  ['GET', '/metrics'],
  ['POST', '/v3/kv/range', JSON_TYPE, RANGE],
  ['POST', '/members'],
  ['POST', '/version'],
];

async function compare(rows: readonly Row[], portOf: (server: EtcdServer) => number): Promise<void> {
  for (const [method, path, headers = '', body = ''] of rows) {
    const answers = new Map<string, Answer>();
    for (const [name, server] of servers) {
      answers.set(name, await ask(portOf(server), method, path, headers, body));
    }
    const what = `${method} ${path} ${headers}${body}`;
    assert.deepEqual(answers.get('ours'), answers.get('3.7'), what);
    // Etcd 3.5 said that /v3 has moved for good.
    if (answers.get('ours')!.status !== '307') {
      assert.equal(answers.get('ours')!.status, answers.get('3.5')!.status, `3.5: ${what}`);
    }
  }
}

test('paths and methods of the client listener', NEEDS_ALL_SIDES, () =>
  compare(CLIENT_ROWS, ({ clientPort }) => clientPort),
);

test('paths and methods of the peer listener', NEEDS_ALL_SIDES, () =>
  compare(PEER_ROWS, ({ peerPort }) => peerPort),
);
