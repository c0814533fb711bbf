import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { afterEach, test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { DebugPages } from '@etcd/host/debug';
import { ProxyHttp, type ProxyPages } from './proxy-http.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function ask(
  pages: Partial<ProxyPages>,
  path: string,
  method = 'GET',
): Promise<{ readonly status: number; readonly body: string; readonly type: string }> {
  const http = new ProxyHttp({
    memberMetrics: () => Promise.resolve('member 1\n'),
    ownMetrics: () => Promise.resolve({ contentType: 'text/plain; version=0.0.4', text: 'own 1\n' }),
    clusterProblem: () => Promise.resolve(''),
    proxyProblem: () => Promise.resolve(''),
    debug: null,
    logger: SILENT_LOGGER,
    ...pages,
  });
  const server = createServer((request, response) => http.onHttp1(request, response));
  ends.push(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'string' || address === null ? 0 : address.port;
  return new Promise((resolve, reject) => {
    const asked = httpRequest({ host: '127.0.0.1', port, path, method, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text) => (body += text));
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, body, type: answer.headers['content-type'] ?? '' }),
      );
    });
    asked.on('error', reject);
    asked.end();
  });
}

test('metrics are those of a member, and the own ones have a path of their own', async () => {
  const member = await ask({}, '/metrics');
  assert.deepEqual(
    [member.status, member.body, member.type],
    [200, 'member 1\n', 'text/plain; version=0.0.4'],
  );
  assert.equal((await ask({}, '/proxy/metrics?x=1')).body, 'own 1\n');
  const down = await ask({ memberMetrics: () => Promise.reject(new Error('no')) }, '/metrics');
  assert.deepEqual([down.status, down.body], [500, 'Internal server error\n']);
  const broken = await ask({ ownMetrics: () => Promise.reject(new Error('no')) }, '/proxy/metrics');
  assert.deepEqual([broken.status, broken.body], [500, 'failed to render metrics\n']);
});

test('health is told as by a member', async () => {
  for (const path of ['/health', '/proxy/health']) {
    const good = await ask({}, path);
    assert.deepEqual([good.status, good.body], [200, '{"health":"true","reason":""}']);
    const problem = (): Promise<string> => Promise.resolve('GET ERROR:context deadline exceeded');
    const bad = await ask({ clusterProblem: problem, proxyProblem: problem }, path);
    assert.equal(bad.status, 503);
    assert.equal(bad.body, '{"health":"false","reason":"GET ERROR:context deadline exceeded"}\n');
    assert.equal((await ask({}, path, 'POST')).status, 405);
  }
});

test('other paths are not there', async () => {
  const { status, body } = await ask({}, '/v3/kv/range');
  assert.deepEqual([status, body], [404, '404 page not found\n']);
});

test('profiles of the proxy are served where they are asked for, and nowhere else', async () => {
  assert.equal((await ask({}, '/debug/pprof/cmdline')).status, 404);
  const debug = new DebugPages(null, ['etcd', 'grpc-proxy']);
  const { status, body } = await ask({ debug }, '/debug/pprof/cmdline?x=1');
  assert.deepEqual([status, body], [200, 'etcd\0grpc-proxy']);
  assert.equal((await ask({ debug }, '/debug/log-level')).status, 404);
});
