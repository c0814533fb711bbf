/** Authentication on a cluster whose time, disks and network are simulated: who may do what, on every member alike. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { encode } from '@etcd/api';
import { Permission, PermissionType } from '@etcd/api/authpb';
import * as pb from '@etcd/api/etcdserverpb';
import {
  CampaignRequest,
  CampaignRequestCodec,
  LeaderKey,
  LeaderRequest,
  LeaderRequestCodec,
  ProclaimRequest,
  ProclaimRequestCodec,
  ResignRequest,
  ResignRequestCodec,
} from '@etcd/api/v3electionpb';
import { LockRequest, LockRequestCodec, UnlockRequest, UnlockRequestCodec } from '@etcd/api/v3lockpb';
import { GrpcCode } from '@etcd/base';
import { RPC_TABLE } from '@etcd/server';
import { type Answered, AuthSession } from './auth-session.ts';
import { QuietCluster } from './quiet-cluster.ts';
import { simHash } from './sim-authentication.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const permission = (permType: number, key: string, rangeEnd = ''): Permission =>
  new Permission({ permType, key: bytes(key), rangeEnd: bytes(rangeEnd) });

const USER_EMPTY = 'etcdserver: user name is empty';
const DENIED = 'etcdserver: permission denied';

const ELECTION = bytes('foreign election');
const LEADER_KEY = new LeaderKey({ name: ELECTION, key: bytes('foreign election/1'), rev: 1, lease: 1n });

/** Requests that name something foreign, where an empty one would need nothing. */
const SAMPLES: Readonly<Record<string, Uint8Array>> = {
  '/etcdserverpb.Auth/UserAdd': encode(
    pb.AuthUserAddRequestCodec,
    new pb.AuthUserAddRequest({ name: 'new' }),
  ),
  '/etcdserverpb.KV/Range': encode(pb.RangeRequestCodec, new pb.RangeRequest({ key: bytes('foreign') })),
  '/etcdserverpb.KV/RangeStream': encode(
    pb.RangeRequestCodec,
    new pb.RangeRequest({ key: bytes('foreign') }),
  ),
  '/etcdserverpb.KV/Put': encode(
    pb.PutRequestCodec,
    new pb.PutRequest({ key: bytes('foreign'), value: bytes('put') }),
  ),
  '/etcdserverpb.KV/DeleteRange': encode(
    pb.DeleteRangeRequestCodec,
    new pb.DeleteRangeRequest({ key: bytes('foreign') }),
  ),
  '/etcdserverpb.KV/Txn': encode(
    pb.TxnRequestCodec,
    new pb.TxnRequest({
      success: [
        new pb.RequestOp({ requestPut: new pb.PutRequest({ key: bytes('foreign'), value: bytes('txn') }) }),
      ],
    }),
  ),
  '/etcdserverpb.Lease/LeaseRevoke': encode(
    pb.LeaseRevokeRequestCodec,
    new pb.LeaseRevokeRequest({ id: 7n }),
  ),
  '/etcdserverpb.Lease/LeaseTimeToLive': encode(
    pb.LeaseTimeToLiveRequestCodec,
    new pb.LeaseTimeToLiveRequest({ id: 7n, keys: true }),
  ),
  '/etcdserverpb.Maintenance/Alarm': encode(
    pb.AlarmRequestCodec,
    new pb.AlarmRequest({ action: pb.AlarmAction.DEACTIVATE }),
  ),
  '/etcdserverpb.Auth/UserGet': encode(
    pb.AuthUserGetRequestCodec,
    new pb.AuthUserGetRequest({ name: 'root' }),
  ),
  '/etcdserverpb.Auth/RoleGet': encode(
    pb.AuthRoleGetRequestCodec,
    new pb.AuthRoleGetRequest({ role: 'foreign' }),
  ),
  '/v3lockpb.Lock/Lock': encode(LockRequestCodec, new LockRequest({ name: bytes('foreign') })),
  '/v3lockpb.Lock/Unlock': encode(UnlockRequestCodec, new UnlockRequest({ key: bytes('foreign') })),
  '/v3electionpb.Election/Campaign': encode(
    CampaignRequestCodec,
    new CampaignRequest({ name: ELECTION, value: bytes('me') }),
  ),
  '/v3electionpb.Election/Proclaim': encode(
    ProclaimRequestCodec,
    new ProclaimRequest({ leader: LEADER_KEY, value: bytes('me') }),
  ),
  '/v3electionpb.Election/Leader': encode(LeaderRequestCodec, new LeaderRequest({ name: ELECTION })),
  '/v3electionpb.Election/Observe': encode(LeaderRequestCodec, new LeaderRequest({ name: ELECTION })),
  '/v3electionpb.Election/Resign': encode(ResignRequestCodec, new ResignRequest({ leader: LEADER_KEY })),
};
const NOTHING = new Uint8Array(0);
/** Would change who may do what, or end the member's service, if it were permitted. */
const LAST = ['/etcdserverpb.Auth/AuthDisable'];

