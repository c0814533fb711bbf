import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { DeleteRangeRequest, decodeWatchResponse, PutRequest } from '@etcd/api/etcdserverpb';
import { type Event, EventType, type KeyValue } from '@etcd/api/mvccpb';
import { EMPTY_BYTES, latin1FromBytes, SeededRandom } from '@etcd/base';
import { SimClock, SimDisk } from '@etcd/testing';
import type { BackendOptions } from '../../backend/index.ts';
import { checkDatabases } from '../../backend/testing/check-databases.ts';
import { endOfRange } from '../key-range.ts';
import type { Slices } from '../slices.ts';
import type { StoreOptions } from '../store.ts';
import {
  type RequestWorld,
  randomDeleteRange,
  randomKey,
  randomPut,
  randomRangeEnd,
  randomTxn,
} from '../testing/random-requests.ts';
import { type ReferenceRevision, ReferenceStore } from '../testing/reference-store.ts';
import { openBackend, SimMember } from '../testing/sim-member.ts';
import { deleteRange, executeTxn, put } from '../txn.ts';
import { WatchHub } from './watch-hub.ts';
import type { WatchRequest, WatchSink, WatchStream } from './watch-stream.ts';
import { Watcher } from './watcher.ts';

checkDatabases();

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** Runs what is deferred a millisecond later, so that a test can do something between two turns. */
class SlowClock extends SimClock {
  override defer(callback: () => void): void {
    this.setTimer(1, callback);
  }
}

function newMember(options: Partial<StoreOptions & BackendOptions> = {}): SimMember<SimClock, SimDisk> {
  const clock = new SlowClock();
  const disk = new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) });
  return new SimMember(clock, disk, options);
}

/** Decodes what a client would. */
function decodeEvents(events: Slices): Event[] {
  const parts: Uint8Array[] = [];
  for (let i = 0; i < events.count; i++)
    parts.push(events.buffer(i).subarray(events.start(i), events.end(i)));
  return decodeWatchResponse(Uint8Array.from(Buffer.concat(parts))).events;
}

interface Response {
  readonly revision: number;
  readonly events: readonly Event[];
}

/** Keeps what it is sent, and can be told to have enough after some of it. */
class Client implements WatchSink {
  readonly responses = new Map<bigint, Response[]>();
  readonly progress: [bigint | null, number][] = [];
  readonly compacted = new Map<bigint, number>();
  stream: WatchStream | null = null;
  /** Responses until the stream is paused; Infinity: never. */
  patience = Number.POSITIVE_INFINITY;

  sendEvents(watcher: Watcher, events: Slices, revision: number): void {
    assert.ok(events.count > 0, 'no empty response');
    assert.ok(!this.stream!.isPaused, 'nothing is sent to a paused stream');
    assert.ok(!this.compacted.has(watcher.id), 'nothing is sent after the end');
    const list = this.responses.get(watcher.id) ?? [];
    this.responses.set(watcher.id, list);
    list.push({ revision, events: decodeEvents(events) });
    if (--this.patience <= 0) this.stream!.pause();
  }

  sendProgress(watcher: Watcher | null, revision: number): void {
    this.progress.push([watcher?.id ?? null, revision]);
  }

  sendCompacted(watcher: Watcher, compactRevision: number): void {
    this.compacted.set(watcher.id, compactRevision);
  }

  eventsOf(id: bigint): Event[] {
    return (this.responses.get(id) ?? []).flatMap(({ events }) => events);
  }
}

function connect(hub: WatchHub): Client {
  const client = new Client();
  client.stream = hub.newStream(client);
  return client;
}

function watchRequest(key: string, init: Partial<WatchRequest> = {}): WatchRequest {
  return {
    id: 0n,
    key: bytes(key),
    end: null,
    startRevision: 0,
    dropsPuts: false,
    dropsDeletes: false,
    wantsPrevKv: false,
    ...init,
  };
}

function watch(client: Client, request: WatchRequest): Watcher {
  const watcher = client.stream!.watch(request);
  assert.ok(watcher instanceof Watcher);
  return watcher;
}

// --- the property: complete and in order, or told of the compaction

