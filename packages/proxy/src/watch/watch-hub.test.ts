import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import {
  decodeWatchResponse,
  encodeWatchRequest,
  WatchCancelRequest,
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
  type WatchResponse,
} from '@etcd/api/etcdserverpb';
import type { Event } from '@etcd/api/mvccpb';
import { WatchService } from '@etcd/api/services';
import { EMPTY_BYTES, latin1FromBytes } from '@etcd/base';
import { CompactedError, isError, type Watcher, type WatchOptions } from '@etcd/client';
import type { ClientCall, Metadata } from '@etcd/transport';
import { ProxiedCluster } from '../testing/proxied-cluster.ts';

const KEYS = ['a', 'a/1', 'a/2', 'b/1', 'b/2', 'c'];
const ALL = Uint8Array.of(0);

function describe({ type, kv }: Event): string {
  return `${kv?.modRevision}.${kv?.version} ${type} ${latin1FromBytes(kv?.key ?? EMPTY_BYTES)}`;
}

/** Reads a watch of a client of its own to its end. */
class Reader {
  readonly seen: string[] = [];
  readonly watch: Watcher;
  readonly prefix: string;
  startRevision = 0;
  error: unknown = null;

  constructor(world: ProxiedCluster, prefix: string, options: WatchOptions) {
    this.prefix = prefix;
    this.watch = world.client().watch(prefix, { prefix: true, ...options });
    this.watch.ready().then(
      (revision) => (this.startRevision = revision),
      () => {},
    );
    void this.#read();
  }

  async #read(): Promise<void> {
    try {
      for await (const { events } of this.watch) this.seen.push(...events.map(describe));
    } catch (error) {
      this.error = error;
    }
  }
}

function expected(world: ProxiedCluster, { prefix, startRevision }: Reader): string[] {
  const inPrefix = ({ kv }: Event): boolean =>
    latin1FromBytes(kv?.key ?? EMPTY_BYTES).startsWith(prefix) && (kv?.modRevision ?? 0) >= startRevision;
  return world.history.events.filter(inPrefix).map(describe);
}

/** Commits, cuts on both sides, outages and pauses, in any order. */
async function disturb(world: ProxiedCluster, steps: number): Promise<void> {
  const { cluster, history, random } = world;
  for (let step = 0; step < steps; step++) {
    const dice = random.below(100);
    if (dice < 55) history.commit(KEYS.filter(() => random.chance(0.5)));
    else if (dice < 63) random.pick(cluster.servers).cut();
    else if (dice < 66) random.pick(cluster.servers).stop();
    else if (dice < 73) random.pick(cluster.servers).start();
    else if (dice < 76) world.cutClients();
    else await cluster.run(random.below(80));
    history.pump();
    if (random.chance(0.3)) await cluster.run();
  }
}

async function settle(world: ProxiedCluster, rounds = 60): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await world.cluster.run(100);
    world.history.pump(true);
  }
}

test('whatever is cut on either side, watchers that share lose nothing and get nothing twice', async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const world = new ProxiedCluster({ seed, size: 3 });
    const { cluster, history, random } = world;
    cluster.cutsChunks = random.chance(0.5);
    for (let i = 0; i < 5; i++) history.commit(KEYS);
    const readers: Reader[] = [];
    for (let i = 0; i < 10; i++) {
      const startRevision = random.chance(0.5) ? 1 + random.below(4) : 0;
      const fragment = random.chance(0.7);
      readers.push(new Reader(world, random.pick(['', 'a', 'a/']), { startRevision, fragment }));
      await disturb(world, 8);
    }
    await disturb(world, 60);
    for (const server of cluster.servers) server.start();
    await settle(world);
    for (const [i, reader] of readers.entries()) {
      assert.ok(reader.startRevision > 0, `seed ${seed}: watch ${i} never began`);
      assert.deepEqual(reader.seen, expected(world, reader), `seed ${seed}, watch ${i}`);
    }
    // Each of the three ranges, with fragments and without.
    assert.ok(world.watches.counts.sources <= 6, `seed ${seed}: ${world.watches.counts.sources} sources`);
    assert.equal(history.watchCount, world.watches.counts.sources);
  }
});

/** A stream of watches without a client library. */
class RawStream {
  readonly call: ClientCall;
  readonly responses: WatchResponse[] = [];
  end: { readonly code: number; readonly message: string } | null = null;