async function withUser(
  size = 1,
  flags: readonly string[] = [],
): Promise<{
  readonly cluster: QuietCluster;
  readonly nobody: AuthSession;
  readonly user: AuthSession;
  readonly root: AuthSession;
}> {
  const cluster = await QuietCluster.start({ size, flags });
  const nobody = new AuthSession(cluster, cluster.leader);
  await nobody.addRole('own', permission(PermissionType.READWRITE, 'own', 'owo'));
  await nobody.addRole('foreign');
  await nobody.addUser('user', 'secret');
  await nobody.grantRole('user', 'own');
  const root = await nobody.enable();
  const user = await nobody.login('user', 'secret');
  return { cluster, nobody, user, root };
}

test('S04 every RPC has the verdict of the table for a stranger, a user and an administrator', async () => {
  const { cluster, nobody, user, root } = await withUser();
  await root.done(
    '/etcdserverpb.Lease/LeaseGrant',
    pb.LeaseGrantRequestCodec,
    new pb.LeaseGrantRequest({ id: 7n, ttl: 600 }),
  );
  const put = new pb.PutRequest({ key: bytes('leased'), value: bytes('leased'), lease: 7n });
  await root.done('/etcdserverpb.KV/Put', pb.PutRequestCodec, put);
  const isStream = (path: string): boolean => /Watch|KeepAlive/.test(path);
  const unary = RPC_TABLE.filter(({ method, kind }) => kind === 'message' && !isStream(method.path));
  assert.ok(unary.length > 35, 'the table is not there');
  const ordered = [...unary].sort((a, b) => LAST.indexOf(a.method.path) - LAST.indexOf(b.method.path));
  for (const rpc of ordered) {
    assert.equal(rpc.kind, 'message');
    if (rpc.kind !== 'message') continue;
    const { path } = rpc.method;
    const { needs } = rpc.row;
    const request = SAMPLES[path] ?? NOTHING;
    const verdicts = [];
    for (const session of [nobody, user, root]) {
      // The lease of the sample is meant to stay; and who may observe an election does so until it leaves.
      const isRevoking = session === root && path.endsWith('LeaseRevoke');
      const isObserving = path.endsWith('Observe');
      const asked = session.begin(path, isRevoking ? NOTHING : request);
      await cluster.until(
        `${path} is answered`,
        10_000,
        () => asked.isOver || (isObserving && session === root && asked.messages.length > 0),
      );
      // Whoever may not observe is told nothing, as in etcd.
      verdicts.push(isObserving ? `${asked.messages.length} leaders` : verdictOf(asked));
    }
    const expected = path.endsWith('Observe')
      ? ['0 leaders', '0 leaders', '1 leaders']
      : needs === 'nothing'
        ? ['-', '-', '-']
        : needs === 'user'
          ? [USER_EMPTY, '-', '-']
          : [USER_EMPTY, DENIED, '-'];
    assert.deepEqual(verdicts, expected, `${path} needs ${JSON.stringify(needs)}`);
  }
});

/** Whether a call was refused for who asked, and how. */
function verdictOf({ code, message }: Answered): string {
  // Locks and elections tell every error of their steps as one that is not known.
  const isRefused = code === GrpcCode.PermissionDenied || [USER_EMPTY, DENIED].includes(message);
  return isRefused ? message : '-';
}

