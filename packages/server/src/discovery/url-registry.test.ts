/** Discovery at a service of the older kind, which is a page of this process, and says what the test says. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { DiscoveryError } from './discovery-error.ts';
import { HttpStatusError, KeysApi, KeysError } from './keys-api.ts';
import { joinByUrl } from './url-registry.ts';

interface Answer {
  readonly status?: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** @param answer what is said to `METHOD path?query`, body. */
async function serve(t: TestContext, answer: (asked: string, body: string) => Answer): Promise<string> {
  const server: Server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const said = answer(`${request.method} ${request.url}`, Buffer.concat(chunks).toString());
      response.writeHead(said.status ?? 200, { 'x-etcd-index': '7', ...said.headers });
      response.end(typeof said.body === 'string' ? said.body : JSON.stringify(said.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/T`;
}

const node = (key: string, value: string, createdIndex = 1, nodes: readonly unknown[] = []): unknown => ({
  node: { key, value, createdIndex, nodes },
});
const inner = (key: string, value: string, createdIndex: number): unknown => ({ key, value, createdIndex });
const error = (errorCode: number): unknown => ({ errorCode, message: 'm', cause: 'c', index: 7 });

async function join(url: string, mayBeRegistered = false): Promise<string> {
  const keys = new KeysApi(url, '');
  try {
    return await joinByUrl({
      url,
      keys,
      memberId: 0xabn,
      ownText: 'm1=http://h1:1',
      mayBeRegistered,
      clock: new NodeClock(),
      logger: SILENT_LOGGER,
    });
  } finally {
    keys.close();
  }
}

/** A service with these members beside whoever registers. */
function registry(
  size: string,
  others: readonly unknown[],
  created: Answer = { status: 201, body: node('/T/ab', '') },
) {
  let isRegistered = created.status === 412;
  return (asked: string, body: string): Answer => {
    if (asked.startsWith('PUT')) {
      assert.equal(asked, 'PUT /T/ab?prevExist=false');
      assert.equal(body, 'value=m1%3Dhttp%3A%2F%2Fh1%3A1');
      isRegistered ||= created.status === 201;
      return created;
    }
    if (asked === 'GET /T/_config/size') return { body: node('/T/_config/size', size) };
    if (asked === 'GET /T/ab') return { body: node('/T/ab', 'm1=http://h1:1') };
    assert.equal(asked, 'GET /T');
    const own = isRegistered ? [inner('/T/ab', 'm1=http://h1:1', 50)] : [];
    return { body: node('/T', '', 1, [inner('/T/_config', '', 2), ...own, ...others]) };
  };
}

const M2 = inner('/T/cd', 'm2=http://h2:1', 9);

test('a member registers under its id, and the cluster is in the order of registration', async (t) => {
  assert.equal(await join(await serve(t, registry('2', [M2]))), 'm2=http://h2:1,m1=http://h1:1');
});

test('a member waits for what it is told of, and looks again', async (t) => {
  let waits = 0;
  const others: unknown[] = [];
  const say = registry('2', others);
  const url = await serve(t, (asked, body) => {
    if (!asked.includes('wait=true')) return say(asked, body);
    assert.equal(asked, 'GET /T?wait=true&recursive=true&waitIndex=8');
    waits++;
    if (waits === 1) return { status: 400, body: error(401) };
    others.push(M2);
    return { body: node('/T/cd', '') };
  });
  assert.equal(await join(url), 'm2=http://h2:1,m1=http://h1:1');
  assert.equal(waits, 2);
});

test('what can not be a cluster is refused in the words of etcd', async (t) => {
  const full = [M2, inner('/T/ef', 'm3=http://h3:1', 10)];
  const cases: readonly (readonly [Parameters<typeof serve>[1], string])[] = [
    [registry('2', full), 'discovery: cluster is full'],
    [registry('two', []), 'discovery: size key is bad'],
    [registry('0', []), 'discovery: size key is bad'],
    [() => ({ status: 404, body: error(100) }), 'discovery: size key not found'],
    [() => ({ body: 'no JSON' }), 'discovery: bad discovery endpoint'],
    [() => ({ status: 404, body: '404 page not found' }), 'discovery: bad discovery endpoint'],
    [registry('2', [inner('/T/cd', 'm1=http://h2:1', 9)]), 'discovery: found duplicate name'],
    [registry('2', [inner('/T/cd', 'm2=nowhere', 9)]), 'discovery: invalid URL'],
    [registry('2', [M2], { status: 412, body: error(105) }), 'discovery: found duplicate id'],
  ];
  for (const [answer, words] of cases) {
    await assert.rejects(join(await serve(t, answer)), new DiscoveryError(words), words);
  }
});

test('whoever has registered in a run that came to nothing is not a duplicate of himself', async (t) => {
  const url = await serve(t, registry('2', [M2], { status: 412, body: error(105) }));
  assert.equal(await join(url, true), 'm2=http://h2:1,m1=http://h1:1');
});

test('a redirection is followed, but not for ever', async (t) => {
  const target = await serve(t, registry('2', [M2]));
  const moved = await serve(t, (asked) => ({
    status: 307,
    body: '',
    headers: { location: new URL(asked.split(' ')[1]!, target).toString() },
  }));
  assert.equal(await join(moved), 'm2=http://h2:1,m1=http://h1:1');
  const circle = await serve(t, (asked) => ({
    status: 307,
    body: '',
    headers: { location: asked.split(' ')[1]! },
  }));
  await assert.rejects(join(circle), new DiscoveryError('discovery: bad discovery endpoint'));
});

test('S17 an answer without an end, or of no kind, is an error and no more', async (t) => {
  const long = await serve(t, () => ({ body: ' '.repeat(2 * 1024 * 1024) }));
  const keys = new KeysApi(long, '');
  await assert.rejects(keys.get('x'), /the answer is too long/);
  keys.close();
  const broken = new KeysApi(await serve(t, () => ({ status: 503, body: '' })), '');
  await assert.rejects(broken.get('x'), HttpStatusError);
  broken.close();
  const refusing = new KeysApi(await serve(t, () => ({ status: 403, body: error(110) })), '');
  await assert.rejects(refusing.get('x'), (thrown) => thrown instanceof KeysError && thrown.code === 110);
  refusing.close();
  for (const body of [[], {}, { node: 3 }, { node: { nodes: [1] } }, 'null']) {
    const odd = new KeysApi(await serve(t, () => ({ body })), '');
    await assert.rejects(odd.get('x'), DiscoveryError);
    odd.close();
  }
});
