import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import { AuthenticateResponse } from '@etcd/api/etcdserverpb';
import type { Event } from '@etcd/api/mvccpb';
import { AuthService } from '@etcd/api/services';
import { EMPTY_BYTES, latin1FromBytes, SeededRandom } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { EtcdClient } from '../client.ts';
import { CompactedError } from '../errors.ts';
import { keyRange } from '../keys.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { FakeHistory } from '../testing/fake-history.ts';
import type { Watcher } from './watcher.ts';

interface World {
  readonly cluster: FakeCluster;
  readonly history: FakeHistory;
  readonly random: SeededRandom;
  readonly client: EtcdClient;
}

function newWorld(seed = 1, size = 1): World {
  const random = new SeededRandom(seed);
  const cluster = new FakeCluster(new SimClock(), size, seed);
  const history = new FakeHistory(random);
  for (const server of cluster.servers) history.serve(server);
  return { cluster, history, random, client: cluster.client() };
}

function describe({ type, kv }: Event): string {
  return `${kv?.modRevision}.${kv?.version} ${type} ${latin1FromBytes(kv?.key ?? EMPTY_BYTES)}`;
}

/** Reads a watch to its end, at its own pace. */
class Reader {
  readonly seen: string[] = [];
  readonly watch: Watcher;
  readonly range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array };
  readonly done: Promise<void>;
  startRevision = 0;

  constructor(world: World, key: string, startRevision: number, isSlow: boolean) {
    this.range = keyRange(key, { prefix: true });
    const options = isSlow ? { maxHeldBytes: 200 } : {};
    this.watch = world.client.watch(key, { prefix: true, startRevision, ...options });
    this.watch.ready().then(
      (revision) => (this.startRevision = revision),
      () => {},
    );
    this.done = this.#read(world, isSlow);
  }

  async #read(world: World, isSlow: boolean): Promise<void> {
    for await (const { events } of this.watch) {
      this.seen.push(...events.map(describe));
      if (isSlow) {
        await new Promise<void>((resolve) => world.cluster.clock.setTimer(world.random.below(60), resolve));
      }
    }
  }
}

const KEYS = ['a', 'a/1', 'a/2', 'b/1', 'b/2', 'c'];

/** Commits, cuts, outages and pauses, in any order. */
async function disturb(world: World, steps: number): Promise<void> {
  const { cluster, history, random } = world;
  for (let step = 0; step < steps; step++) {
    const dice = random.below(100);
    if (dice < 55) history.commit(KEYS.filter(() => random.chance(0.5)));
    else if (dice < 65) random.pick(cluster.servers).cut();
    else if (dice < 69) random.pick(cluster.servers).stop();
    else if (dice < 76) random.pick(cluster.servers).start();
    else await cluster.run(random.below(80));
    history.pump();
    if (random.chance(0.3)) await cluster.run();
  }
}

test('whatever happens to connections, every event comes once and in order', async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const world = newWorld(seed, 3);
    const { cluster, history, random, client } = world;
    cluster.cutsChunks = random.chance(0.5);
    for (let i = 0; i < 5; i++) history.commit(KEYS);
    const readers: Reader[] = [];
    for (let i = 0; i < 6; i++) {
      const startRevision = random.chance(0.5) ? 1 + random.below(4) : 0;
      readers.push(
        new Reader(world, random.pick(['', 'a', 'a/', 'b/', 'c']), startRevision, random.chance(0.4)),
      );
      await disturb(world, 12);
    }
    await disturb(world, 60);
    for (const server of cluster.servers) server.start();
    for (let i = 0; i < 60; i++) {
      await cluster.run(100);
      history.pump(true);
    }
    for (const [i, { seen, range, startRevision }] of readers.entries()) {
      assert.ok(startRevision > 0, `seed ${seed}: watch ${i} never began`);
      const expected = history.expected(range.key, range.rangeEnd, startRevision).map(describe);
      assert.deepEqual(seen, expected, `seed ${seed}, watch ${i}`);
    }
    client.close();
    await assert.rejects(cluster.until(Promise.all(readers.map(({ done }) => done))), /closed/);
  }
});

test('a batch in fragments is handed over revision by revision, none in part', async () => {
  const { cluster, history, client } = newWorld(3);
  const watch = client.watch('', { prefix: true, startRevision: 2 });
  await cluster.until(watch.ready());
  for (let i = 0; i < 4; i++) history.commit(KEYS);
  history.pump(true);
  await cluster.run();
  const revisions: number[] = [];
  for (let count = 0; count < 4 * KEYS.length; ) {
    const { value } = await cluster.until(watch.next());
    assert.ok(value !== undefined);
    count += value.events.length;
    assert.equal(value.events.length % KEYS.length, 0);
    revisions.push(...new Set(value.events.map(({ kv }) => kv?.modRevision ?? 0)));
  }
  assert.deepEqual(revisions, [2, 3, 4, 5]);
  client.close();
});

test('a watch of what is compacted ends with the revision to start from', async () => {
  const { cluster, history, client } = newWorld();
  for (let i = 0; i < 9; i++) history.commit(['a']);
  history.compactRevision = 7;
  const watch = client.watch('a', { startRevision: 3 });
  await assert.rejects(cluster.until(watch.next()), (error) => {
    assert.ok(error instanceof CompactedError);
    assert.equal(error.compactRevision, 7);
    assert.equal(error.entry, RPC_ERRORS.ErrGRPCCompacted);
    return true;
  });
  assert.deepEqual(await watch.next(), { done: true, value: undefined });
  client.close();
});

