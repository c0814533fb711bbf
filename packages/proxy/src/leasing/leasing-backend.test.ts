import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode, type Method, RPC_ERRORS } from '@etcd/api';
import { DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest } from '@etcd/api/etcdserverpb';
import { KvService } from '@etcd/api/services';
import { GrpcCode, latin1FromBytes, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { compare, type EtcdClient } from '@etcd/client';
import { FakeCluster, FakeHistory } from '@etcd/client/testing';
import { SimClock } from '@etcd/testing';
import { FakeStore } from '../testing/fake-store.ts';
import { type Caller, Callers } from '../upstream/caller.ts';
import { Upstream } from '../upstream/upstream.ts';
import { LeasingBackend } from './leasing-backend.ts';
import { LeasingSession } from './leasing-session.ts';
import { OwnedKeys } from './owned-keys.ts';

const { range, put, deleteRange, txn } = KvService.methods;
const PREFIX = 'L/';

/** One proxy of several before a cluster in memory. */
class LeasingProxy {
  readonly owned = new OwnedKeys();
  readonly session: LeasingSession;
  readonly backend: LeasingBackend;
  readonly #world: World;
  readonly #callers = new Callers('proxy');

  constructor(world: World) {
    this.#world = world;
    const { cluster, clock } = world;
    const upstream = new Upstream({ ...cluster.options, clock, random: world.random });
    const keys: EtcdClient = cluster.client();
    const { owned } = this;
    this.session = new LeasingSession({ keys, prefix: PREFIX, owned, clock, logger: SILENT_LOGGER });
    const { own } = this.#callers;
    this.backend = new LeasingBackend({
      below: upstream,
      session: this.session,
      owned,
      keys,
      prefix: PREFIX,
      own,
      clock,
    });
  }

  ask<Request, Response>(
    { path, request: codec, response }: Method<'unary', Request, Response>,
    request: Request,
    caller: Caller = this.#callers.own,
  ): Promise<Response> {
    const asked = new Promise<Response>((resolve, reject) => {
      this.backend.unary(
        path,
        encode(codec, request),
        caller,
        Infinity,
        (code, message, bytes, start, end) => {
          if (code === GrpcCode.OK) resolve(response.decode(bytes, start, end));
          else reject(new Error(message));
        },
      );
    });
    return this.#world.run(asked);
  }

  async read(key: string): Promise<string | null> {
    const [pair] = (await this.ask(range, new RangeRequest({ key: Buffer.from(key) }))).kvs;
    return pair === undefined ? null : latin1FromBytes(pair.value);
  }

  async write(key: string, value: string): Promise<void> {
    await this.ask(put, new PutRequest({ key: Buffer.from(key), value: Buffer.from(value) }));
  }
}

class World {
  readonly clock = new SimClock();
  readonly random: SeededRandom;
  readonly cluster: FakeCluster;
  readonly history: FakeHistory;
  readonly store: FakeStore;
  readonly proxies: LeasingProxy[] = [];

  constructor(seed = 1, size = 1) {
    this.random = new SeededRandom(seed);
    this.cluster = new FakeCluster(this.clock, size, seed);
    this.history = new FakeHistory(this.random);
    for (const server of this.cluster.servers) this.history.serve(server);
    this.store = new FakeStore(this.cluster, this.history);
  }

  async start(count: number): Promise<readonly LeasingProxy[]> {
    for (let i = 0; i < count; i++) {
      const proxy = new LeasingProxy(this);
      await this.run(proxy.session.start());
      this.proxies.push(proxy);
    }
    return this.proxies;
  }

  /** Lets time pass, with all events delivered, until the promise is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    for (let i = 0; i < 5_000 && !isSettled; i++) {
      this.history.pump(true);
      await this.cluster.run(i < 20 ? 0 : 20);
    }
    assert.ok(isSettled, 'not settled');
    return promise;
  }
}

test('a key that was read is owned, and answered without the cluster until somebody writes it', async () => {
  const world = new World();
  const [first, second] = await world.start(2);
  await first!.write('k', '1');
  assert.equal(await first!.read('k'), '1');
  assert.equal(world.store.value('L/k'), '');
  const before = world.store.readCount;
  assert.equal(await first!.read('k'), '1');
  // The only question is whether the cluster would still answer.
  assert.ok(world.store.readCount - before <= 1);
  await second!.write('k', '2');
  assert.equal(world.store.value('L/k'), null);
  assert.deepEqual([await first!.read('k'), await second!.read('k')], ['2', '2']);
});

test('an absent key is owned, too', async () => {
  const world = new World();
  const [first, second] = await world.start(2);
  assert.equal(await first!.read('k'), null);
  assert.equal(world.store.value('L/k'), '');
  await second!.write('k', '1');
  assert.equal(await first!.read('k'), '1');
});

test('own writes need nobody, and keep the key', async () => {
  const world = new World();
  const [first] = await world.start(1);
  await first!.read('k');
  for (const value of ['1', '2', '3']) {
    await first!.write('k', value);
    assert.equal(await first!.read('k'), value);
  }
  assert.equal(world.store.value('L/k'), '');
});

test('whatever is written through any proxy is read through all, while members are cut off', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = new World(seed, 2);
    const proxies = await world.start(3);
    const { random } = world;
    const keys = ['a', 'b', 'c'];
    const model = new Map<string, string | null>(keys.map((key) => [key, null]));
    for (let i = 0; i < 80; i++) {
      const proxy = random.pick(proxies);
      const key = random.pick(keys);
      const dice = random.below(12);
      const what = `seed ${seed}, operation ${i}, key ${key}`;
      if (dice < 6) assert.equal(await proxy.read(key), model.get(key) ?? null, what);
      else if (dice < 8) {
        await proxy.write(key, `${i}`);
        model.set(key, `${i}`);
      } else if (dice < 9) {
        await proxy.ask(
          deleteRange,
          new DeleteRangeRequest({ key: Buffer.from('a'), rangeEnd: Buffer.from('c') }),
        );
        for (const gone of ['a', 'b']) model.set(gone, null);
      } else if (dice < 10) {
        await proxy.ask(deleteRange, new DeleteRangeRequest({ key: Buffer.from(key) }));
        model.set(key, null);
      } else if (dice < 11) {
        const write = (value: string): RequestOp =>
          new RequestOp({ requestPut: new PutRequest({ key: Buffer.from(key), value: Buffer.from(value) }) });
        const request = new TxnRequest({
          compare: [compare.exists(key)],
          success: [write(`t${i}`)],
          failure: [write(`e${i}`)],
        });
        const { succeeded } = await proxy.ask(txn, request);
        assert.equal(succeeded, model.get(key) !== null, what);
        model.set(key, succeeded ? `t${i}` : `e${i}`);
      } else {
        // Streams and sessions have to be made again; nothing that is answered may suffer.
        for (const server of world.cluster.servers) server.cut();
        await world.run(world.cluster.run(300));
      }
    }
    for (const key of keys) assert.equal(world.store.value(key), model.get(key), `seed ${seed}`);
  }
});

test('when the lease of an owner ends, whoever waits for its key goes on', async () => {
  const world = new World();
  const [first, second] = await world.start(2);
  assert.equal(await first!.read('k'), null);
  const lease = first!.session.leaseId;
  assert.ok(lease !== null);
  // Gone without a word, as a machine that has lost its power.
  await world.run(first!.session.stop());
  await second!.write('k', '1');
  assert.equal(await second!.read('k'), '1');
});

test('a key on a lease is not owned: it may go by itself', async () => {
  const world = new World();
  const [first] = await world.start(1);
  await first!.ask(put, new PutRequest({ key: Buffer.from('k'), value: Buffer.from('v'), lease: 99n }));
  assert.equal(await first!.read('k'), 'v');
  world.store.expire(99n);
  assert.equal(await first!.read('k'), null);
});

test('S13 with a token one is answered by the cluster; without one, as long as the cluster would answer', async () => {
  const world = new World();
  const [first] = await world.start(1);
  await first!.write('k', 'secret');
  await first!.read('k');
  assert.notEqual(first!.owned.get('k'), null);
  const { code, message } = RPC_ERRORS.ErrGRPCPermissionDenied;
  world.store.refusal = { code, message };
  const named: Caller = { ...new Callers('x').own, hasToken: true };
  const request = new RangeRequest({ key: Buffer.from('k') });
  await assert.rejects(first!.ask(range, request, named), /permission denied/);
  // What is believed of the cluster is a second old at most.
  await world.run(world.cluster.run(1_100));
  await assert.rejects(first!.read('k'), /permission denied/);
  assert.equal(first!.owned.get('k'), null);
});