interface Expectation {
  readonly client: Client;
  readonly watcher: Watcher;
  /** The first revision that it wants. */
  readonly from: number;
}

function matches(watcher: Watcher, { key, isTombstone }: ReferenceRevision): boolean {
  if (isTombstone ? watcher.dropsDeletes : watcher.dropsPuts) return false;
  if (watcher.end === null) return key === watcher.key;
  return key >= watcher.key && (watcher.end === '' || key < watcher.end);
}

function describeKv(kv: KeyValue | null): unknown {
  if (kv === null) return null;
  const { createRevision, modRevision, version, lease } = kv;
  return [latin1FromBytes(kv.key), latin1FromBytes(kv.value), createRevision, modRevision, version, lease];
}

class History {
  readonly reference = new ReferenceStore();
  readonly revisions: ReferenceRevision[] = [];
  /** What was there before the transaction of each change. */
  readonly previous = new Map<ReferenceRevision, KeyValue | null>();
  readonly #current = new Map<string, KeyValue>();
  #before: ReadonlyMap<string, KeyValue> = new Map();
  #seen = 1;

  /** Takes in what the reference has done since the last call. */
  record(): void {
    const news = this.reference.revisions.filter(({ main }) => main > this.#seen);
    for (const [i, revision] of news.entries()) {
      this.revisions.push(revision);
      if (revision.main !== news[i - 1]?.main) this.#before = new Map(this.#current);
      this.previous.set(revision, this.#before.get(revision.key) ?? null);
      if (revision.isTombstone) this.#current.delete(revision.key);
      else this.#current.set(revision.key, revision.kv);
    }
    this.#seen = this.reference.revision;
  }
}

function checkResponses({ client, watcher, from }: Expectation, history: History, label: string): void {
  const wanted = history.revisions.filter((revision) => revision.main >= from && matches(watcher, revision));
  const got = client.eventsOf(watcher.id);
  const compactRevision = client.compacted.get(watcher.id);
  if (compactRevision === undefined) assert.equal(got.length, wanted.length, `${label}: number of events`);
  for (const [i, event] of got.entries()) {
    const revision = wanted[i]!;
    assert.equal(event.type, revision.isTombstone ? EventType.DELETE : EventType.PUT, label);
    const kv = { ...revision.kv, modRevision: revision.main };
    assert.deepEqual(describeKv(event.kv), describeKv(kv as KeyValue), label);
    const isCreate = !revision.isTombstone && revision.kv.createRevision === revision.main;
    const previous = watcher.wantsPrevKv && !isCreate ? history.previous.get(revision)! : null;
    // Where the revision before was compacted when the event was sent, there is no previous pair.
    if (event.prevKv !== null || revision.main > history.reference.compactRevision) {
      assert.deepEqual(describeKv(event.prevKv), describeKv(previous), label);
    }
  }
  if (compactRevision !== undefined) {
    const next = wanted[got.length];
    assert.ok(watcher.minRevision < compactRevision, label);
    assert.ok(next === undefined || next.main >= watcher.minRevision, `${label}: a gap before the end`);
  }
  checkGrouping(client.responses.get(watcher.id) ?? [], label);
}

/** A revision's events come in one response, and revisions grow. */
function checkGrouping(responses: readonly Response[], label: string): void {
  let last = 0;
  for (const { revision, events } of responses) {
    const mains = events.map(({ kv }) => kv!.modRevision);
    assert.ok(mains[0]! > last, `${label}: a revision in two responses`);
    for (const [i, main] of mains.entries()) assert.ok(i === 0 || main >= mains[i - 1]!, label);
    last = mains.at(-1)!;
    assert.ok(revision >= last, `${label}: header before its events`);
  }
}

function randomWatch(world: RequestWorld, client: Client, compacted: number): Expectation {
  const { random, revision } = world;
  const key = randomKey(world);
  const isWide = random.chance(0.3);
  const rangeEnd = isWide ? Uint8Array.of(0) : randomRangeEnd(world, key);
  const what = random.below(10);
  // From now on, from the past, from the future.
  const startRevision =
    what < 4 ? 0 : what < 9 ? Math.max(compacted, 1) + random.below(revision) : revision + random.below(20);
  const end = endOfRange(rangeEnd);
  const request = watchRequest(latin1FromBytes(isWide ? bytes('\0') : key), {
    end:
      end === null || latin1FromBytes(end) > latin1FromBytes(key) || isWide || end.length === 0 ? end : null,
    startRevision,
    dropsPuts: random.chance(0.15),
    dropsDeletes: random.chance(0.15),
    wantsPrevKv: random.chance(0.4),
  });
  return {
    client,
    watcher: watch(client, request),
    from: startRevision === 0 ? revision + 1 : startRevision,
  };
}

function randomWrite(
  world: RequestWorld,
  member: SimMember<SimClock, SimDisk>,
  { reference }: History,
): void {
  const { random } = world;
  const what = random.below(10);
  if (what < 5) {
    const request = randomPut(world);
    put(member.store, request);
    reference.put(request);
  } else if (what < 7) {
    const request = randomDeleteRange(world);
    deleteRange(member.store, request);
    reference.deleteRange(request);
  } else {
    const request = randomTxn(world);
    executeTxn(member.store, request);
    reference.txn(request);
  }
}

test('S25 every watcher gets every event once and in order, or is told of the compaction', () => {
  for (let seed = 1; seed <= 25; seed++) runWatchers(seed);
});

function runWatchers(seed: number): void {
  const random = new SeededRandom(seed);
  const member = newMember({
    batchLimit: 40,
    recentBytes: random.pick([0, 1 << 21]),
    compactionBatchLimit: 20,
  });
  const history = new History();
  const hub = new WatchHub(member.store, random.pick([1, 3, 10, 1000]));
  const clients = Array.from({ length: 4 }, () => connect(hub));
  const live: Expectation[] = [];
  const over: Expectation[] = [];
  for (let step = 0; step < 400; step++) {
    const world: RequestWorld = { random, revision: history.reference.revision, leases: [] };
    const what = random.below(100);
    const client = random.pick(clients);
    if (what < 60) {
      randomWrite(world, member, history);
      history.record();
    } else if (what < 72) member.clock.advance(random.below(20));
    else if (what < 82) live.push(randomWatch(world, client, history.reference.compactRevision));
    else if (what < 87) client.patience = random.below(4);
    else if (what < 92) {
      client.patience = Number.POSITIVE_INFINITY;
      client.stream!.resume();
    } else if (what < 95 && live.length > 0) {
      const [cancelled] = live.splice(random.below(live.length), 1);
      assert.equal(cancelled!.client.stream!.cancel(cancelled!.watcher.id), null);
    } else if (what < 96 && world.revision > 5) {
      const rev = Math.max(1, world.revision - random.below(30));
      history.reference.compact(rev);
      member.store.compact(rev, () => {});
    }
  }
  for (const client of clients) {
    client.patience = Number.POSITIVE_INFINITY;
    client.stream!.resume();
  }
  member.clock.advance(5000);
  for (const [i, expectation] of [...live, ...over].entries()) {
    checkResponses(
      expectation,
      history,
      `seed ${seed}, watcher ${i} of ${JSON.stringify(expectation.watcher.key)}`,
    );
  }
  assert.equal(hub.laggingCount, 0);
  for (const client of clients) client.stream!.close();
  assert.deepEqual([hub.watcherCount, hub.streamCount], [0, 0]);
}

test('S25 after the store went on with a snapshot, watchers go on without a gap or are told of the compaction', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new SeededRandom(seed);
    const member = newMember();
    const ahead = newMember();
    const history = new History();
    const hub = new WatchHub(member.store, random.pick([1, 5, 1000]));
    const client = connect(hub);
    const live: Expectation[] = [];
    const write = (...members: SimMember<SimClock, SimDisk>[]): void => {
      const { reference } = history;
      const request = new PutRequest({
        key: bytes(`k${random.below(13)}`),
        value: bytes(String(reference.revision)),
      });
      for (const target of members) put(target.store, request);
      reference.put(request);
      history.record();
    };
    for (let i = 0; i < 60; i++) {
      write(member, ahead);
      if (random.chance(0.2)) {
        const world: RequestWorld = { random, revision: history.reference.revision, leases: [] };
        live.push(randomWatch(world, client, -1));
      }
      if (random.chance(0.2)) client.patience = random.below(3);
      if (random.chance(0.2)) {
        client.patience = Number.POSITIVE_INFINITY;
        client.stream!.resume();
      }
      member.clock.advance(random.below(10));
    }
    for (let i = 0; i < 30; i++) write(ahead);
    if (random.chance(0.5)) {
      const rev = 30 + random.below(60);
      history.reference.compact(rev);
      ahead.store.compact(rev, () => {});
      ahead.settle();
    }
    let replaced = false;
    member.store.replaceThen(openBackend(member.clock, ahead.stop()), (error) => {
      assert.equal(error, null);
      replaced = true;
      hub.onStoreReplaced();
    });
    for (let i = 0; !replaced && i < 1000; i++) {
      ahead.clock.advance(10);
      member.clock.advance(10);
    }
    assert.ok(replaced);
    assert.equal(member.store.revision, history.reference.revision);
    for (let i = 0; i < 20; i++) write(member);
    client.patience = Number.POSITIVE_INFINITY;
    client.stream!.resume();
    for (let i = 0; i < 100; i++) {
      ahead.clock.advance(10);
      member.clock.advance(10);
    }
    for (const [i, expectation] of live.entries())
      checkResponses(expectation, history, `seed ${seed}, watcher ${i}`);
  }
});