test('a watch that was cut off while the store was compacted behind it says so', async () => {
  const { cluster, history, client } = newWorld();
  const watch = client.watch('a');
  assert.equal(await cluster.until(watch.ready()), 2);
  cluster.first.stop();
  for (let i = 0; i < 9; i++) history.commit(['a']);
  history.compactRevision = 5;
  cluster.first.start();
  await assert.rejects(cluster.until(watch.next()), CompactedError);
  client.close();
});

test('progress moves the place to go on from past what is compacted', async () => {
  const { cluster, history, client } = newWorld();
  const watch = client.watch('quiet', { progressNotify: true });
  await cluster.until(watch.ready());
  for (let i = 0; i < 9; i++) history.commit(['noise']);
  for (let i = 0; i < 20; i++) history.pump(true);
  const { value } = await cluster.until(watch.next());
  assert.deepEqual([value?.events.length, value?.revision], [0, 10]);
  history.compactRevision = 10;
  cluster.first.cut();
  await cluster.run(1000);
  history.commit(['quiet']);
  history.pump(true);
  const next = await cluster.until(watch.next());
  for (let at = next; at.value?.events.length === 0; ) at.value = (await cluster.until(watch.next())).value;
  assert.equal(watch.nextRevision, 12);
  client.close();
});

test('progress that was asked for comes as an empty batch', async () => {
  const { cluster, client } = newWorld();
  const watch = client.watch('a');
  await cluster.until(watch.ready());
  watch.requestProgress();
  const { value } = await cluster.until(watch.next());
  assert.deepEqual([value?.events.length, value?.revision], [0, 1]);
  client.close();
});

test('progress that is asked for while watches are being created, or cut off, comes to each of them', async () => {
  const { cluster, client } = newWorld();
  const watches = ['a', 'b', 'c'].map((key) => client.watch(key));
  for (const watch of watches) watch.requestProgress();
  for (const watch of watches) {
    const { value } = await cluster.until(watch.next());
    assert.deepEqual([value?.events.length, value?.revision], [0, 1]);
  }
  watches[0]?.requestProgress();
  cluster.first.cut();
  const answered = watches.map((watch) => watch.next());
  for (const next of answered) assert.equal((await cluster.until(next)).value?.events.length, 0);
  client.close();
});

test('a refused watch ends alone, with the reason; one whose token is old gets a new one', async () => {
  const { cluster, history } = newWorld();
  let tokens = 0;
  cluster.first.unary(
    AuthService.methods.authenticate,
    () => new AuthenticateResponse({ token: `t${++tokens}` }),
  );
  const client = cluster.client({ credentials: { username: 'u', password: 'p' } });
  const other = client.watch('a');
  await cluster.until(other.ready());
  history.refusal = 'rpc error: code = PermissionDenied desc = etcdserver: permission denied';
  const refused = client.watch('b');
  await assert.rejects(cluster.until(refused.next()), (error) => {
    return error instanceof EtcdError && error.entry === RPC_ERRORS.ErrGRPCPermissionDenied;
  });
  assert.equal(other.isOver, false);

  history.refusal = 'rpc error: code = Unauthenticated desc = etcdserver: invalid auth token';
  const renewed = client.watch('c');
  await cluster.until(renewed.ready());
  assert.equal(tokens, 2);
  client.close();
});

test('a slow reader is taken off the server and put back, without holding up another', async () => {
  const { cluster, history, client } = newWorld();
  const slow = client.watch('a', { maxHeldBytes: 1000 });
  const fast = client.watch('a');
  await cluster.until(Promise.all([slow.ready(), fast.ready()]));
  const creates = history.createCount;
  for (let i = 0; i < 100; i++) {
    history.commit(['a'], 'x'.repeat(100));
    history.pump(true);
    await cluster.run();
    await cluster.until(fast.next());
  }
  assert.equal(slow.isSuspended, true);
  const revisions: number[] = [];
  while (revisions.length < 100) {
    history.pump(true);
    await cluster.run();
    const { value } = await cluster.until(slow.next());
    for (const { kv } of value?.events ?? []) revisions.push(kv?.modRevision ?? 0);
  }
  assert.deepEqual(
    revisions,
    Array.from({ length: 100 }, (_, i) => i + 2),
  );
  assert.ok(history.createCount > creates);
  client.close();
});

test('a watch leaves a member that has vanished without a word', async () => {
  const { cluster, history, client } = newWorld(1, 2);
  const watch = client.watch('a');
  await cluster.until(watch.ready());
  const vanished = cluster.servers.find(({ connectionCount }) => connectionCount > 0);
  for (const server of cluster.servers) if (server === vanished) server.freeze();
  history.commit(['a']);
  const next = watch.next();
  for (let i = 0; i < 60; i++) {
    await cluster.run(1000);
    history.pump(true);
  }
  const { value } = await cluster.until(next);
  assert.equal(value?.events.length, 1);
  client.close();
});

test('a signal, return and an early break end a watch, and the server hears of it', async () => {
  const { cluster, history, client } = newWorld();
  const controller = new AbortController();
  const aborted = client.watch('a', { signal: controller.signal });
  const pending = aborted.next();
  await cluster.until(aborted.ready());
  controller.abort('enough');
  await assert.rejects(pending, (reason) => reason === 'enough');

  const broken = client.watch('a');
  await cluster.until(broken.ready());
  history.commit(['a']);
  history.pump(true);
  await cluster.run();
  for await (const batch of broken) {
    assert.equal(batch.events.length, 1);
    break;
  }
  assert.equal(broken.isOver, true);
  assert.deepEqual(await broken.next(), { done: true, value: undefined });
  client.close();
});
