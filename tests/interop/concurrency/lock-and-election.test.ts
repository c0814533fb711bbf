/**
 * The services Lock and Election beside those of real etcd 3.5 and 3.7: the same calls, over gRPC and as JSON, get the same answers and
 * the same errors, and waiting ends for the same reasons.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EtcdRpc, type RpcStream } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import type { LeaderResponse, MethodName } from '../../support/messages.ts';
import { eventually } from '../../support/run.ts';
import { NEEDS_ALL_SIDES, SIDES } from '../../support/sides.ts';

interface Side {
  readonly name: string;
  readonly server: EtcdServer;
  readonly rpc: EtcdRpc;
}

const sides: Side[] = [];

before(async () => {
  for (const [name, program] of SIDES) {
    const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
    sides.push({ name, server, rpc: new EtcdRpc(server.address) });
  }
});
after(() =>
  Promise.all(
    sides.map(({ server, rpc }) => {
      rpc.close();
      return server.kill();
    }),
  ),
);

/** Ids of clusters, members and leases that a server has chosen differ. */
function masked(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1').replace(/[0-9a-f]{11,16}$/, '<lease>');
  if (typeof value === 'bigint') return value > 2n ** 48n ? 'id' : String(value);
  if (Array.isArray(value)) return value.map(masked);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, item]) => [
    name,
    name === 'raft_term' ? 0 : masked(item),
  ]);
  return Object.fromEntries(entries);
}

type Ask = readonly [method: MethodName, request: object];

const leader = { name: 'f', key: 'f/4d', rev: '1', lease: '77' };

/** In order: later ones see what earlier ones did. */
const ASKS: readonly Ask[] = [
  ['v3lockpb.Lock.Lock', { name: 'a' }],
  ['v3lockpb.Lock.Lock', { name: '' }],
  ['v3lockpb.Lock.Lock', { name: 'a', lease: '77' }],
  ['Lease.LeaseGrant', { ID: '77', TTL: '1000' }],
  ['v3lockpb.Lock.Lock', { name: 'b', lease: '77' }],
  ['v3lockpb.Lock.Lock', { name: 'b', lease: '77' }],
  ['v3lockpb.Lock.Lock', { name: 'n', lease: '-5' }],
  ['Lease.LeaseGrant', { ID: '-5', TTL: '1000' }],
  ['v3lockpb.Lock.Lock', { name: 'n', lease: '-5' }],
  ['v3lockpb.Lock.Unlock', { key: '' }],
  ['v3lockpb.Lock.Unlock', { key: 'nothing' }],
  ['v3lockpb.Lock.Unlock', { key: 'b/4d' }],
  ['v3lockpb.Lock.Unlock', { key: 'b/4d' }],
  ['v3electionpb.Election.Campaign', { name: 'e', value: 'v' }],
  ['v3electionpb.Election.Campaign', { name: 'f', value: 'v', lease: '77' }],
  ['v3electionpb.Election.Campaign', { name: 'f', value: 'v', lease: '77' }],
  ['v3electionpb.Election.Campaign', { name: 'f', value: 'v2', lease: '77' }],
  ['v3electionpb.Election.Campaign', { name: 'f', value: 'v2', lease: '99' }],
  ['v3electionpb.Election.Leader', { name: 'f' }],
  ['v3electionpb.Election.Leader', { name: 'none' }],
  ['v3electionpb.Election.Leader', { name: '' }],
  ['v3electionpb.Election.Proclaim', { value: 'x' }],
  ['v3electionpb.Election.Proclaim', { leader: {}, value: 'x' }],
  ['v3electionpb.Election.Proclaim', { leader, value: 'x' }],
  ['v3electionpb.Election.Proclaim', { leader: { ...leader, lease: '0' }, value: 'x' }],
  ['v3electionpb.Election.Proclaim', { leader: { ...leader, rev: '7' }, value: 'said' }],
  ['v3electionpb.Election.Proclaim', { leader: { ...leader, rev: '7', lease: '99' }, value: 'x' }],
  ['v3electionpb.Election.Leader', { name: 'f' }],
  ['v3electionpb.Election.Resign', {}],
  ['v3electionpb.Election.Resign', { leader: {} }],
  ['v3electionpb.Election.Resign', { leader }],
  ['v3electionpb.Election.Resign', { leader: { ...leader, rev: '7' } }],
  ['v3electionpb.Election.Leader', { name: 'f' }],
  ['KV.Range', { key: '\0', range_end: '\0' }],
];

