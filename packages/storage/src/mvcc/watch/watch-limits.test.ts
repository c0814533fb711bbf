/** How much watchers are told at a time, in how many turns, and that they can leave wherever they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeleteRangeRequest, PutRequest, RequestOp, TxnRequest } from '@etcd/api/etcdserverpb';
import { Event, EventType, encodeEvent, KeyValue } from '@etcd/api/mvccpb';
import { SimClock, SimDisk } from '@etcd/testing';
import type { BackendOptions } from '../../backend/index.ts';
import { checkDatabases } from '../../backend/testing/check-databases.ts';
import type { Slices } from '../slices.ts';
import type { StoreOptions } from '../store.ts';
import { SimMember } from '../testing/sim-member.ts';
import { deleteRange, executeTxn, put } from '../txn.ts';
import { WatchHub } from './watch-hub.ts';
import type { WatchRequest, WatchSink, WatchStream } from './watch-stream.ts';
import { Watcher } from './watcher.ts';

checkDatabases();

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** Runs what is deferred a millisecond later, and counts the turns that are asked for. */
class CountingClock extends SimClock {
  turns = 0;

  override defer(callback: () => void): void {
    this.turns++;
    this.setTimer(1, callback);
  }
}

class Member extends SimMember<CountingClock, SimDisk> {
  constructor(options: Partial<StoreOptions & BackendOptions> = {}) {
    const clock = new CountingClock();
    super(clock, new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) }), options);
  }

  put(key: string, value: string | Uint8Array = 'x'): void {
    const request = new PutRequest({
      key: bytes(key),
      value: typeof value === 'string' ? bytes(value) : value,
    });
    assert.equal(put(this.store, request).error, null);
  }

  /** The turns that are begun until nothing more happens, one after the other. */
  turnsOf(run: () => void): number {
    this.clock.advance(1000);
    const before = this.clock.turns;
    run();
    this.clock.advance(1000);
    return this.clock.turns - before;
  }
}

/** Counts what each watcher is sent, and keeps the bytes. */
class Client implements WatchSink {
  readonly stream: WatchStream;
  readonly batches = new Map<Watcher, number[]>();
  readonly compacted: Watcher[] = [];
  readonly sent: Buffer[] = [];
  onEvents: (watcher: Watcher) => void = () => {};
  onCompacted: (watcher: Watcher) => void = () => {};

  constructor(hub: WatchHub) {
    this.stream = hub.newStream(this);
  }

  sendEvents(watcher: Watcher, events: Slices): void {
    this.batches.set(watcher, [...(this.batches.get(watcher) ?? []), events.count]);
    for (let i = 0; i < events.count; i++)
      this.sent.push(Buffer.from(events.buffer(i).subarray(events.start(i), events.end(i))));
    this.onEvents(watcher);
  }

  sendProgress(): void {}

  sendCompacted(watcher: Watcher): void {
    this.compacted.push(watcher);
    this.onCompacted(watcher);
  }

  watch(key: string, init: Partial<WatchRequest> = {}): Watcher {
    const watcher = this.stream.watch({
      id: 0n,
      key: bytes(key),
      end: null,
      startRevision: 0,
      dropsPuts: false,
      dropsDeletes: false,
      wantsPrevKv: false,
      ...init,
    });
    assert.ok(watcher instanceof Watcher);
    return watcher;
  }
}

test('watchers that fall behind together ask for one turn, not for one each', () => {
  const member = new Member();
  const hub = new WatchHub(member.store);
  member.put('k');
  const turns = member.turnsOf(() => {
    const client = new Client(hub);
    for (let i = 0; i < 100; i++) client.watch(`k${i}`, { startRevision: 2 });
    assert.equal(hub.laggingCount, 100);
  });
  assert.equal(turns, 1);
  assert.equal(hub.laggingCount, 0);
  hub.close();
  assert.equal(
    member.turnsOf(() => new Client(hub).watch('k', { startRevision: 2 })),
    0,
    'a hub that is closed asks for none',
  );
});