  constructor(world: ProxiedCluster, metadata: Metadata = [], channel = world.channel()) {
    this.call = channel.call(
      WatchService.methods.watch.path,
      {
        onMessage: (_call, bytes, start, end) =>
          this.responses.push(decodeWatchResponse(Buffer.from(bytes.subarray(start, end)))),
        onEnd: (_call, code, message) => (this.end = { code, message }),
      },
      { metadata },
    );
  }

  create(request: Partial<WatchCreateRequest>): void {
    this.call.write(encodeWatchRequest(new WatchRequest({ createRequest: new WatchCreateRequest(request) })));
  }

  cancel(watchId: bigint): void {
    this.call.write(
      encodeWatchRequest(new WatchRequest({ cancelRequest: new WatchCancelRequest({ watchId }) })),
    );
  }

  progress(): void {
    this.call.write(encodeWatchRequest(new WatchRequest({ progressRequest: new WatchProgressRequest() })));
  }

  /** Revisions of the events of a watcher. */
  revisions(id: bigint): number[] {
    return this.responses
      .filter(({ watchId }) => watchId === id)
      .flatMap(({ events }) => events.map(({ kv }) => kv?.modRevision ?? 0));
  }
}

const EVERYTHING = { key: ALL, rangeEnd: ALL };

test('a thousand equal watchers live on one watch at a member, whether of one stream or of many', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  const one = new RawStream(world);
  for (let i = 0; i < 500; i++) one.create(EVERYTHING);
  const many = Array.from({ length: 500 }, () => new RawStream(world));
  for (const stream of many) stream.create(EVERYTHING);
  await cluster.run(100);
  assert.equal(one.responses.filter(({ created }) => created).length, 500);
  assert.deepEqual(
    one.responses.map(({ watchId }) => watchId),
    Array.from({ length: 500 }, (_, i) => BigInt(i)),
  );
  assert.equal(history.watchCount, 1);
  assert.equal(world.watches.counts.coalescing, 999);
  history.commit(['k']);
  history.pump(true);
  await cluster.run(100);
  for (let i = 0; i < 500; i++) assert.deepEqual(one.revisions(BigInt(i)), [2]);
  for (const stream of many) assert.deepEqual(stream.revisions(0n), [2]);
  assert.equal(world.watches.counts.shared, 999);
  for (const stream of many) stream.call.cancel();
  one.call.cancel();
  await cluster.run(100);
  assert.equal(history.watchCount, 0);
  assert.equal(world.watches.streamCount, 0);
});

test('S13 callers with different tokens never share', async () => {
  const world = new ProxiedCluster();
  const streams = [[['token', 'alice']], [['token', 'bob']], [['authorization', 'alice']], []].map(
    (metadata) => new RawStream(world, metadata as unknown as Metadata),
  );
  for (const stream of streams) stream.create(EVERYTHING);
  await world.cluster.run(100);
  assert.equal(world.history.watchCount, 4);
  assert.equal(world.watches.streamCount, 4);
});

test('S13 a newcomer to a shared watch is refused if the member refuses it, and the others go on', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  const first = new RawStream(world, [['token', 't']]);
  first.create(EVERYTHING);
  await cluster.run(50);
  history.refusal = 'rpc error: code = PermissionDenied desc = etcdserver: permission denied';
  const second = new RawStream(world, [['token', 't']]);
  second.create({ ...EVERYTHING, startRevision: 5 });
  await cluster.run(50);
  const [refused] = second.responses;
  assert.deepEqual(
    [refused?.created, refused?.canceled, refused?.watchId, refused?.cancelReason],
    [true, true, -1n, 'rpc error: code = PermissionDenied desc = etcdserver: permission denied'],
  );
  history.commit(['k']);
  history.pump(true);
  await cluster.run(50);
  assert.deepEqual(first.revisions(0n), [2]);
  assert.equal(second.responses.length, 1);
});

test('a watcher from an earlier revision catches up by itself, then shares', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  for (let i = 0; i < 9; i++) history.commit(['k']);
  const now = new RawStream(world);
  now.create({ ...EVERYTHING });
  await cluster.run(50);
  history.commit(['k']);
  history.pump(true);
  await cluster.run(50);
  const past = new RawStream(world);
  past.create({ ...EVERYTHING, startRevision: 4 });
  await cluster.run(50);
  assert.equal(history.watchCount, 2);
  history.pump(true);
  await cluster.run(50);
  assert.deepEqual(past.revisions(0n), [4, 5, 6, 7, 8, 9, 10, 11]);
  assert.equal(history.watchCount, 1);
  history.commit(['k']);
  history.pump(true);
  await cluster.run(50);
  assert.deepEqual([past.revisions(0n).at(-1), now.revisions(0n).at(-1)], [12, 12]);
});