test('every call gets the answer of real etcd', NEEDS_ALL_SIDES, async () => {
  for (const [method, request] of ASKS) {
    const answers = new Map<string, unknown>();
    for (const { name, rpc } of sides) answers.set(name, masked(await rpc.outcome(method, request)));
    const what = `${method} ${JSON.stringify(request)}`;
    assert.deepEqual(answers.get('ours'), answers.get('3.7'), what);
    assert.deepEqual(answers.get('ours'), answers.get('3.5'), what);
  }
});

const b64 = (text: string): string => Buffer.from(text).toString('base64');

const POSTS: readonly (readonly [path: string, body: object | string])[] = [
  ['/v3/lease/grant', { ID: '88', TTL: '1000' }],
  ['/v3/lock/lock', { name: b64('j'), lease: 88 }],
  ['/v3/lock/lock', { name: b64('j'), lease: '99' }],
  ['/v3/lock/lock', { name: '*' }],
  ['/v3/lock/unlock', { key: b64('j/58') }],
  ['/v3/lock/unlock', {}],
  ['/v3/lock/unlock', '{'],
  ['/v3/election/campaign', { name: b64('je'), value: b64('v'), lease: '88' }],
  ['/v3/election/leader', { name: b64('je') }],
  ['/v3/election/leader', { name: b64('none') }],
  ['/v3/election/proclaim', { value: b64('v') }],
  ['/v3/election/proclaim', { leader: { name: b64('je'), key: b64('je/58'), rev: 1, lease: 88 } }],
  ['/v3/election/resign', {}],
  ['/v3/election/resign', { leader: { name: b64('je'), key: b64('je/58'), rev: '1', lease: '88' } }],
];

test('every call as JSON gets the answer of real etcd', NEEDS_ALL_SIDES, async () => {
  const hidden = /"(cluster_id|member_id|raft_term|revision|rev|create_revision|mod_revision)":"\d+"/g;
  for (const [path, request] of POSTS) {
    const answers: unknown[] = [];
    for (const { server } of sides) {
      const body = typeof request === 'string' ? request : JSON.stringify(request);
      const response = await fetch(`${server.clientUrl}${path}`, { method: 'POST', body });
      const text = (await response.text()).replaceAll(/": "/g, '":"').replaceAll(hidden, '"$1":"masked"');
      const json = JSON.parse(text) as Record<string, unknown>;
      answers.push([response.status, 'code' in json ? [json['code'], json['message']] : json]);
    }
    const what = `${path} ${JSON.stringify(request)}`;
    assert.deepEqual(answers[0], answers[2], what);
    // A release may word what it thinks of JSON as it likes.
    if (typeof request !== 'string' && request !== POSTS[3]![1])
      assert.deepEqual(answers[0], answers[1], what);
  }
});

async function keyCount(rpc: EtcdRpc, prefix: string): Promise<bigint> {
  const request = { key: `${prefix}/`, range_end: `${prefix}0`, count_only: true };
  return (await rpc.call('KV.Range', request)).count;
}

async function grant(rpc: EtcdRpc, ttl = '1000'): Promise<string> {
  return String((await rpc.call('Lease.LeaseGrant', { TTL: ttl })).ID);
}

test('contenders have their turn in the order in which they came', NEEDS_ALL_SIDES, async () => {
  for (const { name, rpc } of sides) {
    const first = await rpc.call('v3lockpb.Lock.Lock', { name: 'turn', lease: await grant(rpc) });
    const order: number[] = [];
    const waiting: Promise<void>[] = [];
    for (let i = 0; i < 3; i++) {
      const lease = await grant(rpc);
      waiting.push(
        rpc.call('v3lockpb.Lock.Lock', { name: 'turn', lease }).then(async ({ key, header }) => {
          order.push(i);
          const { kvs } = await rpc.call('KV.Range', { key });
          assert.ok(kvs[0]!.create_revision < header.revision, `${name}: it was read again`);
          await rpc.call('v3lockpb.Lock.Unlock', { key });
        }),
      );
      await eventually('it waits', async () => (await keyCount(rpc, 'turn')) === BigInt(i + 2));
    }
    assert.deepEqual(order, [], name);
    await rpc.call('v3lockpb.Lock.Unlock', { key: first.key });
    await Promise.all(waiting);
    assert.deepEqual(order, [0, 1, 2], name);
  }
});

