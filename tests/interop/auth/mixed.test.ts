/**
 * Ours and real etcd in one cluster that speaks TLS among its members, either leading, while authentication is switched on, users and roles
 * change and tokens end, with writes under way all the time. Every member has to come to the same verdict on every entry: at the end all have
 * the same data.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { type Cluster, type Kind, QUICK_ELECTION, withCluster } from '../../support/cluster.ts';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { needs } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { checkVerdicts, makeUsers, readUsers, UserRpc } from './users.ts';

/** What a writer may be told while users and roles change. */
const EXPECTED = [
  'etcdserver: revision of auth store is old',
  'etcdserver: permission denied',
  'etcdserver: invalid auth token',
  'etcdserver: user name is empty',
  'etcdserver: authentication is not enabled',
  'etcdserver: authentication failed, invalid user ID or password',
  'etcdserver: leader changed',
  'raft proposal dropped',
  'etcdserver: request timed out',
];

/** Of every kind of change, under each leader. */
const ROUNDS = 2;

function isExpected(outcome: string): boolean {
  return outcome === 'ok' || EXPECTED.some((expected) => outcome.startsWith(expected));
}

/** Writes one after the other until it is stopped, as the user `u`. */
class Writer {
  readonly #user: UserRpc;
  readonly #name: string;
  #isStopped = false;
  readonly outcomes = new Map<string, number>();
  readonly ended: Promise<void>;

  constructor(address: string, name: string) {
    this.#user = new UserRpc(address, 'u', 'secret');
    this.#name = name;
    this.ended = this.#run();
    // Whoever stops the writer hears of it; until then the test may fail for another reason.
    this.ended.catch(() => {});
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    return this.ended;
  }

  async #run(): Promise<void> {
    for (let i = 0; !this.#isStopped; i++) {
      const puts = Array.from({ length: 8 }, (_, j) =>
        this.#user.try('KV.Put', { key: `u/${this.#name}/${j}`, value: `${i}` }),
      );
      const outcomes = await Promise.all(puts);
      for (const outcome of outcomes) {
        assert(isExpected(outcome), `${this.#name}: ${outcome}`);
        this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
      }
      if (outcomes.some((outcome) => outcome !== 'ok')) await this.#user.login().catch(() => {});
    }
    this.#user.close();
  }
}

/** Every kind of change, through whichever member comes next. */
async function changeUsers(cluster: Cluster, from: number, rounds: number): Promise<void> {
  const admins = cluster.running.map(({ address }) => new UserRpc(address, 'root', 'pw'));
  let next = 0;
  const admin = async (method: Parameters<UserRpc['call']>[0], request: object): Promise<void> => {
    await eventually(method, async () => {
      const outcome = await admins[next % admins.length]!.try(method, request);
      if (outcome === 'ok') return true;
      assert(isExpected(outcome), `${method}: ${outcome}`);
      await admins[next % admins.length]!.login().catch(() => {});
      return false;
    });
    next++;
  };
  for (let round = from; round < from + rounds; round++) {
    await admin('Auth.RoleAdd', { name: `role ${round}` });
    const perm = { permType: 'WRITE', key: `u/${round}`, range_end: '\0' };
    await admin('Auth.RoleGrantPermission', { name: `role ${round}`, perm });
    await admin('Auth.UserRevokeRole', { name: 'u', role: 'r' });
    await admin('Auth.UserGrantRole', { user: 'u', role: `role ${round}` });
    await admin('Auth.UserGrantRole', { user: 'u', role: 'r' });
    await admin('Auth.UserChangePassword', { name: 'u', password: 'secret' });
    await admin('Auth.RoleRevokePermission', { role: `role ${round}`, key: perm.key, range_end: '\0' });
    await admin('Auth.RoleDelete', { role: `role ${round}` });
    await admin('Auth.UserAdd', { name: `user ${round}`, password: 'x' });
    if (round % 2 === 1) await admin('Auth.UserDelete', { name: `user ${round}` });
    await admin('Auth.AuthDisable', {});
    await admin('Auth.AuthEnable', {});
  }
  for (const each of admins) each.close();
}

/** Ours in the minority and in the majority. */
const MIXES: readonly (readonly Kind[])[] = [
  ['3.5', 'ours', '3.5'],
  ['ours', '3.7', 'ours'],
];