test('a client that does not read holds up nobody, and gets everything when it does', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  const fast = new RawStream(world);
  const slow = new RawStream(world);
  for (const stream of [fast, slow]) stream.create({ ...EVERYTHING });
  await cluster.run(50);
  slow.call.pause();
  const value = 'v'.repeat(300_000);
  for (let i = 0; i < 40; i++) {
    history.commit(['k'], value);
    history.pump(true);
    await cluster.run(10);
  }
  assert.equal(fast.revisions(0n).length, 40);
  assert.ok(slow.revisions(0n).length < 40);
  // Its watcher has left the source: what is held for it is bounded, whatever happens meanwhile.
  assert.equal(world.watches.counts.watchers, 1);
  slow.call.resume();
  for (let i = 0; i < 100; i++) {
    history.pump(true);
    await cluster.run(20);
  }
  assert.deepEqual(slow.revisions(0n), fast.revisions(0n));
  assert.equal(history.watchCount, 1);
});

test('what a watcher that was left behind needs may be compacted: it is told so, and nobody else', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  const fast = new RawStream(world);
  const slow = new RawStream(world);
  for (const stream of [fast, slow]) stream.create({ ...EVERYTHING });
  await cluster.run(50);
  slow.call.pause();
  for (let i = 0; i < 40; i++) {
    history.commit(['k'], 'v'.repeat(300_000));
    history.pump(true);
    await cluster.run(10);
  }
  history.compactRevision = history.revision;
  slow.call.resume();
  await cluster.run(500);
  const last = slow.responses.at(-1)!;
  assert.deepEqual([last.canceled, last.compactRevision, last.watchId], [true, history.revision, 0n]);
  history.commit(['k']);
  history.pump(true);
  await cluster.run(50);
  assert.equal(fast.revisions(0n).length, 41);
});

test('after a cut, a watcher whose place is compacted ends, and those further on do not', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  const reader = new Reader(world, 'a', {});
  await cluster.run(50);
  cluster.first.stop();
  for (let i = 0; i < 9; i++) history.commit(['a']);
  history.compactRevision = 6;
  cluster.first.start();
  await settle(world, 10);
  assert.ok(reader.error instanceof CompactedError);
  assert.equal(reader.error.compactRevision, 6);
});

test('a watcher that is further on than what is compacted goes on, also when it is the last of its source', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  const behind = new RawStream(world);
  behind.create({ ...EVERYTHING });
  await cluster.run(50);
  const ahead = new RawStream(world);
  ahead.create({ ...EVERYTHING, startRevision: 8 });
  await cluster.run(50);
  assert.equal(history.watchCount, 1);
  cluster.first.stop();
  for (let i = 0; i < 9; i++) history.commit(['k']);
  history.compactRevision = 6;
  cluster.first.start();
  await settle(world, 10);
  assert.equal(behind.responses.at(-1)?.compactRevision, 6);
  assert.deepEqual(ahead.revisions(0n), [8, 9, 10]);
});

test('ids, cancels and refusals are those of a member', async () => {
  const world = new ProxiedCluster();
  const { cluster } = world;
  const stream = new RawStream(world);
  stream.create({ ...EVERYTHING, watchId: 7n });
  stream.create({ ...EVERYTHING, watchId: 7n });
  stream.create({ ...EVERYTHING, startRevision: -1 });
  stream.create({ ...EVERYTHING });
  stream.create({ key: Buffer.from('x') });
  // Where an id is taken and the member would refuse it for something else, that is what is said.
  stream.create({ ...EVERYTHING, startRevision: -1, watchId: 7n });
  stream.cancel(7n);
  stream.cancel(99n);
  await cluster.run(50);
  const short = stream.responses.map(({ watchId, created, canceled, cancelReason }) => [
    Number(watchId),
    created,
    canceled,
    cancelReason,
  ]);
  assert.deepEqual(short, [
    [7, true, false, ''],
    [-1, true, true, 'mvcc: duplicate watch ID provided on the WatchStream'],
    [-1, true, true, RPC_ERRORS.ErrGRPCCompacted.message],
    [0, true, false, ''],
    [1, true, false, ''],
    [-1, true, true, RPC_ERRORS.ErrGRPCCompacted.message],
    [7, false, true, ''],
  ]);
  assert.equal(stream.responses.at(-1)?.header?.revision, world.history.revision);
  // What was made for an id that was taken is gone again.
  assert.equal(world.watches.counts.watchers, 2);
});

