/**
 * Secrets that have done their work are nowhere in the member's memory: its heap is written to a file, as an operator may do who looks for a
 * leak, and searched for passwords and for tokens that are void.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { eventually } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { UserRpc } from './users.ts';

/** Texts that stand nowhere else. */
const PASSWORDS = [
  'first-Zx81-password',
  'second-Qy92-password',
  'wrong-Wv73-password',
  'root-Ut64-password',
];

/** All text of the member's heap, after it has been swept. */
async function heapText(server: EtcdServer, directory: string): Promise<string> {
  const before = new Set(readdirSync(directory));
  server.signal('SIGUSR2');
  return await eventually('a heap snapshot', () => {
    const name = readdirSync(directory).find((file) => file.endsWith('.heapsnapshot') && !before.has(file));
    if (name === undefined) return null;
    const text = readFileSync(join(directory, name), 'latin1');
    // It is being written until then.
    return text.endsWith(']}') || text.endsWith(']}\n') ? text : null;
  });
}

test('S09 no password, and no token that is void, stays in the heap', async () => {
  const directory = temporaryDirectory();
  const [first, second, wrong, rootPassword] = PASSWORDS as [string, string, string, string];
  const options = `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${directory}`;
  const server = await EtcdServer.start({ flags: FAST_ELECTION, env: { ETCD_NODE_OPTIONS: options } });
  try {
    const anyone = new EtcdRpc(server.address);
    await anyone.call('Auth.UserAdd', { name: 'root', password: rootPassword });
    await anyone.call('Auth.UserGrantRole', { user: 'root', role: 'root' });
    await anyone.call('Auth.UserAdd', { name: 'u', password: first });
    await anyone.call('Auth.AuthEnable', {});
    const root = new UserRpc(server.address, 'root', rootPassword);
    const rootToken = await root.login();
    const user = new UserRpc(server.address, 'u', first);
    const token = await user.login();
    assert.equal(await user.try('KV.Range', { key: 'k' }), 'etcdserver: permission denied');
    user.password = wrong;
    await assert.rejects(user.login());
    await root.call('Auth.UserChangePassword', { name: 'u', password: second });
    user.password = second;
    const later = await user.login();
    assert.equal(await user.try('KV.Range', { key: 'k' }), 'etcdserver: permission denied');

    const alive = await heapText(server, directory);
    for (const password of PASSWORDS) assert.ok(!alive.includes(password), password);
    assert.ok(!alive.includes(token), 'the token from before the change of the password');
    // The search finds what is there: tokens that are good are needed.
    assert.ok(alive.includes(later) && alive.includes(rootToken));

    await root.call('Auth.UserDelete', { name: 'u' });
    await root.call('Auth.AuthDisable', {});
    for (const each of [user, root, anyone]) each.close();
    const after = await eventually('connections have ended', async () => {
      const text = await heapText(server, directory);
      return text.includes(later) || text.includes(rootToken) ? null : text;
    });
    for (const password of PASSWORDS) assert.ok(!after.includes(password), password);
  } finally {
    await server.kill();
  }
});