test('S04 a method that is in no table is nobody’s', async () => {
  const { nobody, root } = await withUser();
  for (const session of [nobody, root]) {
    const { code } = await session.ask('/etcdserverpb.KV/Steal', NOTHING);
    assert.equal(code, GrpcCode.Unimplemented);
  }
});

const create = (key: string, rangeEnd = ''): Uint8Array =>
  encode(
    pb.WatchRequestCodec,
    new pb.WatchRequest({
      createRequest: new pb.WatchCreateRequest({ key: bytes(key), rangeEnd: bytes(rangeEnd) }),
    }),
  );
const watchAnswers = ({ messages }: Answered): pb.WatchResponse[] =>
  messages.map((message) => pb.WatchResponseCodec.decode(message));

test('S01 a watcher is created on what its owner may read, and cancelled when it may not any more', async () => {
  const { cluster, nobody, user, root } = await withUser();
  const watch = user.open('/etcdserverpb.Watch/Watch');
  for (const [key, end] of [['own'], ['foreign'], ['own', 'p'], ['', '\0'], ['own', 'owo']] as const) {
    watch.send(create(key, end));
  }
  await cluster.until('five answers', 1000, () => watch.messages.length === 5);
  assert.deepEqual(
    watchAnswers(watch).map(({ canceled, watchId, cancelReason }) => [canceled, watchId, cancelReason]),
    [
      [false, 0n, ''],
      [true, -1n, `rpc error: code = PermissionDenied desc = ${DENIED}`],
      [true, -1n, `rpc error: code = PermissionDenied desc = ${DENIED}`],
      [true, -1n, `rpc error: code = PermissionDenied desc = ${DENIED}`],
      [false, 1n, ''],
    ],
  );
  const strangers = nobody.open('/etcdserverpb.Watch/Watch');
  strangers.send(create('own'));
  await cluster.until('an answer', 1000, () => strangers.messages.length === 1);
  assert.equal(
    watchAnswers(strangers)[0]!.cancelReason,
    `rpc error: code = InvalidArgument desc = ${USER_EMPTY}`,
  );

  await root.done(
    '/etcdserverpb.KV/Put',
    pb.PutRequestCodec,
    new pb.PutRequest({ key: bytes('own'), value: bytes('v1') }),
  );
  await cluster.until('two events', 1000, () => watch.messages.length === 7);
  await root.done(
    '/etcdserverpb.Auth/UserRevokeRole',
    pb.AuthUserRevokeRoleRequestCodec,
    new pb.AuthUserRevokeRoleRequest({ name: 'user', role: 'own' }),
  );
  await root.done(
    '/etcdserverpb.KV/Put',
    pb.PutRequestCodec,
    new pb.PutRequest({ key: bytes('own'), value: bytes('v2') }),
  );
  await cluster.until('two cancels', 1000, () => watch.messages.length === 9);
  const after = watchAnswers(watch).slice(7);
  assert.deepEqual(
    after.map(({ canceled, events, cancelReason }) => [canceled, events.length, cancelReason]),
    [0, 1].map(() => [true, 0, `rpc error: code = PermissionDenied desc = ${DENIED}`]),
  );
});

test('S01 watchers of a time without authentication end when it is enabled', async () => {
  const cluster = await QuietCluster.start({ size: 1 });
  const nobody = new AuthSession(cluster, cluster.leader);
  const watch = nobody.open('/etcdserverpb.Watch/Watch');
  watch.send(create('k'));
  await cluster.until('created', 1000, () => watch.messages.length === 1);
  const root = await nobody.enable();
  await root.done('/etcdserverpb.KV/Put', pb.PutRequestCodec, new pb.PutRequest({ key: bytes('k') }));
  await cluster.until('cancelled', 1000, () => watch.messages.length === 2);
  assert.equal(watchAnswers(watch)[1]!.canceled, true);
});

