/** `etcd grpc-proxy --experimental-leasing-prefix`: proxies of ours and of Go that lease keys from each other never answer what is not so any more. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { compare, type EtcdClient, op } from '@etcd/client';
import { connect } from '@etcd/client/node';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { endProxies, ProxyProcess } from '../../support/proxy.ts';
import { eventually } from '../../support/run.ts';

const GO = peer('3.7', 'etcd');
const FLAGS = ['--experimental-leasing-prefix=leasing/'];
const OPERATIONS = 150;

afterEach(endProxies);

interface World {
  readonly server: EtcdServer;
  readonly proxies: readonly ProxyProcess[];
  readonly clients: readonly EtcdClient[];
  readonly direct: EtcdClient;
}

async function start(...programs: readonly string[]): Promise<World> {
  const server = await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION });
  const proxies = await Promise.all(
    programs.map((program) =>
      ProxyProcess.start('grpc-proxy', { program, endpoints: [server.address], flags: FLAGS }),
    ),
  );
  const clients = proxies.map(({ address }) => connect({ endpoints: [address], healthChecks: false }));
  return { server, proxies, clients, direct: connect({ endpoints: [server.address] }) };
}

async function stop({ server, proxies, clients, direct }: World): Promise<void> {
  for (const client of [...clients, direct]) client.close();
  await Promise.all(proxies.map((proxy) => proxy.stop('SIGKILL')));
  await server.stop();
}

async function read(client: EtcdClient, key: string): Promise<string | null> {
  const [pair] = (await client.kv.get(key)).kvs;
  return pair === undefined ? null : Buffer.from(pair.value).toString();
}

for (const [what, programs] of [
  ['two of ours', [SUBJECT, SUBJECT]],
  ['ours and one of Go', [SUBJECT, GO]],
] as const) {
  test(`${what}: whatever is written through one is read through the other`, needs('etcd 3.7'), async () => {
    const world = await start(...programs);
    const { clients, direct } = world;
    const random = new SeededRandom(5);
    const keys = ['a', 'b', 'c'];
    const model = new Map<string, string | null>(keys.map((key) => [key, null]));
    for (let i = 0; i < OPERATIONS; i++) {
      const client = random.pick(clients);
      const key = random.pick(keys);
      const dice = random.below(10);
      if (dice < 5) assert.equal(await read(client, key), model.get(key) ?? null, `operation ${i}, ${key}`);
      else if (dice < 7) {
        await client.kv.put(key, `v${i}`);
        model.set(key, `v${i}`);
      } else if (dice < 8) {
        await client.kv.delete(key);
        model.set(key, null);
      } else if (dice < 9) {
        const { succeeded } = await client.kv
          .txn()
          .when(compare.exists(key))
          .do(op.put(key, `t${i}`))
          .otherwise(op.put('c', `e${i}`))
          .commit();
        const exists = model.get(key) !== null;
        assert.equal(succeeded, exists, `operation ${i}, ${key}`);
        model.set(exists ? key : 'c', exists ? `t${i}` : `e${i}`);
      } else {
        await client.kv.delete('a', { rangeEnd: 'c' });
        model.set('a', null);
        model.set('b', null);
      }
    }
    for (const client of [...clients, direct]) {
      for (const key of keys) assert.equal(await read(client, key), model.get(key) ?? null);
    }
    await stop(world);
  });
}

test(
  'a key that is owned is read without the cluster, and given up when another wants it',
  needs('etcd 3.7'),
  async () => {
    const world = await start(SUBJECT, SUBJECT);
    const { clients, direct } = world;
    const [first, second] = clients as [EtcdClient, EtcdClient];
    await first.kv.put('k', '1');
    await eventually('it is owned', async () => {
      await first.kv.get('k');
      return (await direct.kv.get('leasing/k')).kvs.length === 1;
    });
    // Behind the backs of all proxies: what nobody may do, and what shows who answers.
    await direct.kv.put('k', 'unseen');
    assert.equal(await read(first, 'k'), '1');
    await second.kv.put('k', '2');
    assert.deepEqual([await read(first, 'k'), await read(second, 'k')], ['2', '2']);
    await stop(world);
  },
);

test(
  'counters that many clients of several proxies raise at once come out right',
  needs('etcd 3.7'),
  async () => {
    const world = await start(SUBJECT, SUBJECT, GO);
    const { clients, direct } = world;
    const raises = 12;
    await Promise.all(
      clients.map(async (client) => {
        for (let done = 0; done < raises; ) {
          const [pair] = (await client.kv.get('n')).kvs;
          const value = pair === undefined ? 0 : Number(Buffer.from(pair.value));
          const { succeeded } = await client.kv
            .txn()
            .when(compare.modRevision('n', '=', pair?.modRevision ?? 0))
            .do(op.put('n', String(value + 1)))
            .commit();
          if (succeeded) done++;
        }
      }),
    );
    assert.equal(await read(direct, 'n'), String(raises * clients.length));
    await stop(world);
  },
);

test('S13 with users, what one may read is not told to others', needs('etcd 3.7'), async () => {
  const world = await start(SUBJECT);
  const { clients, direct, proxies, server } = world;
  const [anyone] = clients as [EtcdClient];
  await anyone.kv.put('k', 'secret');
  await eventually('it is owned', async () => {
    await anyone.kv.get('k');
    return (await direct.kv.get('leasing/k')).kvs.length === 1;
  });
  await direct.auth.userAdd('root', 'pw');
  await direct.auth.userGrantRole('root', 'root');
  await direct.auth.userAdd('u', 'pw');
  await direct.auth.enable();
  await eventually('nobody without a name is told any more', async () => {
    try {
      await anyone.kv.get('k');
      return false;
    } catch (error) {
      return /user name is empty/.test(String(error));
    }
  });
  const as = (username: string): EtcdClient =>
    connect({
      endpoints: [proxies[0]!.address],
      credentials: { username, password: 'pw' },
      healthChecks: false,
    });
  const [root, user] = [as('root'), as('u')];
  assert.equal(await read(root, 'k'), 'secret');
  await assert.rejects(user.kv.get('k'), /permission denied/);
  for (const client of [root, user]) client.close();
  assert.equal(server.isOver, false);
  await stop(world);
});