// --- single behaviours

function putText(member: SimMember<SimClock, SimDisk>, key: string, value: string): void {
  put(member.store, new PutRequest({ key: bytes(key), value: bytes(value) }));
}

test('an event is delivered within the transaction that made it, with the previous pair for those who want it', () => {
  const member = newMember();
  const hub = new WatchHub(member.store);
  const client = connect(hub);
  const plain = watch(client, watchRequest('k'));
  const withPrev = watch(client, watchRequest('k', { end: bytes('l'), wantsPrevKv: true }));
  putText(member, 'k', '1');
  putText(member, 'k', '2');
  deleteRange(member.store, new DeleteRangeRequest({ key: bytes('k') }));
  putText(member, 'other', 'x');
  const summary = (id: bigint): unknown[] =>
    client
      .eventsOf(id)
      .map(({ type, kv, prevKv }) => [
        type,
        latin1FromBytes(kv!.value),
        kv!.modRevision,
        prevKv === null ? null : latin1FromBytes(prevKv.value),
      ]);
  assert.deepEqual(summary(plain.id), [
    [EventType.PUT, '1', 2, null],
    [EventType.PUT, '2', 3, null],
    [EventType.DELETE, '', 4, null],
  ]);
  assert.deepEqual(summary(withPrev.id), [
    [EventType.PUT, '1', 2, null],
    [EventType.PUT, '2', 3, '1'],
    [EventType.DELETE, '', 4, '2'],
  ]);
});