test('a stream whose token is not one is told so with each request, as in etcd', async () => {
  const { cluster, user } = await withUser();
  const stranger = new AuthSession(cluster, user.machine, 'nonsense.1');
  const watch = stranger.open('/etcdserverpb.Watch/Watch');
  watch.send(create('own'));
  await cluster.until('refused', 1000, () => watch.messages.length === 1);
  const reason = 'rpc error: code = Unauthenticated desc = etcdserver: invalid auth token';
  assert.equal(watchAnswers(watch)[0]!.cancelReason, reason);
  const { code, message } = await stranger.ask('/etcdserverpb.KV/Put', SAMPLES['/etcdserverpb.KV/Put']!);
  assert.deepEqual([code, message], [GrpcCode.Unauthenticated, 'etcdserver: invalid auth token']);
});

test('S08 a token is good on every member at once, and void on all with its user', async () => {
  const { cluster, root } = await withUser(3);
  for (const machine of cluster.machines) {
    const range = new pb.RangeRequest({ key: bytes('own'), serializable: true });
    const { code, message } = await root
      .at(machine)
      .ask('/etcdserverpb.KV/Range', encode(pb.RangeRequestCodec, range));
    assert.equal(code, GrpcCode.OK, message);
  }
  const [first, second] = cluster.followers;
  const user = await root.at(first!).login('user', 'secret');
  const request = new pb.AuthUserDeleteRequest({ name: 'user' });
  await root.at(second!).done('/etcdserverpb.Auth/UserDelete', pb.AuthUserDeleteRequestCodec, request);
  for (const machine of cluster.machines) {
    const { code } = await user.at(machine).ask('/etcdserverpb.KV/Put', SAMPLES['/etcdserverpb.KV/Put']!);
    assert.equal(code, GrpcCode.Unauthenticated);
  }
});

test('S08 what was proposed before a change of roles is refused after it, on all members', async () => {
  const { cluster, user, root } = await withUser(3);
  const put = (i: number): Uint8Array =>
    encode(pb.PutRequestCodec, new pb.PutRequest({ key: bytes(`own/${i}`), value: bytes(`v${i}`) }));
  const change = encode(pb.AuthRoleAddRequestCodec, new pb.AuthRoleAddRequest({ name: 'another' }));
  const [follower] = cluster.followers;
  const calls = Array.from({ length: 60 }, (_, i) =>
    i === 20
      ? root.begin('/etcdserverpb.Auth/RoleAdd', change)
      : user.at(i % 2 === 0 ? cluster.leader : follower!).begin('/etcdserverpb.KV/Put', put(i)),
  );
  await cluster.until('all are answered', 10_000, () => calls.every(({ isOver }) => isOver));
  const old = calls.filter(({ message }) => message === 'etcdserver: revision of auth store is old');
  assert.ok(
    calls.every(({ code, message }) => code === GrpcCode.OK || message.endsWith('auth store is old')),
  );
  await cluster.until('all have applied', 5000, () => {
    const [revision] = cluster.machines.map(({ server }) => server!.store.revision);
    return cluster.machines.every(({ server }) => server!.store.revision === revision);
  });
  const written = calls.length - 1 - old.length;
  assert.equal(cluster.leader.server!.store.revision, 1 + written);
});

test('S11 an empty password is refused, a user without one can not log in', async () => {
  const { nobody, root } = await withUser();
  const add = (init: Partial<pb.AuthUserAddRequest>): Promise<Answered> =>
    root.ask(
      '/etcdserverpb.Auth/UserAdd',
      encode(pb.AuthUserAddRequestCodec, new pb.AuthUserAddRequest(init)),
    );
  assert.equal((await add({ name: 'a' })).message, 'etcdserver: password is empty');
  assert.equal((await add({ name: 'b', options: { noPassword: true, unknown: null } })).code, GrpcCode.OK);
  const change = new pb.AuthUserChangePasswordRequest({ name: 'user' });
  const changed = await root.ask(
    '/etcdserverpb.Auth/UserChangePassword',
    encode(pb.AuthUserChangePasswordRequestCodec, change),
  );
  assert.equal(changed.message, 'etcdserver: password is empty');
  const failures = [];
  for (const [name, password] of [
    ['b', ''],
    ['b', 'x'],
    ['user', ''],
    ['user', 'wrong'],
    ['x', 'y'],
  ] as const) {
    const request = encode(pb.AuthenticateRequestCodec, new pb.AuthenticateRequest({ name, password }));
    failures.push((await nobody.ask('/etcdserverpb.Auth/Authenticate', request)).message);
  }
  const failed = 'etcdserver: authentication failed, invalid user ID or password';
  const none = 'auth: authentication failed, password was given for no password user';
  assert.deepEqual(failures, [none, none, failed, failed, failed]);
});

