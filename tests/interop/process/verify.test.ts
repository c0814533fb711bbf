/** `ETCD_VERIFY`: what a member leaves behind at an orderly end is looked at, and said to be whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';

const SUCCESS = 'verification of persisted state successful';

const countOf = ({ log }: EtcdServer): number => log.filter(({ text }) => text.includes(SUCCESS)).length;

test('a member that is told to verify says at its end that its data are whole, and its successor goes on with them', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION, env: { ETCD_VERIFY: 'all' } });
  const rpc = new EtcdRpc(server.address);
  const { ID } = await rpc.call('Lease.LeaseGrant', { TTL: '600' });
  for (let i = 0; i < 50; i++) await rpc.call('KV.Put', { key: `k${i % 7}`, value: `${i}`, lease: ID });
  await rpc.call('KV.DeleteRange', { key: 'k3' });
  await rpc.call('KV.Compact', { revision: '20' });
  const before = countOf(server);
  assert.equal((await server.stop()).signal, 'SIGTERM', server.lastLines());
  rpc.close();
  assert.equal(countOf(server), before + 1);
  const again = await server.restart();
  assert.equal((await again.stop()).signal, 'SIGTERM', again.lastLines());
});

test('a member that is told nothing does not look', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION, env: { ETCD_VERIFY: '' } });
  await server.stop();
  assert.equal(countOf(server), 0);
});