test('ids are the smallest unused counter or what the client chooses, once', () => {
  const client = connect(new WatchHub(newMember().store));
  const idOf = (id: bigint): bigint => watch(client, watchRequest('k', { id })).id;
  assert.deepEqual([idOf(0n), idOf(1n), idOf(0n), idOf(7n), idOf(0n)], [0n, 1n, 2n, 7n, 3n]);
  assert.equal(
    client.stream!.watch(watchRequest('k', { id: 7n })),
    INTERNAL_ERRORS.mvcc.ErrWatcherDuplicateID,
  );
  assert.equal(client.stream!.cancel(7n), null);
  assert.equal(client.stream!.cancel(7n), INTERNAL_ERRORS.mvcc.ErrWatcherNotExist);
  assert.equal(idOf(7n), 7n);
  for (const id of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -1n, -(2n ** 63n)]) assert.equal(idOf(id), id);
});

test('a range that ends before its key is refused, an open one is not', () => {
  const client = connect(new WatchHub(newMember().store));
  const empty = INTERNAL_ERRORS.mvcc.ErrEmptyWatcherRange;
  assert.equal(client.stream!.watch(watchRequest('b', { end: bytes('a') })), empty);
  assert.equal(client.stream!.watch(watchRequest('b', { end: bytes('b') })), empty);
  assert.ok(client.stream!.watch(watchRequest('b', { end: EMPTY_BYTES })) instanceof Watcher);
});

