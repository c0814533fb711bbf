import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import { SILENT_LOGGER } from '@etcd/base';
import { FakeStore } from '../testing/fake-store.ts';
import { ProxiedCluster } from '../testing/proxied-cluster.ts';
import { Registration } from './registration.ts';

function newProxy(world: ProxiedCluster, address: string): Registration {
  const registration = new Registration({
    keys: world.cluster.client(),
    prefix: 'proxies',
    ttlSeconds: 5,
    address,
    hostname: `host of ${address}`,
    clock: world.clock,
    logger: SILENT_LOGGER,
  });
  registration.start();
  return registration;
}

async function settle(world: ProxiedCluster, forMs = 100): Promise<void> {
  for (let passed = 0; passed <= forMs; passed += 50) {
    await world.cluster.run(50);
    world.history.pump(true);
  }
  await world.cluster.run();
}

function addresses(registration: Registration): string[] {
  return [...registration.proxies].map(({ address }) => address).toSorted();
}

test('proxies know each other from what each has written, in the form of clients of etcd', async () => {
  const world = new ProxiedCluster();
  const store = new FakeStore(world.cluster, world.history);
  const [first, second] = [newProxy(world, 'a:1'), newProxy(world, 'b:2')];
  await settle(world);
  assert.equal(
    store.value('proxies/a:1'),
    '{"Op":0,"Addr":"a:1","Metadata":"{\\"name\\":\\"host of a:1\\"}"}',
  );
  for (const proxy of [first, second]) assert.deepEqual(addresses(proxy), ['a:1', 'b:2']);
  assert.equal([...first.proxies][0]?.name, 'host of a:1');
  await world.cluster.until(second.stop());
  await settle(world);
  assert.deepEqual(addresses(first), ['a:1']);
});

test('one whose lease has ended writes itself again', async () => {
  const world = new ProxiedCluster();
  const store = new FakeStore(world.cluster, world.history);
  const proxy = newProxy(world, 'a:1');
  await settle(world);
  store.expire(store.pairs.get('proxies/a:1')!.lease);
  await settle(world, 8_000);
  assert.notEqual(store.value('proxies/a:1'), null);
  assert.deepEqual(addresses(proxy), ['a:1']);
});

test('as long as its key is refused, it does not gather leases', async () => {
  const world = new ProxiedCluster();
  const store = new FakeStore(world.cluster, world.history);
  const { ErrGRPCPermissionDenied } = RPC_ERRORS;
  store.refusal = ErrGRPCPermissionDenied;
  const proxy = newProxy(world, 'a:1');
  await settle(world, 10_000);
  assert.ok(store.leaseCount <= 1, `${store.leaseCount} leases`);
  store.refusal = null;
  await settle(world, 2_000);
  assert.deepEqual([addresses(proxy), store.leaseCount], [['a:1'], 1]);
});

test('what is no registration is left out', async () => {
  const world = new ProxiedCluster();
  const store = new FakeStore(world.cluster, world.history);
  store.set('proxies/broken', '{');
  store.set('proxies/other', '{"Addr":5,"Metadata":"{}"}');
  const proxy = newProxy(world, 'a:1');
  await settle(world);
  store.set('proxies/later', 'x');
  await settle(world);
  assert.deepEqual(addresses(proxy), ['a:1']);
});
