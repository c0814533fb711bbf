/** JSON Web Tokens that ours has signed are good at real etcd, and the other way round. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { makeUsers, UserRpc } from './users.ts';

const KEYS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS512: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
} as const;

/** Two servers with equal users, hence equal auth revisions: a token of one is as good as one of the other. */
for (const [method, newKeys] of Object.entries(KEYS)) {
  test(`a token signed with ${method} by either is good at both`, needs('etcd 3.7'), async () => {
    const directory = temporaryDirectory();
    const { privateKey, publicKey } = newKeys();
    const [priv, pub] = [join(directory, 'priv.pem'), join(directory, 'pub.pem')];
    writeFileSync(priv, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    writeFileSync(pub, publicKey.export({ type: 'spki', format: 'pem' }));
    const authToken = `--auth-token=jwt,pub-key=${pub},priv-key=${priv},sign-method=${method},ttl=1m`;
    const flags = [...FAST_ELECTION, authToken];
    const programs = [SUBJECT, peer('3.7', 'etcd')];
    const servers = await Promise.all(programs.map((program) => EtcdServer.start({ program, flags })));
    try {
      const tokens: string[] = [];
      for (const { address } of servers) {
        const anyone = new EtcdRpc(address);
        await makeUsers(anyone);
        await anyone.call('Auth.AuthEnable', {});
        anyone.close();
        const user = new UserRpc(address, 'u', 'secret');
        tokens.push(await user.login());
        user.close();
      }
      for (const { address } of servers) {
        for (const token of tokens) {
          const user = new UserRpc(address, 'u', 'secret');
          user.useToken(token);
          assert.equal(await user.try('KV.Put', { key: 'u/1', value: token }), 'ok');
          assert.equal(await user.try('KV.Put', { key: 'v', value: '' }), 'etcdserver: permission denied');
          user.useToken(`${token}x`);
          assert.equal(await user.try('KV.Put', { key: 'u/1', value: '' }), 'etcdserver: invalid auth token');
          user.close();
        }
      }
    } finally {
      for (const server of servers) await server.stop();
    }
  });
}
