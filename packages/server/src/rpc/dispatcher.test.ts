import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError, type Method, type MethodKind, RPC_ERRORS } from '@etcd/api';
import {
  PutRequest,
  RangeRequest,
  TxnRequest,
  WatchCreateRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import {
  ElectionService,
  KvService,
  LeaseService,
  LockService,
  MaintenanceService,
  WatchService,
} from '@etcd/api/services';
import { LeaderKey } from '@etcd/api/v3electionpb';
import { sizeUint32, writeUint32 } from '@etcd/api/wire';
import { GrpcCode } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import type { Access } from '../apply/index.ts';
import { RPC_TABLE } from './table.ts';
import { FakeMember } from './testing/served-member.ts';

const { ErrPermissionDenied, ErrUserEmpty } = INTERNAL_ERRORS.auth;
const KEY = Buffer.from('k');
const MAX_TXN_OPS = 128;
/** Deeper than messages may be. */
const TOO_DEEP = 1001;
const ALICE = [['token', 'alice']] as const;

/** Asks nobody but by name: what a user may do is denied to whoever is none, everything else to all but root. */
function strictAccess(asked: string[] = []): Access {
  const user = ({ name }: Identity): InternalError | null => (name === '' ? ErrUserEmpty : null);
  const onlyRoot =
    (what: string) =>
    (identity: Identity): InternalError | null => {
      asked.push(`${what} by ${identity.name}`);
      return user(identity) ?? (identity.name === 'root' ? null : ErrPermissionDenied);
    };
  return {
    isEnabled: true,
    user,
    admin: onlyRoot('admin'),
    range: onlyRoot('range'),
    put: onlyRoot('put'),
    deleteRange: onlyRoot('deleteRange'),
    txn: onlyRoot('txn'),
    leaseKeys: onlyRoot('leaseKeys'),
    hasRole: ({ name }) => name === 'root',
    allLeaseKeys: onlyRoot('allLeaseKeys'),
  };
}

function strictMember(asked: string[] = []): FakeMember {
  const member = new FakeMember();
  member.log.rules = strictAccess(asked);
  for (const name of ['alice', 'root']) member.users.set(name, { name, revision: 1 });
  return member;
}

/** What a method with one request answers; for a watch, what its first watcher is refused with. */
function codeOf(
  member: FakeMember,
  method: Method<MethodKind, object, object>,
  token: string | null,
): string {
  const metadata = token === null ? [] : ([['token', token]] as const);
  const stream = member.open(method, metadata);
  if (method.path === WatchService.methods.watch.path) {
    const createRequest = new WatchCreateRequest({ key: KEY });
    const watch = member.open(WatchService.methods.watch, metadata);
    watch.send(new WatchRequest({ createRequest }));
    // Go's gRPC puts the code before the text.
    return watch.responses[0]?.cancelReason.replace(/^rpc error: code = \w+ desc = /, '') ?? 'no answer';
  }
  stream.send(requestOf(method));
  stream.halfClose();
  return stream.end?.message ?? (stream.responses.length > 0 ? '' : 'no answer');
}

/** A request that passes the checks of its form. */
function requestOf({ path, request }: Method<MethodKind, object, object>): object {
  const { range, put, deleteRange, rangeStream } = KvService.methods;
  const { unlock } = LockService.methods;
  const hasKey = [range, put, deleteRange, rangeStream, unlock].some((method) => method.path === path);
  const { proclaim, resign } = ElectionService.methods;
  const hasLeader = [proclaim, resign].some((method) => method.path === path);
  if (hasLeader) return Object.assign(request.create(), { leader: new LeaderKey({ key: KEY }) });
  return hasKey ? Object.assign(request.create(), { key: KEY }) : request.create();
}

const REFUSALS = new Set([
  RPC_ERRORS.ErrGRPCUserEmpty.message,
  RPC_ERRORS.ErrGRPCPermissionDenied.message,
  RPC_ERRORS.ErrGRPCInvalidAuthToken.message,
]);

test('S04 whoever has no name is refused everything that needs one, and a token that is none is refused', () => {
  for (const rpc of RPC_TABLE) {
    if (rpc.kind === 'not-served') continue;
    const { path } = rpc.method;
    const needsNothing = rpc.row.needs === 'nothing';
    const byNobody = codeOf(strictMember(), rpc.method, null);
    const byForger = codeOf(strictMember(), rpc.method, 'forged');
    if (needsNothing) {
      assert.ok(!REFUSALS.has(byNobody) && !REFUSALS.has(byForger), path);
    } else if (path === ElectionService.methods.observe.path) {
      // As in etcd: the stream of whoever may not be told ends without a word.
      assert.deepEqual([byNobody, byForger], ['', ''], path);
    } else {
      assert.equal(byNobody, RPC_ERRORS.ErrGRPCUserEmpty.message, path);
      assert.equal(byForger, RPC_ERRORS.ErrGRPCInvalidAuthToken.message, path);
    }
  }
});

test('S04 what needs an administrator is refused to other users', () => {
  for (const rpc of RPC_TABLE) {
    if (rpc.kind === 'not-served' || rpc.row.needs !== 'admin') continue;
    assert.equal(
      codeOf(strictMember(), rpc.method, 'alice'),
      ErrPermissionDenied.rpc.message,
      rpc.method.path,
    );
    assert.ok(!REFUSALS.has(codeOf(strictMember(), rpc.method, 'root')), rpc.method.path);
  }
});

test('S04 what needs any user is open to all of them', () => {
  for (const rpc of RPC_TABLE) {
    if (rpc.kind === 'not-served' || rpc.row.needs !== 'user') continue;
    assert.ok(!REFUSALS.has(codeOf(strictMember(), rpc.method, 'alice')), rpc.method.path);
  }
});

test('S08 what goes through the log is judged when it is applied, by who proposed it', () => {
  const asked: string[] = [];
  const member = strictMember(asked);
  const { put } = KvService.methods;
  const answered = member.call(put, new PutRequest({ key: KEY }), ALICE);
  assert.equal(answered?.message, ErrPermissionDenied.rpc.message);
  assert.deepEqual(asked, ['put by alice']);
  assert.equal(member.log.appliedIndex, 1, 'the entry is in the log');
  assert.equal(member.store.revision, 1, 'and has changed nothing');
  member.ask(put, new PutRequest({ key: KEY }), [['token', 'root']]);
  assert.equal(member.store.revision, 2);
});

test('what is read is judged when it can be read, not before', () => {
  const asked: string[] = [];
  const member = strictMember(asked);
  member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  const request = new RangeRequest({ key: KEY });
  assert.equal(member.call(KvService.methods.range, request, ALICE)?.code, GrpcCode.Unavailable);
  assert.deepEqual(asked, [], 'there was nothing to read');
  member.readError = null;
  assert.equal(member.call(KvService.methods.range, request, ALICE)?.code, GrpcCode.PermissionDenied);
  assert.equal(member.call(KvService.methods.txn, new TxnRequest(), ALICE)?.code, GrpcCode.PermissionDenied);
  assert.deepEqual(asked, ['range by alice', 'txn by alice']);
});

test('while authentication is not enabled nobody is asked', () => {
  const asked: string[] = [];
  const member = strictMember(asked);
  member.log.rules = { ...strictAccess(asked), isEnabled: false };
  member.ask(KvService.methods.put, new PutRequest({ key: KEY }), [['token', 'forged']]);
  member.ask(MaintenanceService.methods.status, MaintenanceService.methods.status.request.create());
  assert.deepEqual(asked, []);
});

test('a learner serves what the table says, and nothing else', () => {
  for (const rpc of RPC_TABLE) {
    if (rpc.kind === 'not-served') continue;
    const member = new FakeMember();
    member.isLearner = true;
    const isRefused =
      rpc.kind === 'stream'
        ? member.open(rpc.method).end?.message === RPC_ERRORS.ErrGRPCNotSupportedForLearner.message
        : codeOf(member, rpc.method, null) === RPC_ERRORS.ErrGRPCNotSupportedForLearner.message;
    assert.equal(isRefused, rpc.row.onLearner !== 'served', rpc.method.path);
  }
  const member = new FakeMember();
  member.isLearner = true;
  member.ask(KvService.methods.range, new RangeRequest({ key: KEY, serializable: true }));
});

test('a member with wrong data serves what the table says, and nothing else', () => {
  for (const rpc of RPC_TABLE) {
    if (rpc.kind === 'not-served') continue;
    const member = new FakeMember();
    member.fence();
    const isRefused =
      rpc.kind === 'stream'
        ? member.open(rpc.method).end?.message === RPC_ERRORS.ErrGRPCCorrupt.message
        : codeOf(member, rpc.method, null) === RPC_ERRORS.ErrGRPCCorrupt.message;
    assert.equal(isRefused, rpc.row.whenFenced === 'refused', rpc.method.path);
  }
});

test('without a leader only those are refused who asked for that', () => {
  const member = new FakeMember();
  member.leader = 0n;
  const { status } = MaintenanceService.methods;
  const hasLeader = [['hasleader', 'true']] as const;
  assert.equal(member.call(status, status.request.create(), hasLeader)?.code, GrpcCode.Unavailable);
  assert.equal(member.call(status, status.request.create())?.code, GrpcCode.OK);
});

test('S17 what is no request is refused in the words of gRPC, whatever the method', () => {
  const noise = Uint8Array.of(0xff, 0xff, 0xff);
  for (const rpc of RPC_TABLE) {
    if (rpc.kind === 'not-served') continue;
    const member = new FakeMember();
    const stream = member.open(rpc.method);
    stream.sendBytes(noise);
    if (rpc.kind === 'message') stream.halfClose();
    assert.equal(stream.end?.code, GrpcCode.Internal, rpc.method.path);
    assert.match(stream.end?.message ?? '', /^grpc: .*: proto: cannot parse invalid wire-format data$/);
    assert.equal(member.log.appliedIndex, 0);
  }
});

test('a transaction that is nested too deep has too many operations, be it deeper than messages may be or not', () => {
  const { txn } = KvService.methods;
  for (const levels of [MAX_TXN_OPS + 1, TOO_DEEP]) {
    // A success branch in a success branch and so on, each with its length in front.
    let bytes = Buffer.alloc(0);
    for (let depth = 0; depth < levels; depth++) {
      const inner = Buffer.concat([Buffer.of(0x22), lengthOf(bytes), bytes]);
      bytes = Buffer.concat([Buffer.of(0x12), lengthOf(inner), inner]);
    }
    const answered = new FakeMember({ config: { maxTxnOps: MAX_TXN_OPS } }).callWith(txn, bytes);
    assert.equal(answered?.message, RPC_ERRORS.ErrGRPCTooManyOps.message, `${levels} levels`);
  }
});

function lengthOf({ length }: Uint8Array): Buffer {
  const bytes = Buffer.alloc(sizeUint32(length));
  writeUint32(bytes, 0, length);
  return bytes;
}

test('methods that are not served are unimplemented', () => {
  const member = new FakeMember();
  for (const rpc of RPC_TABLE) {
    if (rpc.kind !== 'not-served') continue;
    const stream = member.open(rpc.method);
    stream.send(rpc.method.request.create());
    stream.halfClose();
    assert.equal(stream.end?.code, GrpcCode.Unimplemented, rpc.method.path);
  }
});

test('requests are counted by the version that their client says it speaks', () => {
  const member = new FakeMember();
  const { leaseLeases } = LeaseService.methods;
  const ask = (version: string): void =>
    void member.ask(leaseLeases, leaseLeases.request.create(), [['client-api-version', version]]);
  ask('3.5');
  ask('3.5');
  ask('3.6');
  member.ask(leaseLeases, leaseLeases.request.create());
  const { clientRequestsTotal } = member.metrics.handles;
  const counts = ['3.5', '3.6', 'unknown'].map(
    (version) => clientRequestsTotal.labels('unary', version).value,
  );
  assert.deepEqual(counts, [2, 1, 1]);
});
