/**
 * What nobody may do, whoever asks: tokens that are empty, foreign, expired or of a deleted user, logins that fail, permissions on ranges that
 * are none. Real etcd refuses them in the same words; here each is also told once, with where it came from, and counted.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';
import { makeUsers, UserRpc } from './users.ts';

const TOKEN_TTL_SECONDS = 2;
/** As long as bcrypt reads. */
const LONG = 'p'.repeat(72);

/** What each of them is told. */
async function ask({ address }: EtcdServer): Promise<string[]> {
  const told: string[] = [];
  const anyone = new EtcdRpc(address);
  const root = new UserRpc(address, 'root', 'pw');
  const note = (what: string, outcome: string): void => void told.push(`${what}: ${outcome}`);
  try {
    await makeUsers(anyone);
    for (const [key, end] of [
      ['', ''],
      ['', '\0'],
      ['b', 'a'],
      ['b', 'b'],
      ['b', '\0\0'],
      ['\0', '\0'],
      ['b', 'b\0'],
    ] as const) {
      const perm = { permType: 'READ', key, range_end: end };
      const outcome = await anyone.outcome('Auth.RoleGrantPermission', { name: 'r', perm });
      note(`grant ${JSON.stringify([key, end])}`, outcome.ok ? 'ok' : `${outcome.code} ${outcome.details}`);
    }
    await anyone.call('Auth.UserAdd', { name: 'long', password: LONG });
    await anyone.call('Auth.AuthEnable', {});
    await root.login();
    for (const [name, password] of [
      ['u', 'wrong'],
      ['u', ''],
      ['nobody', 'secret'],
      ['', ''],
      ['cert', ''],
      ['cert', 'secret'],
      ['long', LONG],
      // What bcrypt does not read does not count.
      ['long', `${LONG} and more`],
      ['long', LONG.slice(1)],
    ] as const) {
      const outcome = await anyone.outcome('Auth.Authenticate', { name, password });
      note(`login ${name}:${password}`, outcome.ok ? 'ok' : `${outcome.code} ${outcome.details}`);
    }
    const user = new UserRpc(address, 'u', 'secret');
    const token = await user.login();
    // One that names an entry which is yet to come is waited for: in etcd as long as its caller waits, here no longer than a request may take.
    const [letters, index] = token.split('.');
    const foreign = {
      empty: '',
      word: 'x',
      shorter: token.slice(1),
      upper: token.toUpperCase(),
      old: `${letters}.1`,
      odd: `${token}.${index}`,
    };
    for (const [what, bad] of Object.entries(foreign)) {
      user.useToken(bad);
      note(`a token: ${what}`, await user.try('KV.Put', { key: 'u/1', value: '' }));
    }
    // Nobody asks with it meanwhile: that would prolong it.
    await new Promise((resolve) => setTimeout(resolve, (TOKEN_TTL_SECONDS + 2) * 1000));
    user.useToken(token);
    note('an expired token', await user.try('KV.Put', { key: 'u/1', value: '' }));
    await user.login();
    await root.login();
    await root.call('Auth.UserDelete', { name: 'u' });
    for (const method of ['KV.Put', 'KV.Range', 'KV.DeleteRange'] as const) {
      note(`${method} with the token of a deleted user`, await user.try(method, { key: 'u/1' }));
    }
    note('a lease for it', await user.try('Lease.LeaseGrant', { TTL: 10 }));
    user.close();
    return told;
  } finally {
    anyone.close();
    root.close();
  }
}

test(
  'S04 S11 bad tokens, logins and ranges are refused as by etcd, told with their origin and counted',
  needs('etcd 3.7'),
  async () => {
    const flags = [...FAST_ELECTION, `--auth-token-ttl=${TOKEN_TTL_SECONDS}`];
    const servers = await Promise.all(
      [SUBJECT, peer('3.7', 'etcd')].map((program) => EtcdServer.start({ program, flags })),
    );
    try {
      const [ours, theirs] = await Promise.all(servers.map(ask));
      assert.deepEqual(ours, theirs);
      const [server] = servers;
      for (const [message, count] of [
        ['invalid auth token', 1],
        ['invalid authentication was requested', 5],
        ['a change of users or roles was refused', 1],
      ] as const) {
        const lines = server!.log.filter(({ msg }) => msg === message);
        assert.ok(lines.length >= count, `${lines.length} × ${message}`);
        for (const { fields } of lines) assert.match(String(fields['remote-addr']), /^127\.0\.0\.1:\d+$/);
        const topics = lines.map(({ fields }) =>
          [fields['token-fingerprint'], fields['user'], fields['request'], fields['error']].join(),
        );
        assert.equal(new Set(topics).size, topics.length, 'each is told once');
      }
      const metrics = await eventually('metrics', async () =>
        (await fetch(`${server!.clientUrl}/metrics`)).text(),
      );
      for (const reason of ['token', 'login', 'change']) {
        const value = new RegExp(
          `^etcd_server_auth_refusals_total\\{reason="${reason}"\\} ([1-9]\\d*)$`,
          'm',
        ).exec(metrics);
        assert.ok(value !== null, reason);
      }
    } finally {
      for (const server of servers) await server.kill();
    }
  },
);
