import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CompactionRequest,
  LeaseGrantRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
  WatchCancelRequest,
  WatchCreateRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import { KvService, LeaseService, LockService, WatchService } from '@etcd/api/services';
import { LockRequest } from '@etcd/api/v3lockpb';
import { GrpcCode } from '@etcd/base';
import type { CallParts, TraceAttributes } from '@etcd/transport';
import { FakeMember, type ServedMemberOptions } from './testing/served-member.ts';

const KEY = Buffer.from('k');
const kv = KvService.methods;

/** A member whose calls are followed; `told` has what was told, in order. */
class FollowedMember extends FakeMember {
  readonly told: string[] = [];
  attributes: TraceAttributes = {};

  constructor(options: ServedMemberOptions = {}) {
    super(options);
    const { told } = this;
    const parts: CallParts = {
      addEvent: (name) => void told.push(name),
      endAll: () => void told.push('all end'),
      begin: (name, attributes) => {
        told.push(`${name} begins`);
        this.attributes = attributes;
        return {
          addEvent: (event, { 'exception.message': why = '' } = {}) =>
            void told.push(`${name}: ${event} ${why}`.trim()),
          end: () => void told.push(`${name} ends`),
        };
      },
    };
    const begin = () => ({ parts, onEnd: (code: number) => void told.push(`over ${code}`) });
    for (const method of this.grpc.methods) method.observer = { begin };
  }

  /** What has been told since the last time. */
  take(): string[] {
    return this.told.splice(0);
  }
}

test('a proposal that is applied has both events in its part, whatever comes of it', () => {
  const member = new FollowedMember();
  for (const [request, code] of [
    [new PutRequest({ key: KEY }), GrpcCode.OK],
    [new PutRequest({ key: KEY, lease: 5n }), GrpcCode.NotFound],
  ] as const) {
    assert.equal(member.call(kv.put, request)?.code, code);
    const told = member.take();
    assert.deepEqual(told.slice(0, 3), ['put begins', 'put: Send raft proposal', 'put: Receive raft result']);
    assert.ok(told.includes(`over ${code}`));
  }
});

test('what is refused before it is a part has none, what never comes to the log has no events of it', () => {
  const member = new FollowedMember({ config: { maxRequestBytes: 100 } });
  member.call(kv.put, new PutRequest());
  assert.deepEqual(member.take(), [`over ${GrpcCode.InvalidArgument}`]);
  member.call(kv.put, new PutRequest({ key: KEY, value: Buffer.alloc(200) }));
  const [begins, exception, ...others] = member.take();
  assert.deepEqual([begins, exception], ['put begins', 'put: exception etcdserver: request is too large']);
  assert.ok(others.every((line) => !line.includes('raft')));
});

test('attributes tell of a request what etcd tells, of a long key the beginning, of a large id its text', () => {
  const member = new FollowedMember();
  const attributesOf = (ask: () => unknown): TraceAttributes => {
    ask();
    return member.attributes;
  };
  const put = new RequestOp({ requestPut: new PutRequest({ key: KEY, lease: 2n ** 53n }) });
  const get = new RequestOp({ requestRange: new RangeRequest({ key: Buffer.from('g') }) });
  const txn = new TxnRequest({ success: [get, put], failure: [get] });
  assert.deepEqual(
    attributesOf(() => member.call(kv.txn, txn)),
    {
      compare_first_key: '',
      success_first_key: 'g',
      success_first_type: 'range',
      success_first_lease: '9007199254740992',
      compare_len: 0,
      success_len: 2,
      failure_len: 1,
      read_only: false,
    },
  );
  const long = new PutRequest({ key: Buffer.alloc(5000, 'x') });
  assert.deepEqual(
    attributesOf(() => member.call(kv.put, long)),
    { key: 'x'.repeat(1024) },
  );
  const broken = new PutRequest({ key: Buffer.from([0x61, 0xff]) });
  assert.deepEqual(
    attributesOf(() => member.call(kv.put, broken)),
    { key: 'a\ufffd' },
  );
  const grant = new LeaseGrantRequest({ id: 7n, ttl: 60 });
  assert.deepEqual(
    attributesOf(() => member.call(LeaseService.methods.leaseGrant, grant)),
    { id: 7, ttl: 60 },
  );
  const compaction = new CompactionRequest({ revision: 1, physical: true });
  assert.deepEqual(
    attributesOf(() => member.call(kv.compact, compaction)),
    { is_physical: true, rev: 1 },
  );
});

test('a watcher is a part until it is canceled', () => {
  const member = new FollowedMember();
  const stream = member.open(WatchService.methods.watch);
  const createRequest = new WatchCreateRequest({ key: KEY, rangeEnd: Buffer.from([0]), prevKv: true });
  stream.send(new WatchRequest({ createRequest }));
  assert.deepEqual(member.take(), ['watch begins']);
  assert.equal(member.attributes['range_end'], '');
  stream.send(new WatchRequest({ cancelRequest: new WatchCancelRequest({ watchId: 0n }) }));
  assert.deepEqual(member.take(), ['watch ends']);
  const backwards = new WatchCreateRequest({ key: KEY, rangeEnd: Buffer.from('a') });
  stream.send(new WatchRequest({ createRequest: backwards }));
  assert.deepEqual(member.take(), []);
});

test('what a lock consists of are parts that end one before the next', () => {
  const member = new FollowedMember();
  member.call(LockService.methods.lock, new LockRequest({ name: Buffer.from('l') }));
  const told = member.take();
  const parts = told.filter((line) => / (begins|ends)$/.test(line));
  assert.deepEqual(parts.slice(0, 4), ['lease_grant begins', 'lease_grant ends', 'txn begins', 'txn ends']);
});

test('who follows calls and does not ask for parts is told of none', () => {
  const member = new FakeMember();
  const ends: number[] = [];
  for (const method of member.grpc.methods) {
    method.observer = { begin: () => ({ onEnd: (code) => void ends.push(code) }) };
  }
  member.ask(kv.put, new PutRequest({ key: KEY }));
  member.ask(kv.range, new RangeRequest({ key: KEY }));
  assert.deepEqual(ends, [0, 0]);
});
