import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import {
  CompactionRequest,
  PutRequest,
  RangeRequest,
  SortOrder,
  SortTarget,
  WatchCreateRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import { KvService, WatchService } from '@etcd/api/services';
import { GrpcCode, poisonMemory } from '@etcd/base';
import { FakeMember } from './testing/served-member.ts';

const { range, rangeStream } = KvService.methods;
const { watch } = WatchService.methods;
const KEYS = 200;
/** Of values that are referred to. */
const VALUE_BYTES = 20_000;
const ALL = { key: Buffer.from('k'), rangeEnd: Buffer.from('l') };
const keyOf = (i: number): Buffer => Buffer.from(`k${String(i).padStart(4, '0')}`);

/** A member that reads ten keys at a time, and tells of each slice before it does. */
class SlicingMember extends FakeMember {
  slices = 0;
  onSlice: (slice: number) => void = () => {};

  constructor(valueBytes = 10) {
    const rangeKeys = (): number => {
      this.onSlice(++this.slices);
      return 10;
    };
    super({
      slices: {
        get rangeKeys(): number {
          return rangeKeys();
        },
        watchRevisions: 10,
        hashRevisions: 10,
        restoreRevisions: 10,
      },
    });
    const value = Buffer.alloc(valueBytes, 'v');
    for (let i = 0; i < KEYS; i++) this.log.replay('put', new PutRequest({ key: keyOf(i), value }));
  }

  put(i: number, text: string): void {
    this.log.replay('put', new PutRequest({ key: keyOf(i), value: Buffer.from(text) }));
  }

  compact(revision: number): void {
    this.log.replay('compaction', new CompactionRequest({ revision }));
  }

  get openViews(): number {
    return this.store.views.count;
  }
}

test('a large range is of one revision, whatever is written and compacted between its slices', () => {
  for (const order of [SortOrder.NONE, SortOrder.DESCEND]) {
    const member = new SlicingMember();
    const { revision } = member.store;
    member.onSlice = (slice) => {
      if (slice !== 3) return;
      member.put(KEYS - 1, 'later');
      member.compact(member.store.revision);
    };
    const sorted = { sortOrder: order, sortTarget: SortTarget.VALUE };
    const { header, kvs, count } = member.ask(range, new RangeRequest({ ...ALL, ...sorted }));
    assert.ok(member.slices > 3, 'it took some turns');
    assert.deepEqual([header!.revision, kvs.length, count], [revision, KEYS, KEYS]);
    assert.ok(kvs.every(({ value }) => !Buffer.from(value).equals(Buffer.from('later'))));
    assert.equal(member.openViews, 0);
  }
});

test('a range whose client goes between two slices is read no further, and holds nothing', () => {
  const member = new SlicingMember();
  const stream = member.open(range);
  member.onSlice = (slice) => {
    if (slice === 3) stream.cancelSoon();
  };
  stream.send(new RangeRequest(ALL));
  stream.halfClose();
  member.clock.advance(1000);
  assert.ok(member.slices < KEYS / 10, `${member.slices} slices were read for nobody`);
  assert.equal(member.openViews, 0);
});

test('a streamed range is read no faster than its client takes it, and not to the end when it goes', () => {
  const member = new SlicingMember(10_000);
  const stream = member.open(rangeStream);
  stream.stopReading();
  stream.send(new RangeRequest(ALL));
  stream.halfClose();
  member.clock.advance(10_000);
  const slices = member.slices;
  assert.ok(slices < KEYS / 10, `${slices} slices were read for a client that takes none`);
  assert.ok(stream.isOpen);
  assert.equal(member.openViews, 1);
  stream.cancel();
  member.clock.advance(1000);
  assert.deepEqual([member.slices, member.openViews], [slices, 0]);
});

test('a streamed range that is taken slowly has all of its pairs, as they were', () => {
  const member = new SlicingMember(10_000);
  const stream = member.open(rangeStream);
  stream.stopReading();
  stream.send(new RangeRequest(ALL));
  stream.halfClose();
  member.clock.advance(1000);
  for (let i = 0; i < KEYS; i++) member.put(i, 'later');
  member.compact(member.store.revision);
  stream.readAgain();
  member.clock.advance(1000);
  assert.equal(stream.end?.code, GrpcCode.OK);
  const kvs = stream.responses.flatMap(({ rangeResponse }) => rangeResponse!.kvs);
  assert.equal(kvs.length, KEYS);
  assert.ok(kvs.every(({ value }) => value.length === 10_000));
});

test('a streamed range holds up a compaction for a while and not for good', () => {
  const member = new SlicingMember(10_000);
  const stream = member.open(rangeStream);
  stream.stopReading();
  stream.send(new RangeRequest(ALL));
  stream.halfClose();
  member.put(0, 'later');
  member.compact(member.store.revision);
  member.clock.advance(30_000);
  assert.equal(member.openViews, 1);
  member.clock.advance(60_000);
  assert.equal(member.openViews, 0);
  stream.readAgain();
  member.clock.advance(1000);
  assert.equal(stream.end?.message, RPC_ERRORS.ErrGRPCCompacted.message);
});

/** A member with so many values in pages of its database that an answer with all of them is more than a client's window. */
function memberWithPages(): FakeMember {
  const member = new FakeMember();
  for (let i = 0; i < KEYS; i++) {
    member.log.replay('put', new PutRequest({ key: keyOf(i), value: Buffer.alloc(VALUE_BYTES, i + 1) }));
  }
  member.backend.recentBytes = 0;
  commit(member);
  return member;
}

function commit(member: FakeMember): void {
  member.backend.commitNowThen((error) => assert.equal(error, null));
  member.clock.settle();
}

/** Everything is written over, the old revisions are removed, and what is left changes places. */
function turnOver(member: FakeMember): void {
  for (let i = 0; i < KEYS; i++) {
    member.log.replay('put', new PutRequest({ key: keyOf(i), value: Buffer.alloc(VALUE_BYTES, 0xee) }));
  }
  member.log.replay('compaction', new CompactionRequest({ revision: member.store.revision }));
  commit(member);
  member.backend.defragThen((error) => assert.equal(error, null));
  member.clock.settle();
  commit(member);
}

for (const [when, waitMs] of [
  ['at once', 0],
  ['after a while', 5000],
] as const) {
  test(`an answer whose client reads on ${when} is what it was, whatever is written, removed and moved meanwhile`, () => {
    poisonMemory();
    const member = memberWithPages();
    const stream = member.open(range);
    stream.stopReading();
    stream.send(new RangeRequest(ALL));
    stream.halfClose();
    member.clock.advance(waitMs);
    turnOver(member);
    stream.readAgain();
    member.clock.advance(1000);
    assert.equal(stream.end?.code, GrpcCode.OK);
    const { kvs } = stream.responses[0]!;
    assert.equal(kvs.length, KEYS);
    for (const [i, { value }] of kvs.entries()) assert.ok(Buffer.alloc(VALUE_BYTES, i + 1).equals(value));
  });
}

test('an answer whose client goes in the middle of it takes nothing away from the next one', () => {
  poisonMemory();
  const member = memberWithPages();
  for (let i = 0; i < 5; i++) {
    const stream = member.open(range);
    stream.stopReading();
    stream.send(new RangeRequest(ALL));
    stream.halfClose();
    stream.cancel();
    const { kvs } = member.ask(range, new RangeRequest(ALL));
    for (const [j, { value }] of kvs.entries()) assert.ok(Buffer.alloc(VALUE_BYTES, j + 1).equals(value));
  }
});

test('a watcher that takes nothing falls behind, costs the others nothing, and is told everything when it takes again', () => {
  const member = new SlicingMember();
  const [slow, quick] = [member.open(watch), member.open(watch)];
  for (const stream of [slow, quick]) {
    stream.send(new WatchRequest({ createRequest: new WatchCreateRequest(ALL) }));
  }
  slow.stopReading();
  const events = (stream: typeof slow): number[] =>
    stream.responses.flatMap((response) => response.events.map(({ kv }) => kv!.modRevision));
  const first = member.store.revision + 1;
  for (let i = 0; i < KEYS; i++) {
    member.put(i, 'x'.repeat(30_000));
    member.clock.advance(10);
  }
  const all = Array.from({ length: KEYS }, (_, i) => first + i);
  assert.deepEqual(events(quick), all);
  assert.ok(events(slow).length < KEYS);
  assert.equal(member.watches.laggingCount, 1, 'what is not taken is not kept for it');
  slow.readAgain();
  member.clock.advance(10_000);
  assert.deepEqual(events(slow), all);
  assert.equal(member.watches.laggingCount, 0);
});

test('a watcher that has been away for longer than what there is left is told so', () => {
  const member = new SlicingMember();
  const slow = member.open(watch);
  slow.send(new WatchRequest({ createRequest: new WatchCreateRequest(ALL) }));
  slow.stopReading();
  for (let i = 0; i < KEYS; i++) {
    member.put(i, 'x'.repeat(30_000));
    member.clock.advance(10);
  }
  member.compact(member.store.revision);
  member.clock.advance(1000);
  slow.readAgain();
  member.clock.advance(10_000);
  const last = slow.responses.at(-1)!;
  assert.deepEqual([last.canceled, last.compactRevision], [true, member.store.revision]);
  assert.ok(slow.isOpen, 'the stream has room for other watchers');
});