test('S11 a password that the client has hashed is taken as it is', async () => {
  const { nobody, root } = await withUser();
  const hashedPassword = Buffer.from(simHash('known', 'salt')).toString('base64');
  const request = new pb.AuthUserAddRequest({ name: 'hashed', hashedPassword });
  await root.done('/etcdserverpb.Auth/UserAdd', pb.AuthUserAddRequestCodec, request);
  await nobody.login('hashed', 'known');
});

test('S03 leases expire although authentication is on', async () => {
  const { cluster, root } = await withUser(3);
  await root.done(
    '/etcdserverpb.Lease/LeaseGrant',
    pb.LeaseGrantRequestCodec,
    new pb.LeaseGrantRequest({ id: 9n, ttl: 5 }),
  );
  const put = new pb.PutRequest({ key: bytes('mortal'), lease: 9n });
  await root.done('/etcdserverpb.KV/Put', pb.PutRequestCodec, put);
  await cluster.until('it is gone', 30_000, () =>
    cluster.machines.every(({ server }) => server!.lessor.lookup(9n) === null),
  );
});

test('S08 a member that missed how a user got another password does not take its old tokens any more', async () => {
  const { cluster, user, root } = await withUser(3, ['--snapshot-count=10', '--snapshot-catchup-entries=5']);
  const { fabric } = cluster.world;
  const [late] = cluster.followers;
  const read = encode(pb.RangeRequestCodec, new pb.RangeRequest({ key: bytes('own'), serializable: true }));
  const ask = async (): Promise<number> => (await user.at(late!).ask('/etcdserverpb.KV/Range', read)).code;
  assert.equal(await ask(), GrpcCode.OK);
  for (const { name } of cluster.machines) {
    fabric.cut(name, late!.name);
    fabric.cut(late!.name, name);
  }
  // What a member needs is kept for it until it has been away for a while.
  await cluster.world.run(20_000);
  const change = new pb.AuthUserChangePasswordRequest({ name: 'user', password: 'other' });
  await root.done('/etcdserverpb.Auth/UserChangePassword', pb.AuthUserChangePasswordRequestCodec, change);
  for (let i = 0; i < 50; i++) {
    const put = new pb.PutRequest({ key: bytes('own'), value: bytes(`value ${i}`) });
    await root.done('/etcdserverpb.KV/Put', pb.PutRequestCodec, put);
  }
  assert.equal(await ask(), GrpcCode.OK, 'it has not heard of it');
  fabric.heal();
  await cluster.until('it has the snapshot', 30_000, () => cluster.lines('applied snapshot').length > 0);
  assert.equal(await ask(), GrpcCode.Unauthenticated);
});

test('S09 no password is in the log, the database or what is logged, and no token in what is logged', async () => {
  const { cluster, nobody, user, root } = await withUser(1);
  await nobody.ask(
    '/etcdserverpb.Auth/Authenticate',
    encode(
      pb.AuthenticateRequestCodec,
      new pb.AuthenticateRequest({ name: 'user', password: 'secret wrong' }),
    ),
  );
  const change = new pb.AuthUserChangePasswordRequest({ name: 'user', password: 'secret other' });
  await root.done('/etcdserverpb.Auth/UserChangePassword', pb.AuthUserChangePasswordRequestCodec, change);
  const { disk } = user.machine;
  const files = ['/data/member/wal', '/data/member/snap'].flatMap((directory) =>
    disk.readDirectory(directory).map((name) => `${directory}/${name}`),
  );
  assert.ok(files.length >= 2);
  for (const file of files) assert.equal(Buffer.from(disk.readFile(file)).indexOf('secret'), -1, file);
  const logged = cluster.log.join('\n');
  assert.ok(!logged.includes('secret'));
  assert.ok(!logged.includes(user.token!));
});