test('a thousand watchers are caught up at a time', () => {
  for (const recentBytes of [0, 1 << 20]) {
    for (const [count, turns] of [
      [1000, 1],
      [1001, 2],
    ] as const) {
      const member = new Member({ recentBytes });
      const hub = new WatchHub(member.store);
      for (let i = 0; i < 3; i++) member.put('k');
      const client = new Client(hub);
      const watchers: Watcher[] = [];
      const took = member.turnsOf(() => {
        for (let i = 0; i < count; i++) watchers.push(client.watch('k', { startRevision: 2 }));
      });
      assert.equal(took, turns, `${count} watchers`);
      for (const watcher of watchers) assert.deepEqual(client.batches.get(watcher), [3]);
      assert.deepEqual([hub.watcherCount, hub.laggingCount], [count, 0]);
    }
  }
});

test('those whose revisions are in memory do not wait for those that are far behind', () => {
  const member = new Member({ recentBytes: 0 });
  const hub = new WatchHub(member.store, 1);
  for (let i = 0; i < 30; i++) member.put('k');
  member.clock.advance(1000);
  // Not committed, so in memory.
  member.put('k');
  const client = new Client(hub);
  const far = client.watch('k', { startRevision: 2 });
  const near = client.watch('k', { startRevision: member.store.revision });
  member.clock.advance(3);
  assert.deepEqual(client.batches.get(near), [1]);
  assert.ok((client.batches.get(far) ?? []).length < 5);
  member.clock.advance(1000);
  assert.deepEqual(client.batches.get(far), new Array(31).fill(1));
});

test('a transaction of two thousand changes is told as it ends, a larger one is read back', () => {
  for (const count of [2000, 2001]) {
    const member = new Member();
    const hub = new WatchHub(member.store);
    const client = new Client(hub);
    const all = client.watch('k', { end: bytes('l') });
    const future = client.watch('k', { end: bytes('l'), startRevision: 4 });
    const request = new TxnRequest();
    for (let i = 0; i < count; i++) {
      request.success.push(new RequestOp({ requestPut: new PutRequest({ key: bytes(`k${i}`) }) }));
    }
    executeTxn(member.store, request);
    assert.deepEqual(client.batches.get(all), count === 2000 ? [2000] : undefined);
    assert.equal(hub.laggingCount, count === 2000 ? 0 : 1, 'who starts later is not concerned');
    member.put('other');
    member.put('k1');
    member.clock.advance(1000);
    assert.deepEqual(client.batches.get(all), [count, 1]);
    assert.deepEqual(client.batches.get(future), [1]);
  }
});

test('who is behind is sent so many revisions at a time, and no more than a megabyte beyond which none is begun', () => {
  const member = new Member();
  const hub = new WatchHub(member.store);
  for (let i = 0; i < 2500; i++) member.put('small');
  const first = member.store.revision + 1;
  // With key, tags and revisions a little more than a quarter of a megabyte each.
  for (let i = 0; i < 10; i++) member.put('large', new Uint8Array(256 * 1024));
  const client = new Client(hub);
  const small = client.watch('small', { startRevision: 2 });
  const large = client.watch('large', { startRevision: first });
  member.clock.advance(1000);
  assert.deepEqual(
    client.batches.get(small)!.reduce((a, b) => a + b),
    2500,
  );
  assert.deepEqual(client.batches.get(small), [1000, 1000, 500]);
  assert.deepEqual(
    client.batches.get(large)!.reduce((a, b) => a + b),
    10,
  );
  assert.equal(Math.max(...client.batches.get(large)!), 4);
});

