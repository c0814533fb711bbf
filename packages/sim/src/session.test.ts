/** Clients whose cluster is lost, and made again: what they knew of the one before must not keep them from the next. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import {
  AuthEnableRequest,
  AuthEnableRequestCodec,
  encodeRangeRequest,
  RangeRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode, SeededRandom } from '@etcd/base';
import { AuthSession } from './auth-session.ts';
import { QuietCluster, START_LIMIT_MS } from './quiet-cluster.ts';
import { ROOT, Session } from './session.ts';

const RANGE = '/etcdserverpb.KV/Range';
const REQUEST = encodeRangeRequest(new RangeRequest({ key: Buffer.from('key') }));
const TIMEOUT_MS = 8000;
/** Members wait for an entry for as long as an election may take, and more than a client waits for its answer. */
const SLOW = ['--heartbeat-interval=1000', '--election-timeout=10000'];

async function read(cluster: QuietCluster, session: Session): Promise<readonly [number, string]> {
  let ended: readonly [number, string] | null = null;
  session.unary(RANGE, REQUEST, { timeoutMs: TIMEOUT_MS }, (code, message) => {
    ended = [code, message];
  });
  await cluster.until('the read ends', START_LIMIT_MS, () => ended !== null);
  return ended!;
}

/** Root has its password, and authentication is on. */
async function enable(cluster: QuietCluster): Promise<AuthSession> {
  const anybody = new AuthSession(cluster, cluster.machines[0]!);
  await anybody.addUser(ROOT.name, ROOT.password);
  await anybody.grantRole('root', 'root');
  await anybody.done('/etcdserverpb.Auth/AuthEnable', AuthEnableRequestCodec, new AuthEnableRequest());
  return await anybody.login(ROOT.name, ROOT.password);
}

test('a client of a cluster that is lost and made again logs in anew; with the token from before it would hear nothing', async () => {
  const cluster = await QuietCluster.start({ size: 1, flags: SLOW });
  const { world, machines } = cluster;
  const [machine] = machines;
  const former = await enable(cluster);
  for (let i = 0; i < 30; i++) await former.addUser(`user ${i}`, 'pw');
  const session = new Session(world, new SeededRandom(1));
  await read(cluster, session);
  await cluster.until('it has logged in', START_LIMIT_MS, () => cluster.lines('root logs in: 0').length > 0);
  const { token } = await former.login(ROOT.name, ROOT.password);
  assert.deepEqual(await read(cluster, session), [GrpcCode.OK, '']);

  machine!.kill('lost');
  machine!.replaceDisk();
  world.startOver(0, 0, null);
  machine!.start();
  await cluster.until('it serves', START_LIMIT_MS, () => machine!.isServing);
  await enable(cluster);
  const kept = new AuthSession(cluster, machine!, token).begin(RANGE, REQUEST);
  await world.run(TIMEOUT_MS);
  assert.ok(!kept.isOver, `a token of before is answered: ${kept.message}`);
  assert.deepEqual(await read(cluster, session), [
    GrpcCode.InvalidArgument,
    'etcdserver: user name is empty',
  ]);
  await cluster.until('it logs in', START_LIMIT_MS, () => cluster.lines('root logs in: 0').length > 1);
  assert.deepEqual(await read(cluster, session), [GrpcCode.OK, '']);
  assert.equal(world.violation, null);
});