test('a contender that goes leaves the queue, whatever its lease', NEEDS_ALL_SIDES, async () => {
  for (const { name, rpc } of sides) {
    for (const method of ['v3lockpb.Lock.Lock', 'v3electionpb.Election.Campaign'] as const) {
      const held = await rpc.call('v3lockpb.Lock.Lock', { name: 'goes', lease: await grant(rpc) });
      for (const lease of ['0', await grant(rpc)]) {
        // One answer is a stream of one, and a stream can be given up.
        const waiting = rpc.serverStream(method, { name: 'goes', lease });
        await eventually('it waits', async () => (await keyCount(rpc, 'goes')) === 2n);
        waiting.cancel();
        await eventually(`${name}: it is gone`, async () => (await keyCount(rpc, 'goes')) === 1n);
      }
      await rpc.call('v3lockpb.Lock.Unlock', { key: held.key });
    }
  }
});

test(
  'a contender whose lease has ended is told so when its turn would have come',
  NEEDS_ALL_SIDES,
  async () => {
    for (const { name, rpc } of sides) {
      const held = await rpc.call('v3lockpb.Lock.Lock', { name: 'ends', lease: await grant(rpc) });
      const lease = await grant(rpc);
      const waiting = rpc.outcome('v3lockpb.Lock.Lock', { name: 'ends', lease });
      await eventually('it waits', async () => (await keyCount(rpc, 'ends')) === 2n);
      await rpc.call('Lease.LeaseRevoke', { ID: lease });
      await rpc.call('v3lockpb.Lock.Unlock', { key: held.key });
      assert.deepEqual(await waiting, { ok: false, code: 2, details: 'mutex: session is expired' }, name);
    }
  },
);

test('the holder is lost with its lease, and the next has its turn', NEEDS_ALL_SIDES, async () => {
  for (const { name, rpc } of sides) {
    await rpc.call('v3lockpb.Lock.Lock', { name: 'dies', lease: await grant(rpc, '2') });
    const next = await rpc.call('v3lockpb.Lock.Lock', { name: 'dies', lease: await grant(rpc) });
    assert.equal(await keyCount(rpc, 'dies'), 1n, name);
    await rpc.call('v3lockpb.Lock.Unlock', { key: next.key });
  }
});

/** What an observer of the election sees while it is held, as text. */
async function observed(rpc: EtcdRpc): Promise<string[]> {
  const seen: string[] = [];
  const stream = rpc.serverStream('v3electionpb.Election.Observe', { name: 'seen' });
  const next = async (of: RpcStream<LeaderResponse>): Promise<void> => {
    const { kv, header } = await of.take();
    seen.push(`${kv.value} created ${header.revision - kv.create_revision} before`);
  };
  const campaign = async (value: string) =>
    (await rpc.call('v3electionpb.Election.Campaign', { name: 'seen', value, lease: await grant(rpc) }))
      .leader;
  const first = await campaign('first');
  await next(stream);
  await rpc.call('v3electionpb.Election.Proclaim', { leader: first, value: 'more' });
  await next(stream);
  const later = rpc.serverStream('v3electionpb.Election.Observe', { name: 'seen' });
  await next(later);
  const second = campaign('second');
  await eventually('it waits', async () => (await keyCount(rpc, 'seen')) === 2n);
  await rpc.call('v3electionpb.Election.Resign', { leader: first });
  await rpc.call('v3electionpb.Election.Resign', { leader: await second });
  await next(stream);
  await next(later);
  await campaign('third');
  await next(stream);
  await next(later);
  stream.cancel();
  later.cancel();
  return seen;
}