test('a watcher can leave wherever it is, and hears nothing more', () => {
  const member = new Member({ recentBytes: 0 });
  const hub = new WatchHub(member.store, 1);
  for (let i = 0; i < 20; i++) member.put('k');
  member.clock.advance(1000);
  member.store.compact(5, () => {});
  member.clock.advance(1000);
  const client = new Client(hub);
  const parkedClient = new Client(hub);
  parkedClient.onEvents = () => parkedClient.stream.pause();
  const synced = client.watch('k');
  const future = client.watch('k', { startRevision: 100 });
  const compacted = client.watch('k', { startRevision: 3 });
  const served = client.watch('k', { startRevision: 6 });
  const servedToo = client.watch('k', { startRevision: 6 });
  const parked = parkedClient.watch('k', { startRevision: 6 });
  const parkedToo = parkedClient.watch('k', { startRevision: 6 });
  member.clock.advance(4);
  const waiting = [0, 1, 2].map(() => client.watch('k', { startRevision: 6 }));
  assert.deepEqual(client.compacted, [compacted]);
  assert.ok(client.batches.get(served)!.length > 0 && client.batches.get(served)!.length < 10);
  assert.ok(parkedClient.stream.isPaused && parkedClient.stream.parked.length > 0);
  const leave = (of: Client, watcher: Watcher, lagging: number): void => {
    assert.equal(of.stream.cancel(watcher.id), null);
    assert.equal(hub.laggingCount, lagging);
  };
  const before = hub.laggingCount;
  assert.equal(before, 7);
  const counts = (): (number | undefined)[] =>
    [synced, future, served, waiting[0]!].map((watcher) => client.batches.get(watcher)?.length);
  const sent = counts();
  leave(client, synced, before);
  leave(client, future, before);
  leave(client, compacted, before);
  leave(client, served, before - 1);
  leave(client, waiting[0]!, before - 2);
  leave(parkedClient, parked, before - 3);
  member.put('k');
  parkedClient.onEvents = () => {};
  parkedClient.stream.resume();
  member.clock.advance(1000);
  assert.deepEqual(counts(), sent);
  assert.equal(hub.laggingCount, 0);
  for (const [of, watcher] of [
    [client, servedToo],
    [client, waiting[1]!],
    [client, waiting[2]!],
    [parkedClient, parkedToo],
  ] as const) {
    assert.equal(
      of.batches.get(watcher)!.reduce((a, b) => a + b),
      17,
      'the others miss nothing',
    );
  }
  assert.deepEqual([hub.watcherCount, hub.streamCount], [4, 2]);
});

test('S25 a sink that cancels, or closes its stream, from within is a broken invariant; afterwards it may', () => {
  const member = new Member();
  const hub = new WatchHub(member.store);
  const client = new Client(hub);
  client.watch('k');
  let thrown = 0;
  const tryIt = (told: Watcher): void => {
    assert.throws(() => client.stream.cancel(told.id), { name: 'InvariantError' });
    thrown++;
  };
  client.onEvents = tryIt;
  client.onCompacted = tryIt;
  member.put('k');
  assert.equal(thrown, 1);
  member.put('l');
  member.store.compact(3, () => {});
  client.watch('k', { startRevision: 2 });
  member.clock.advance(1000);
  assert.equal(thrown, 2);
  const other = client.watch('k');
  assert.equal(client.stream.cancel(other.id), null);
});

test('events are the bytes that the codec of messages writes, with and without the pair before, for sizes of any length', () => {
  const member = new Member();
  const hub = new WatchHub(member.store);
  const plain = new Client(hub);
  const withPrev = new Client(hub);
  plain.watch('k', { end: bytes('l') });
  withPrev.watch('k', { end: bytes('l'), wantsPrevKv: true });
  const expected: [Buffer, Buffer][] = [];
  let previous: KeyValue | null = null;
  const expect = (type: number, kv: KeyValue): void => {
    const framed = (prevKv: KeyValue | null): Buffer => {
      const body = encodeEvent(new Event({ type, kv, prevKv }));
      const head: number[] = [0x5a];
      let length = body.length;
      for (; length >= 0x80; length = Math.floor(length / 0x80)) head.push((length % 0x80) + 0x80);
      return Buffer.concat([Buffer.from([...head, length]), body]);
    };
    expected.push([framed(null), framed(previous)]);
    previous = type === EventType.PUT ? kv : null;
  };
  let revision = 1;
  for (const size of [0, 1, 90, 100, 110, 127, 128, 300, 16_300, 16_383, 16_384, 20_000, 70_000]) {
    for (const isDelete of size % 2 === 0 ? [false, true] : [false]) {
      revision++;
      const key = bytes('key');
      if (isDelete) {
        deleteRange(member.store, new DeleteRangeRequest({ key }));
        expect(EventType.DELETE, new KeyValue({ key, modRevision: revision }));
      } else {
        const value = new Uint8Array(size).fill(size & 0xff);
        const before: KeyValue | null = previous;
        member.put('key', value);
        const { createRevision, version } = before ?? { createRevision: revision, version: 0 };
        expect(
          EventType.PUT,
          new KeyValue({ key, value, createRevision, modRevision: revision, version: version + 1 }),
        );
      }
    }
  }
  for (const [i, [without, full]] of expected.entries()) {
    assert.ok(plain.sent[i]!.equals(without), `event ${i}`);
    assert.ok(withPrev.sent[i]!.equals(full), `event ${i} with the pair before`);
  }
  assert.equal(plain.sent.length, expected.length);
});