for (const kinds of MIXES) {
  test(
    `${kinds.join(' + ')} over TLS: users and roles change under load`,
    needs('etcd 3.5', 'etcd 3.7'),
    async (t) => {
      const flags = await peerTlsFlags();
      const place = (): { peerScheme: 'https' } => ({ peerScheme: 'https' });
      await withCluster(kinds, { flags: () => flags, place }, async (cluster) => {
        await makeUsers(cluster.at(1).rpc);
        const writers = cluster.members.map(({ address, name }) => new Writer(address, name));
        try {
          await cluster.at(0).rpc.call('Auth.AuthEnable', {});
          for (const leader of [0, 1]) {
            await changeUsers(cluster, leader * ROUNDS, ROUNDS);
            await moveLeader(cluster, leader);
          }
        } finally {
          for (const writer of writers) {
            await writer.stop();
            t.diagnostic([...writer.outcomes].map(([outcome, count]) => `${count} × ${outcome}`).join(', '));
          }
        }
        for (const { outcomes } of writers) assert(outcomes.get('ok')! > 0);
        await tokensAreGoodEverywhere(cluster);
        await sameUsers(cluster);
        for (const { address } of cluster.members) await checkVerdicts(address);
        await sameData(cluster);
      });
    },
  );
}

/** Each member shows a certificate to the others, and asks for theirs. */
async function peerTlsFlags(): Promise<string[]> {
  const authority = await TestAuthority.create(temporaryDirectory());
  const { certFile, keyFile } = await authority.issue('member', { hosts: ['127.0.0.1'] });
  return [
    ...QUICK_ELECTION,
    `--peer-cert-file=${certFile}`,
    `--peer-key-file=${keyFile}`,
    `--peer-trusted-ca-file=${authority.caFile}`,
    '--peer-client-cert-auth',
  ];
}

async function moveLeader(cluster: Cluster, position: number): Promise<void> {
  const target = cluster.at(position);
  const statuses = await Promise.all(
    cluster.members.map(async (member) => {
      const root = new UserRpc(member.address, 'root', 'pw');
      await root.login();
      const status = await root.call('Maintenance.Status', {});
      return { root, id: status.header.member_id, leader: status.leader };
    }),
  );
  const targetId = statuses[cluster.members.indexOf(target)]!.id;
  const leading = statuses.find(({ id, leader }) => id === leader);
  if (leading !== undefined && leading.id !== targetId) {
    await leading.root.call('Maintenance.MoveLeader', { targetID: targetId });
  }
  for (const { root } of statuses) root.close();
}

/** Whoever logs in at one member is known to all, at once. */
async function tokensAreGoodEverywhere(cluster: Cluster): Promise<void> {
  for (const { address, kind } of cluster.members) {
    const user = new UserRpc(address, 'u', 'secret');
    const token = await user.login();
    user.close();
    for (const other of cluster.members) {
      const there = new UserRpc(other.address, 'u', 'secret');
      there.useToken(token);
      // A Go member may look for a token that it is about to learn of, and not find it.
      await eventually(`a token of ${kind} is good at ${other.kind}`, async () => {
        const outcome = await there.try('KV.Put', { key: 'u/token', value: token });
        if (outcome !== 'ok') assert.equal(outcome, 'etcdserver: invalid auth token');
        if (other.kind === 'ours') assert.equal(outcome, 'ok');
        return outcome === 'ok';
      });
      there.close();
    }
  }
}

async function sameUsers(cluster: Cluster): Promise<void> {
  const all = [];
  for (const { address } of cluster.members) {
    const root = new UserRpc(address, 'root', 'pw');
    await root.login();
    all.push(await readUsers(root));
    root.close();
  }
  for (const each of all) assert.deepEqual(each, all[0]);
}

/** With authentication off again, which is the last change. */
async function sameData(cluster: Cluster): Promise<void> {
  const root = new UserRpc(cluster.at(0).address, 'root', 'pw');
  await root.login();
  await root.call('Auth.AuthDisable', {});
  root.close();
  for (const { address } of cluster.members) {
    const anyone = new EtcdRpc(address);
    await eventually('it is off everywhere', async () => !(await anyone.call('Auth.AuthStatus', {})).enabled);
    anyone.close();
  }
  await cluster.assertSameContents();
}