test('progress is sent for watchers that are up to date, and for all only if all are', () => {
  const member = newMember();
  const client = connect(new WatchHub(member.store));
  const { stream } = client;
  assert.ok(stream!.requestProgressAll());
  assert.deepEqual(client.progress, [], 'without watchers there is nothing to say');
  putText(member, 'k', '1');
  const first = watch(client, watchRequest('k'));
  stream!.requestProgress(first);
  assert.ok(stream!.requestProgressAll());
  assert.deepEqual(client.progress, [
    [first.id, 2],
    [null, 2],
  ]);
  const behind = watch(client, watchRequest('k', { startRevision: 1 }));
  stream!.requestProgress(behind);
  assert.ok(!stream!.requestProgressAll());
  member.clock.advance(10);
  assert.ok(stream!.requestProgressAll());
  const future = watch(client, watchRequest('k', { startRevision: 10 }));
  assert.ok(!stream!.requestProgressAll(), 'a start in the future holds it back');
  stream!.cancel(future.id);
  assert.ok(stream!.requestProgressAll());
  assert.equal(client.progress.length, 4);
});

test('a watcher from before the compaction is told so, stays with its stream, and holds back progress until cancelled', () => {
  const member = newMember();
  const client = connect(new WatchHub(member.store));
  for (let i = 0; i < 20; i++) putText(member, 'k', String(i));
  member.store.compact(10, () => {});
  member.settle();
  const tooOld = watch(client, watchRequest('k', { startRevision: 9 }));
  const justRight = watch(client, watchRequest('k', { startRevision: 10 }));
  assert.equal(client.compacted.size, 0, 'not before the id could be announced');
  member.clock.advance(10);
  assert.deepEqual([...client.compacted], [[tooOld.id, 10]]);
  assert.equal(client.eventsOf(justRight.id)[0]!.kv!.modRevision, 10);
  assert.ok(!client.stream!.requestProgressAll());
  assert.equal(client.stream!.cancel(tooOld.id), null);
  assert.ok(client.stream!.requestProgressAll());
});

test('an event of the compacted revision itself has no previous pair, later ones have theirs', () => {
  const member = newMember();
  const client = connect(new WatchHub(member.store));
  for (let i = 2; i <= 20; i++) putText(member, 'k', String(i));
  member.store.compact(10, () => {});
  member.settle();
  const watcher = watch(client, watchRequest('k', { startRevision: 10, wantsPrevKv: true }));
  member.clock.advance(10);
  const events = client.eventsOf(watcher.id);
  assert.equal(events[0]!.prevKv, null);
  assert.deepEqual(
    events.slice(1).map(({ prevKv }) => latin1FromBytes(prevKv!.value)),
    Array.from({ length: 10 }, (_, i) => String(i + 10)),
  );
});

test('a quiet watcher that is up to date survives a snapshot whose compaction is older than what it has seen', () => {
  const member = newMember();
  const ahead = newMember();
  const hub = new WatchHub(member.store);
  const client = connect(hub);
  const quiet = watch(client, watchRequest('quiet'));
  for (let i = 0; i < 20; i++) for (const target of [member, ahead]) putText(target, 'k', String(i));
  putText(ahead, 'quiet', 'missed');
  ahead.store.compact(20, () => {});
  ahead.settle();
  const disk = ahead.stop();
  member.store.replaceThen(openBackend(member.clock, disk), () => hub.onStoreReplaced());
  for (let i = 0; i < 100; i++) {
    ahead.clock.advance(10);
    member.clock.advance(10);
  }
  assert.deepEqual([...client.compacted], []);
  assert.deepEqual(
    client.eventsOf(quiet.id).map(({ kv }) => latin1FromBytes(kv!.value)),
    ['missed'],
  );
});

