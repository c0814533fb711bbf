/** A damaged page that the store meets in a turn of its own: whoever ends the process is told, and nobody gets a wrong answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PutRequest } from '@etcd/api/etcdserverpb';
import type { BoltError } from '@etcd/bbolt';
import { damageLeaves, SimClock, SimDisk } from '@etcd/testing';
import { SimMember } from './testing/sim-member.ts';
import { put } from './txn.ts';
import { WatchHub } from './watch/watch-hub.ts';
import { Watcher } from './watch/watcher.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const PUTS = 1000;

interface Found {
  readonly member: SimMember<SimClock, SimDisk>;
  readonly fatal: BoltError[];
}

function open(clock: SimClock, disk: SimDisk, fatal: BoltError[]): SimMember<SimClock, SimDisk> {
  return new SimMember(clock, disk, {
    recentBytes: 0,
    cacheBytes: 1,
    batchLimit: 100,
    onFatal: (error) => fatal.push(error),
  });
}

/** A store with revisions that are in the file only. */
function full(): Found {
  const clock = new SimClock();
  const fatal: BoltError[] = [];
  const member = open(clock, new SimDisk({ schedule: (_, complete) => clock.setTimer(1, complete) }), fatal);
  for (let i = 0; i < PUTS; i++) {
    put(member.store, new PutRequest({ key: bytes(`k${i % 50}`), value: bytes('x'.repeat(200)) }));
    if (i % 100 === 0) clock.advance(200);
  }
  clock.advance(1000);
  return { member, fatal };
}

/** The same, damaged while it is open. */
function damaged(): Found {
  const found = full();
  assert.ok(damageLeaves(found.member.disk, '/db') > 20);
  return found;
}

const codes = (fatal: readonly BoltError[]): string[] => fatal.map(({ code }) => code);

test('damage that a hash of the keys meets is fatal, and there is no hash', () => {
  const { member, fatal } = damaged();
  let answers = 0;
  member.store.hashes.hashByRevThen(0, () => answers++);
  member.clock.advance(1000);
  assert.deepEqual([codes(fatal), answers], [['corrupt'], 0]);
});

test('damage that a compaction meets is fatal, and the compaction does not count as finished', () => {
  const { member, fatal } = damaged();
  let finished = 0;
  member.store.compact(PUTS / 2, () => finished++);
  member.clock.advance(60_000);
  assert.deepEqual([codes(fatal)[0], finished], ['corrupt', 0]);
});

test('damage that watchers meet who catch up is fatal, and they get nothing of what is behind it', () => {
  const { member, fatal } = damaged();
  const hub = new WatchHub(member.store);
  let events = 0;
  const stream = hub.newStream({
    sendEvents: (_watcher, sent) => {
      events += sent.count;
    },
    sendProgress: () => {},
    sendCompacted: () => assert.fail('nothing is compacted'),
  });
  const kinds = { dropsPuts: false, dropsDeletes: false, wantsPrevKv: false };
  const watcher = stream.watch({ id: 0n, key: bytes('k'), end: bytes('l'), startRevision: 2, ...kinds });
  assert.ok(watcher instanceof Watcher);
  member.clock.advance(1000);
  assert.equal(codes(fatal)[0], 'corrupt');
  assert.ok(events < PUTS);
});

test('damage that a start meets while it reads the keys is fatal, and the store never becomes ready', () => {
  const { member } = full();
  const disk = member.stop();
  assert.ok(damageLeaves(disk, '/db') > 20);
  const clock = new SimClock();
  const fatal: BoltError[] = [];
  const next = open(clock, disk.afterKill({ schedule: (_, complete) => clock.setTimer(1, complete) }), fatal);
  clock.advance(1000);
  assert.deepEqual([codes(fatal), next.store.isReady], [['corrupt'], false]);
});
