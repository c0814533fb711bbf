/** The gateway over WebSockets beside that of real etcd 3.5 and 3.7, by a client of other makers: Node's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { PATIENCE_MS } from '../../support/run.ts';
import { NEEDS_ALL_SIDES, type SideName, serveEachSide } from '../../support/sides.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const CREATE = JSON.stringify({ create_request: { key: base64('a'), start_revision: 1 } });
const VOLATILE = /"(cluster_id|member_id|raft_term)":"\d+",?/g;

const servers = serveEachSide(async (server) => {
  const rpc = new EtcdRpc(server.address);
  await rpc.call('KV.Put', { key: 'a', value: '1' });
  rpc.close();
});

/** The subprotocol and the first `count` messages of the answer to these, in their order for each watcher. */
function converse(
  url: string,
  { messages, count, protocols = [] }: { messages: (string | Buffer)[]; count: number; protocols?: string[] },
): Promise<readonly unknown[]> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols);
    const timer = setTimeout(() => {
      end();
      reject(new Error(`${url}: no answer`));
    }, PATIENCE_MS);
    const end = (): void => {
      clearTimeout(timer);
      socket.close();
    };
    const seen: unknown[] = [];
    socket.addEventListener('open', () => {
      for (const message of messages) socket.send(message);
    });
    socket.addEventListener('message', ({ data }) => {
      // White space of the JSON is not the same from one run of Go to the next.
      const compact = JSON.stringify(JSON.parse(String(data)));
      seen.push(JSON.parse(compact.replaceAll(VOLATILE, '').replaceAll(',}', '}')));
      if (seen.length < count) return;
      end();
      const sorted = seen.map((item) => JSON.stringify(item)).sort();
      resolve([socket.protocol, ...sorted]);
    });
    socket.addEventListener('error', () => {
      end();
      if (seen.length < count) resolve(['refused']);
    });
  });
}

async function same(
  path: string,
  talk: { messages: (string | Buffer)[]; count: number; protocols?: string[] },
  ...releases: ('3.5' | '3.7')[]
): Promise<readonly unknown[]> {
  const answer = (name: SideName): Promise<readonly unknown[]> =>
    converse(`ws://${servers.get(name)!.address}${path}`, talk);
  const ours = await answer('ours');
  const what = `${path} ${talk.messages}`;
  for (const release of releases) assert.deepEqual(ours, await answer(release), `${release}: ${what}`);
  return ours;
}

test('each value is a request, each message of the answer a message', NEEDS_ALL_SIDES, async () => {
  const watched = await same('/v3/watch', { messages: [CREATE], count: 2 }, '3.5', '3.7');
  assert.equal(watched.length, 3);
  await same('/v3/watch', { messages: [Buffer.from(CREATE)], count: 2 }, '3.5', '3.7');
  await same('/v3/watch', { messages: [CREATE + CREATE], count: 4 }, '3.5', '3.7');
  await same('/v3/watch?method=GET', { messages: [CREATE], count: 2 }, '3.5', '3.7');
  await same('/v3beta/watch', { messages: [CREATE], count: 2 }, '3.5', '3.7');
  const kept = ['7', '8'].map((ID) => JSON.stringify({ ID }));
  await same('/v3/lease/keepalive', { messages: kept, count: 2 }, '3.5', '3.7');
});

test(
  'methods with one request, and what is wrong, are answered with one message',
  NEEDS_ALL_SIDES,
  async () => {
    // Etcd 3.7 waits for the end of the connection before it answers.
    await same('/v3/kv/range', { messages: [JSON.stringify({ key: base64('a') })], count: 1 }, '3.5');
    await same('/v3/kv/range', { messages: ['hello'], count: 1 }, '3.5', '3.7');
    await same('/v3/nowhere', { messages: [CREATE], count: 1 }, '3.5', '3.7');
  },
);

test('of subprotocols only Bearer is known', NEEDS_ALL_SIDES, async () => {
  const protocols = ['Bearer', 'token.1'];
  const [protocol] = await same('/v3/watch', { messages: [CREATE], count: 2, protocols }, '3.5', '3.7');
  assert.equal(protocol, 'Bearer');
  const refused = await same('/v3/watch', { messages: [], count: 1, protocols: ['soap'] }, '3.5', '3.7');
  assert.deepEqual(refused, ['refused']);
  assert.deepEqual(await same('/health', { messages: [], count: 1 }, '3.5', '3.7'), ['refused']);
});

test('where etcd falls silent, the client is told what is wrong', async () => {
  const wrong = await same('/v3/watch', { messages: ['{"x" 1'], count: 1 });
  assert.deepEqual(JSON.parse(String(wrong[1])), {
    code: 3,
    message: "invalid character '1' after object key",
  });
  const split = await same('/v3/watch', { messages: [CREATE.slice(0, 20), CREATE.slice(20)], count: 1 });
  assert.match(String(split[1]), /in string literal/);
});

test('S07 the token behind Bearer says who calls', needs('etcd 3.7'), async () => {
  for (const program of [SUBJECT, peer('3.7', 'etcd')]) {
    const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
    const rpc = new EtcdRpc(server.address);
    await rpc.call('KV.Put', { key: 'a', value: '1' });
    await rpc.call('Auth.UserAdd', { name: 'root', password: 'p' });
    await rpc.call('Auth.RoleAdd', { name: 'root' });
    await rpc.call('Auth.UserGrantRole', { user: 'root', role: 'root' });
    await rpc.call('Auth.AuthEnable', {});
    const { token } = await rpc.call('Auth.Authenticate', { name: 'root', password: 'p' });
    const ask = (protocols: string[]): Promise<readonly unknown[]> =>
      converse(`ws://${server.address}/v3/watch`, { messages: [CREATE], count: 1, protocols });
    assert.match(String((await ask(['Bearer', token]))[1]), /"created":true}}$/, program);
    assert.match(String((await ask(['Bearer', 'forged.1']))[1]), /invalid auth token/, program);
    assert.match(String((await ask([]))[1]), /cancel_reason/, program);
    rpc.close();
    await server.kill();
  }
});
