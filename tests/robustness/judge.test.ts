/** The judge of histories: a right history passes, and each way of being wrong is seen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeInternalRaftRequest,
  encodeWatchResponse,
  InternalRaftRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  ResponseHeader,
  WatchResponse,
} from '@etcd/api/etcdserverpb';
import { Event, KeyValue } from '@etcd/api/mvccpb';
import { Entry } from '@etcd/api/raftpb';
import type { CommittedLog } from './committed-log.ts';
import { History, type WatchStep } from './history.ts';
import { judge } from './judge.ts';
import { bytesOf } from './requests.ts';

const LEASE = 7n;
const WHOLE = { key: '\0', end: '\0', prevKv: false, fragment: false, without: null };

/** a=1 at revision 2, b=2 at 3 under a lease, which ends at 4. */
function log(changes: Partial<CommittedLog> = {}): CommittedLog {
  const requests = [
    { put: new PutRequest({ key: bytesOf('a'), value: bytesOf('1') }) },
    { leaseGrant: new LeaseGrantRequest({ id: LEASE, ttl: 2 }) },
    { put: new PutRequest({ key: bytesOf('b'), value: bytesOf('2'), lease: LEASE }) },
    { leaseRevoke: new LeaseRevokeRequest({ id: LEASE }) },
  ];
  const entries = requests.map(
    (request, i) =>
      new Entry({ index: i + 1, term: 1, data: encodeInternalRaftRequest(new InternalRaftRequest(request)) }),
  );
  return { entries, isWhole: true, conflicts: [], ...changes };
}

function pair(key: string, value: string, revision: number, lease = 0n): KeyValue {
  const revisions = { createRevision: revision, modRevision: revision, version: 1 };
  return new KeyValue({ key: bytesOf(key), value: bytesOf(value), lease, ...revisions });
}

function properties(history: History, changes: Partial<CommittedLog> = {}): string[] {
  return judge(history, log(changes)).violations.map(({ property }) => property);
}

function answered(history: History, seenRevision: number, revision: number): void {
  const kvs = [pair('a', '1', 2)];
  const answer = new RangeResponse({ header: new ResponseHeader({ revision }), kvs, count: 1 });
  const request = new RangeRequest({ key: bytesOf('a') });
  history.answered.push({
    text: 'range a',
    by: 'm0',
    bounds: { seenRevision },
    judge: ({ checks }, bounds) => checks.range(request, answer, bounds),
  });
}

test('answers are judged by the log: one that was overtaken is seen', () => {
  const right = new History();
  answered(right, 2, 2);
  assert.deepEqual(properties(right), []);
  const stale = new History();
  answered(stale, 3, 2);
  assert.deepEqual(properties(stale), ['linearizability']);
});

test('a write that was acknowledged must be in the log, one that was refused must not', () => {
  const lost = new History();
  lost.answered.push({
    text: 'put',
    by: 'm0',
    bounds: { seenRevision: 3 },
    judge: ({ checks }, bounds) => {
      const answer = new PutResponse({ header: new ResponseHeader({ revision: 4 }) });
      return checks.put('lost', 'a', answer, bounds);
    },
  });
  assert.deepEqual(properties(lost), ['linearizability']);
  const refused = new History();
  refused.forbidden.add('2');
  assert.deepEqual(properties(refused), ['refusal']);
  const odd = new History();
  odd.oddErrors.push('put a=1, by m0: code 13');
  assert.deepEqual(properties(odd), ['errors']);
});

test('logs that differ, and a log with a gap, are told', () => {
  const history = new History();
  assert.deepEqual(properties(history, { conflicts: ['entry 3'] }), ['state machine safety']);
  answered(history, 3, 2);
  assert.deepEqual(properties(history, { isWhole: false }), ['the harness'], 'nothing else is judged');
});

function watched(...messages: WatchResponse[]): History {
  const history = new History();
  const told = messages.map(
    (message): WatchStep => ({ type: 'message', bytes: encodeWatchResponse(message) }),
  );
  history.watches.push({ name: 'w', range: WHOLE, steps: [{ type: 'open', from: 2, by: 'm0' }, ...told] });
  history.seenRevision = 4;
  history.isComplete = true;
  return history;
}

const put = (kv: KeyValue): Event => new Event({ kv });
const END_OF_B = new Event({ type: 1, kv: new KeyValue({ key: bytesOf('b'), modRevision: 4 }) });
const header = new ResponseHeader({ revision: 4 });

test('a watcher is told everything, once and in order', () => {
  const [a, b] = [put(pair('a', '1', 2)), put(pair('b', '2', 3, LEASE))];
  const events = (...list: Event[]): WatchResponse => new WatchResponse({ header, events: list });
  const right = watched(new WatchResponse({ created: true }), events(a), events(b, END_OF_B));
  assert.deepEqual(properties(right), []);
  assert.equal(judge(right, log()).events, 3);
  for (const wrong of [
    [events(b, END_OF_B)],
    [events(b), events(a), events(END_OF_B)],
    [events(a), events(a), events(b, END_OF_B)],
    [events(a, b)],
    [events(a), new WatchResponse({ header })],
  ]) {
    assert.deepEqual(properties(watched(...wrong)), ['watch']);
  }
});

test('a lease ends neither before its time, nor in the eyes of its holder', () => {
  const lease = (changes: object): History => {
    const history = new History();
    const renewedMs = performance.now() - 10_000;
    history.leases.set(LEASE, {
      id: LEASE,
      ttlMs: 2000,
      renewedMs,
      isRevocable: false,
      goneMs: null,
      ...changes,
    });
    history.see(4);
    return history;
  };
  assert.deepEqual(properties(lease({})), []);
  assert.deepEqual(properties(lease({ ttlMs: 60_000 })), ['lease']);
  assert.deepEqual(properties(lease({ ttlMs: 60_000, isRevocable: true })), []);
  assert.deepEqual(properties(lease({ goneMs: performance.now() - 9000 })), ['lease']);
});
