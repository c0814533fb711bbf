/**
 * Members that speak TLS with each other, each with a certificate of its own: side by side with real etcd, with certificates that
 * they have made themselves, and while certificates and their authority are replaced under load.
 */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { type Kind, QUICK_ELECTION, withCluster } from '../../support/cluster.ts';
import { EtcdServer } from '../../support/etcd-server.ts';
import { needs } from '../../support/programs.ts';
import { sleep } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';
import { ClusterWorkload } from '../cluster/workload.ts';

const TLS_PLACE = { peerScheme: 'https' } as const;

interface PeerFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

function peerFlags({ certFile, keyFile, caFile }: PeerFiles): string[] {
  return [
    ...QUICK_ELECTION,
    `--peer-cert-file=${certFile}`,
    `--peer-key-file=${keyFile}`,
    `--peer-trusted-ca-file=${caFile}`,
    '--peer-client-cert-auth',
  ];
}

const MIXES = [
  { go: '3.5', kinds: ['3.5', 'ours', 'ours'] },
  { go: '3.5', kinds: ['3.5', '3.5', 'ours'] },
  { go: '3.7', kinds: ['3.7', 'ours', 'ours'] },
  { go: '3.7', kinds: ['3.7', '3.7', 'ours'] },
] as const satisfies readonly { readonly go: Kind; readonly kinds: readonly Kind[] }[];

for (const { go, kinds } of MIXES) {
  test(
    `${kinds.join(' + ')} over TLS: each side leads, a member comes back, contents are the same`,
    needs(`etcd ${go}`),
    async () => {
      const directory = temporaryDirectory();
      const authority = await TestAuthority.create(directory);
      const pair = await authority.issue('member', { hosts: ['127.0.0.1'] });
      const flags = peerFlags({ ...pair, caFile: authority.caFile });
      await withCluster(kinds, { flags: () => flags, place: () => TLS_PLACE }, async (cluster) => {
        const workload = new ClusterWorkload(() => cluster.addresses, { writers: 2, readers: 1 });
        await workload.start();
        for (const kind of ['ours', go] as const) {
          await cluster.moveLeader(cluster.members.find((member) => member.kind === kind)!);
          await workload.progress();
        }
        const member = cluster.members.find(({ kind }) => kind === 'ours')!;
        await member.kill();
        await workload.progress();
        await member.start();
        await workload.finish();
        await workload.stop();
        await cluster.assertSameContents();
      });
    },
  );
}

for (const go of ['3.5', '3.7'] as const) {
  test(
    `certificates that members make themselves: with etcd ${go} in one cluster`,
    needs(`etcd ${go}`),
    async () => {
      const flags = [...QUICK_ELECTION, '--peer-auto-tls'];
      await withCluster(
        [go, 'ours', 'ours'],
        { flags: () => flags, place: () => TLS_PLACE },
        async (cluster) => {
          await cluster.at(1).rpc.call('KV.Put', { key: 'a', value: 'b' });
          await cluster.assertSameContents();
        },
      );
    },
  );
}

test('a member with a certificate of another authority gets nowhere, and the cluster goes on', async () => {
  const directory = temporaryDirectory();
  const authority = await TestAuthority.create(directory);
  const stranger = await TestAuthority.create(join(directory, 'stranger'), 'stranger');
  const pair = await authority.issue('member', { hosts: ['127.0.0.1'] });
  const foreign = await stranger.issue('member', { hosts: ['127.0.0.1'] });
  const flags = peerFlags({ ...pair, caFile: authority.caFile });
  await withCluster(
    ['ours', 'ours', 'ours'],
    { flags: () => flags, place: () => TLS_PLACE },
    async (cluster) => {
      const [follower] = await cluster.followers();
      await follower!.kill();
      const changed = peerFlags({ ...foreign, caFile: authority.caFile });
      const server = await EtcdServer.launch({ ...follower!.options, flags: changed });
      const leader = await cluster.leader();
      const line = await leader.server.waitForLog('rejected connection on peer endpoint');
      assert.match(String(line.fields['error']), /signed by unknown authority/);
      assert.match(String(line.fields['remote-addr']), /^127\.0\.0\.1:/);
      await leader.rpc.call('KV.Put', { key: 'a', value: 'b' });
      await server.kill();
    },
  );
});

test('certificates, then their authority, are replaced in every member under load, and no request fails', async () => {
  const directory = temporaryDirectory();
  const old = await TestAuthority.create(join(directory, 'old'), 'old');
  const next = await TestAuthority.create(join(directory, 'next'), 'next');
  const live: PeerFiles = {
    certFile: join(directory, 'live.pem'),
    keyFile: join(directory, 'live-key.pem'),
    caFile: join(directory, 'live-ca.pem'),
  };
  const install = async (authority: TestAuthority, name: string): Promise<void> => {
    const pair = await authority.issue(name, { hosts: ['127.0.0.1'] });
    copyFileSync(pair.keyFile, live.keyFile);
    copyFileSync(pair.certFile, live.certFile);
  };
  const trust = (...authorities: TestAuthority[]): void =>
    writeFileSync(live.caFile, authorities.map(({ caFile }) => readFileSync(caFile, 'utf8')).join(''));
  await install(old, 'first');
  trust(old);
  await withCluster(
    ['ours', 'ours', 'ours'],
    { flags: () => peerFlags(live), place: () => TLS_PLACE },
    async (cluster) => {
      const workload = new ClusterWorkload(() => cluster.addresses, { writers: 3, readers: 1 });
      await workload.start();
      const steps: readonly (() => Promise<void> | void)[] = [
        () => install(old, 'second'),
        () => trust(old, next),
        () => install(next, 'third'),
        () => trust(next),
      ];
      for (const step of steps) {
        await step();
        for (const { server } of cluster.members) {
          const before = server.log.length;
          server.signal('SIGHUP');
          while (!server.log.slice(before).some(({ msg }) => msg === 'reloaded certificates'))
            await sleep(10);
        }
        await workload.progress();
      }
      await workload.finish();
      await workload.stop();
      assert.equal(workload.failed, 0, JSON.stringify([...workload.failures]));
      // What was replaced is what new connections use: a member that starts now finds the others with it.
      const [follower] = await cluster.followers();
      await follower!.kill();
      await follower!.start();
      await cluster.assertSameContents();
    },
  );
});

test('files that do not fit end the start with one line, before anything is written', async () => {
  const directory = temporaryDirectory();
  const authority = await TestAuthority.create(directory);
  const one = await authority.issue('one', { hosts: ['127.0.0.1'] });
  const other = await authority.issue('other', { hosts: ['127.0.0.1'] });
  const server = await EtcdServer.launch({
    peerPort: await freePort(),
    peerScheme: 'https',
    flags: [`--peer-cert-file=${one.certFile}`, `--peer-key-file=${other.keyFile}`],
  });
  const { code, stderr } = await server.ended;
  assert.equal(code, 1);
  assert.match(stderr, /tls: private key does not match public key/);
});