test('a watcher far behind a great transaction gets all of it in one response, and others are not held up', () => {
  const member = newMember({ recentBytes: 0 });
  const hub = new WatchHub(member.store);
  const keys = Array.from({ length: 7000 }, (_, i) => `k${String(i).padStart(5, '0')}`);
  for (const key of keys) putText(member, key, 'x');
  const client = connect(hub);
  const all = watch(client, watchRequest('k', { end: bytes('l') }));
  const few = watch(client, watchRequest('k00042', { wantsPrevKv: true }));
  const deleted = deleteRange(
    member.store,
    new DeleteRangeRequest({ key: bytes('k'), rangeEnd: bytes('l') }),
  );
  assert.equal(deleted.deleted, keys.length);
  assert.equal(client.responses.size, 0, 'a huge transaction is read back in slices');
  member.clock.advance(3000);
  assert.deepEqual(
    client.responses.get(all.id)!.map(({ events }) => events.length),
    [keys.length],
  );
  assert.deepEqual(
    client.eventsOf(all.id).map(({ kv }) => latin1FromBytes(kv!.key)),
    keys,
  );
  assert.equal(latin1FromBytes(client.eventsOf(few.id)[0]!.prevKv!.value), 'x');
  assert.equal(hub.laggingCount, 0);
});

test('S20 a stream that is never read costs no memory for what it misses', () => {
  const member = newMember({ recentBytes: 0 });
  const hub = new WatchHub(member.store);
  const client = connect(hub);
  client.patience = 1;
  watch(client, watchRequest('k', { end: bytes('l') }));
  for (let i = 0; i < 1000; i++) putText(member, `k${i}`, 'x');
  member.clock.advance(1000);
  assert.equal(client.responses.get(0n)!.length, 1);
  assert.equal(hub.laggingCount, 1);
  client.patience = Number.POSITIVE_INFINITY;
  client.stream!.resume();
  member.clock.advance(1000);
  assert.equal(client.eventsOf(0n).length, 1000);
});

test('S20 a client that opens watchers by the ten thousand holds up no other, and leaves nothing', () => {
  const member = newMember();
  const hub = new WatchHub(member.store);
  const before = hub.watcherCount;
  const [storm, other] = [connect(hub), connect(hub)];
  const count = 20_000;
  const heapBefore = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i++) {
    const end = i % 2 === 0 ? {} : { end: bytes(`k${i}~`) };
    storm.stream!.watch(watchRequest(`k${i}`, end));
  }
  assert.ok(process.memoryUsage().heapUsed - heapBefore < count * 4096);
  watch(other, watchRequest('mine'));
  putText(member, 'mine', 'x');
  assert.equal(other.eventsOf(0n).length, 1);
  assert.equal(hub.watcherCount, before + count + 1);
  storm.stream!.close();
  other.stream!.close();
  assert.equal(hub.watcherCount, before);
});

test('what is sent to many watchers of one key is one list', () => {
  const member = newMember();
  const hub = new WatchHub(member.store);
  const lists = new Set<Slices>();
  const sink: WatchSink = {
    sendEvents: (_watcher, events) => lists.add(events),
    sendProgress: () => {},
    sendCompacted: () => {},
  };
  for (let i = 0; i < 200; i++) hub.newStream(sink).watch(watchRequest('k', { wantsPrevKv: i % 2 === 0 }));
  putText(member, 'k', '1');
  assert.equal(lists.size, 2);
});

test('streams whose watchers are behind, being caught up or parked can be closed after the hub', () => {
  const member = newMember({ recentBytes: 0 });
  const hub = new WatchHub(member.store, 1);
  for (let i = 0; i < 10; i++) putText(member, `k${i}`, 'x');
  const [served, parked, waiting] = [connect(hub), connect(hub), connect(hub)];
  watch(served, watchRequest('k', { end: bytes('l'), startRevision: 2 }));
  parked.patience = 1;
  watch(parked, watchRequest('k', { end: bytes('l'), startRevision: 2 }));
  // The first turns deliver a part, and pause one of them.
  member.clock.advance(4);
  watch(waiting, watchRequest('k', { end: bytes('l'), startRevision: 2 }));
  assert.equal(hub.laggingCount, 3);
  hub.close();
  for (const { stream } of [served, parked, waiting]) stream!.close();
  assert.equal(hub.laggingCount, 0);
  assert.equal(hub.streamCount, 0);
});
