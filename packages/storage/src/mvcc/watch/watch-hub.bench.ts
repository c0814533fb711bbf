/**
 * What watching costs this layer: CPU per event and watcher, without the put itself, which is measured first.
 *
 *   node packages/storage/src/mvcc/watch/watch-hub.bench.ts
 */
import { PutRequest } from '@etcd/api/etcdserverpb';
import { SimClock, SimDisk } from '@etcd/testing';
import { SimMember } from '../testing/sim-member.ts';
import { put } from '../txn.ts';
import { WatchHub } from './watch-hub.ts';
import type { WatchRequest, WatchSink } from './watch-stream.ts';

const PUTS = 20_000;
let sent = 0;
let sentBytes = 0;
/** Does what an RPC layer must do at least: looks at every event's bytes. */
const sink: WatchSink = {
  sendEvents: (_watcher, events) => {
    sent += events.count;
    for (let i = 0; i < events.count; i++) sentBytes += events.end(i) - events.start(i);
  },
  sendProgress: () => {},
  sendCompacted: () => {},
};

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

function request(key: string, init: Partial<WatchRequest> = {}): WatchRequest {
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

interface Case {
  readonly name: string;
  readonly watch: (hub: WatchHub) => void;
}

function prefix(key: string): Uint8Array {
  const end = Buffer.from(key, 'latin1');
  end[end.length - 1]!++;
  return end;
}

const CASES: readonly Case[] = [
  { name: 'no watcher', watch: () => {} },
  {
    name: '1 watcher of the key',
    watch: (hub) => hub.newStream(sink).watch(request('/registry/pods/ns-7/name-42')),
  },
  {
    name: '200 watchers of the key, a stream each',
    watch: (hub) => {
      for (let i = 0; i < 200; i++) hub.newStream(sink).watch(request('/registry/pods/ns-7/name-42'));
    },
  },
  {
    name: '200 watchers of a prefix, with previous pairs',
    watch: (hub) => {
      for (let i = 0; i < 200; i++) {
        hub
          .newStream(sink)
          .watch(request('/registry/pods/', { end: prefix('/registry/pods/'), wantsPrevKv: true }));
      }
    },
  },
  {
    name: '30,000 watchers of other prefixes, 1 of this',
    watch: (hub) => {
      for (let i = 0; i < 30_000; i++) {
        const key = `/registry/pods/ns-${i + 100}/`;
        hub.newStream(sink).watch(request(key, { end: prefix(key) }));
      }
      hub.newStream(sink).watch(request('/registry/pods/ns-7/', { end: prefix('/registry/pods/ns-7/') }));
    },
  },
];

const value = Buffer.alloc(256, 'v');
let baseline = 0;
for (const { name, watch } of CASES) {
  for (let round = 0; round < 2; round++) {
    const clock = new SimClock();
    const member = new SimMember(
      clock,
      new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) }),
    );
    const hub = new WatchHub(member.store);
    watch(hub);
    sent = 0;
    const put1 = new PutRequest({ key: bytes('/registry/pods/ns-7/name-42'), value });
    let cpuUs = 0;
    for (let i = 0; i < PUTS; ) {
      const begin = process.cpuUsage();
      for (const end = i + 1000; i < end; i++) put(member.store, put1);
      const used = process.cpuUsage(begin);
      cpuUs += used.user + used.system;
      // Commits are not part of it.
      clock.advance(200);
    }
    if (round === 0) continue;
    const each = cpuUs / PUTS;
    if (name === 'no watcher') baseline = each;
    const perEvent =
      sent === 0 ? '' : `   ${(((each - baseline) * PUTS) / sent).toFixed(3)} us an event sent`;
    process.stdout.write(`${name.padEnd(50)} ${each.toFixed(2).padStart(8)} us a put${perEvent}\n`);
  }
}

{
  const clock = new SimClock();
  const member = new SimMember(
    clock,
    new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) }),
  );
  const hub = new WatchHub(member.store);
  for (let i = 0; i < 100_000; i++) {
    put(member.store, new PutRequest({ key: bytes(`/registry/pods/ns-7/name-${i % 1000}`), value }));
    if (i % 5000 === 0) clock.advance(300);
  }
  sent = 0;
  hub
    .newStream(sink)
    .watch(request('/registry/', { end: prefix('/registry/'), startRevision: 2, wantsPrevKv: true }));
  const begin = process.cpuUsage();
  clock.advance(1000);
  const used = process.cpuUsage(begin);
  const each = (used.user + used.system) / sent;
  process.stdout.write(
    `catching up, with previous pairs, ${sent} events          ${each.toFixed(2)} us an event\n`,
  );
}
if (sentBytes === 1) process.stdout.write('');