test('a watch that a compaction has ended keeps its id until its client cancels it, which is answered', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  for (let i = 0; i < 9; i++) history.commit(['k']);
  history.compactRevision = 6;
  const stream = new RawStream(world);
  stream.create({ ...EVERYTHING, startRevision: 2, watchId: 5n });
  await settle(world, 10);
  assert.equal(stream.responses.at(-1)?.compactRevision, 6);
  stream.create({ ...EVERYTHING, watchId: 5n });
  stream.cancel(5n);
  stream.cancel(5n);
  stream.create({ ...EVERYTHING, watchId: 5n });
  await cluster.run(50);
  const told = stream.responses.slice(-3).map((one) => [one.watchId, one.created, one.canceled]);
  assert.deepEqual(told, [
    [-1n, true, true],
    [5n, false, true],
    [5n, true, false],
  ]);
});

test('progress is told to those who ask for it, when everything before it has been sent', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  const asking = new RawStream(world);
  const quiet = new RawStream(world);
  asking.create({ ...EVERYTHING });
  asking.progress();
  quiet.create({ ...EVERYTHING });
  history.commit(['k']);
  await cluster.run(50);
  history.pump(true);
  await cluster.run(50);
  asking.progress();
  await cluster.run(50);
  const [last] = asking.responses.slice(-1);
  assert.deepEqual([last?.watchId, last?.events.length, last?.header?.revision], [-1n, 0, history.revision]);
  assert.equal(quiet.responses.filter(({ watchId }) => watchId === -1n).length, 0);
});

test('progress is not told to a client whose watcher is on its way to a source again', async () => {
  const world = new ProxiedCluster();
  const { cluster, history } = world;
  const slow = new RawStream(world);
  const fast = new RawStream(world);
  for (const stream of [slow, fast]) stream.create({ ...EVERYTHING });
  await cluster.run(50);
  slow.call.pause();
  for (let i = 0; i < 40; i++) {
    history.commit(['k'], 'v'.repeat(300_000));
    history.pump(true);
    await cluster.run(10);
  }
  assert.equal(world.watches.counts.watchers, 1);
  history.holdsProgress = true;
  for (const stream of [slow, fast]) stream.progress();
  await cluster.run(50);
  slow.call.resume();
  await cluster.run(500);
  const told = ({ responses }: RawStream): number =>
    responses.filter(({ watchId }) => watchId === -1n).length;
  assert.deepEqual([told(slow), told(fast)], [0, 1]);
  assert.ok(slow.revisions(0n).length < 40);
  history.holdsProgress = false;
  for (let i = 0; i < 10; i++) {
    history.pump(true);
    await cluster.run(50);
  }
  slow.progress();
  await cluster.run(50);
  assert.deepEqual(slow.revisions(0n), fast.revisions(0n));
  assert.equal(slow.responses.at(-1)?.watchId, -1n);
});

test('keys of a namespace are prefixed and stripped, and what is outside is not seen', async () => {
  const world = new ProxiedCluster({ namespace: 'ns/' });
  const { cluster, history } = world;
  const stream = new RawStream(world);
  stream.create({ key: Buffer.from('a') });
  stream.create({ key: ALL, rangeEnd: ALL });
  await cluster.run(50);
  history.commit(['a', 'ns/a', 'ns/b', 'nt/a']);
  history.pump(true);
  await cluster.run(50);
  const keys = (id: bigint): string[] =>
    stream.responses
      .filter(({ watchId }) => watchId === id)
      .flatMap(({ events }) => events.map(({ kv }) => latin1FromBytes(kv!.key)));
  assert.deepEqual(keys(0n), ['a']);
  assert.deepEqual(keys(1n), ['a', 'b']);
});

test('a refusal of the whole stream ends the streams of those whose it was', async () => {
  const world = new ProxiedCluster();
  const stream = new RawStream(world, [['hasleader', 'true']]);
  stream.create({ ...EVERYTHING });
  await world.cluster.run(50);
  world.watches.close(RPC_ERRORS.ErrGRPCNoLeader.code, RPC_ERRORS.ErrGRPCNoLeader.message);
  await world.cluster.run(50);
  assert.equal(stream.end?.message, RPC_ERRORS.ErrGRPCNoLeader.message);
  const reader = new Reader(world, 'a', {});
  await world.cluster.run(50);
  assert.ok(reader.startRevision > 0);
  assert.equal(isError(reader.error, RPC_ERRORS.ErrGRPCNoLeader), false);
});