test('an observer sees who leads and what leaders say', NEEDS_ALL_SIDES, async () => {
  const seen = new Map<string, string[]>();
  for (const { name, rpc } of sides) seen.set(name, await observed(rpc));
  assert.deepEqual(seen.get('ours'), seen.get('3.7'));
  assert.deepEqual(seen.get('ours'), seen.get('3.5'));
});

/** Who may do what, in the order in which it is asked; what is answered with is masked. */
const GUARDED: readonly Ask[] = [
  ['v3lockpb.Lock.Lock', { name: 'm', lease: '55' }],
  ['v3lockpb.Lock.Lock', { name: 'w', lease: '55' }],
  ['v3lockpb.Lock.Lock', { name: 'g' }],
  ['v3lockpb.Lock.Lock', { name: 'other' }],
  ['v3lockpb.Lock.Unlock', { key: 'w/1' }],
  ['v3lockpb.Lock.Unlock', { key: 'g/1' }],
  ['v3electionpb.Election.Campaign', { name: 'm', value: '1', lease: '55' }],
  ['v3electionpb.Election.Campaign', { name: 'g', value: '1' }],
  ['v3electionpb.Election.Leader', { name: 'm' }],
  ['v3electionpb.Election.Leader', { name: 'g' }],
  ['v3electionpb.Election.Leader', { name: 'w' }],
  ['v3electionpb.Election.Resign', { leader: { name: 'm', key: 'm/1', rev: '1', lease: '0' } }],
  ['v3electionpb.Election.Proclaim', { leader: { name: 'm', key: 'm/1', rev: '1', lease: '0' } }],
  ['v3electionpb.Election.Proclaim', { leader: { name: 'm', key: 'w/1', rev: '1', lease: '55' } }],
];

async function withUsers(rpc: EtcdRpc): Promise<void> {
  for (const name of ['root', 'al', 'bo']) await rpc.call('Auth.UserAdd', { name, password: 'p' });
  for (const name of ['root', 'r']) await rpc.call('Auth.RoleAdd', { name });
  await rpc.call('Auth.UserGrantRole', { user: 'root', role: 'root' });
  await rpc.call('Auth.UserGrantRole', { user: 'al', role: 'r' });
  for (const [permType, key] of [
    ['READWRITE', 'm'],
    ['WRITE', 'w'],
    ['READ', 'g'],
  ] as const) {
    const perm = { permType, key: `${key}/`, range_end: `${key}0` };
    await rpc.call('Auth.RoleGrantPermission', { name: 'r', perm });
  }
  await rpc.call('Lease.LeaseGrant', { ID: '55', TTL: '1000' });
  await rpc.call('Auth.AuthEnable', {});
}

/** The calls by each kind of caller, and what observers are told. */
async function verdicts(server: EtcdServer): Promise<unknown[]> {
  const nobody = new EtcdRpc(server.address);
  const clients = [nobody, new EtcdRpc(server.address, { token: 'forged' })];
  for (const name of ['al', 'bo']) {
    const { token } = await nobody.call('Auth.Authenticate', { name, password: 'p' });
    clients.push(new EtcdRpc(server.address, { token }));
  }
  const seen: unknown[] = [];
  for (const rpc of clients) {
    for (const [method, request] of GUARDED) {
      const outcome = await rpc.outcome(method, request);
      seen.push([method, request, outcome.ok ? 'ok' : `${outcome.code} ${outcome.details}`]);
    }
    for (const name of ['m', 'w']) {
      const stream = rpc.serverStream('v3electionpb.Election.Observe', { name });
      const first = await stream.next();
      stream.cancel();
      seen.push(['observe', name, first === null ? 'nothing' : String(first.kv.key)]);
    }
  }
  for (const rpc of clients) rpc.close();
  return seen;
}

test(
  'S04 users may do by lock and election what they may do by the requests that these are made of',
  NEEDS_ALL_SIDES,
  async () => {
    const seen: unknown[][] = [];
    for (const [, program] of SIDES) {
      const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
      const rpc = new EtcdRpc(server.address);
      await withUsers(rpc);
      seen.push(await verdicts(server));
      rpc.close();
      await server.kill();
    }
    assert.deepEqual(seen[0], seen[2]);
    assert.deepEqual(seen[0], seen[1]);
  },
);
