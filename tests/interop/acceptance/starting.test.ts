/** Servers started with the command lines of Kubernetes' and others' documents, as they stand there. */
import assert from 'node:assert/strict';
import { cpSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { temporaryDirectory } from '../../support/temporary.ts';
import { ADDRESSES, needsTestNetwork, stop, TestNetwork } from './test-network.ts';

describe('starting servers', needsTestNetwork(), () => {
  let network: TestNetwork;
  before(async () => {
    network = await TestNetwork.make();
  });
  after(() => network.close());

  test('a server with every other flag at its default', async () => {
    const cwd = temporaryDirectory();
    const line = `etcd --listen-client-urls=http://$PRIVATE_IP:2379 \\
   --advertise-client-urls=http://$PRIVATE_IP:2379`;
    const server = await network.serve(line, { cwd, env: { PRIVATE_IP: '10.0.0.1' } });
    assert.equal(
      await network.ok('etcdctl --endpoints=10.0.0.1:2379 member list'),
      '8e9e05c52164694d, started, default, http://localhost:2380, http://10.0.0.1:2379, false\n',
    );
    const log = join(cwd, 'default.etcd/member/wal/0000000000000000-0000000000000000.wal');
    assert.equal(statSync(log).size, 64_000_000);
    assert.equal(statSync(log).mode & 0o777, 0o600);
    assert.equal(statSync(join(cwd, 'default.etcd')).mode & 0o777, 0o700);
    assert.equal(statSync(join(cwd, 'default.etcd/member/snap/db')).mode & 0o777, 0o600);
    await stop(server);
    const refused = await network.run('etcd --listen-client-urls=http://10.0.0.1:2379', { cwd });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /advertise-client-urls/);
  });

  test('one process on five addresses, behind a balancer too; not on an address of somebody else', async () => {
    const cwd = temporaryDirectory();
    const urls = [1, 2, 3, 4, 5].map((i) => `http://$IP${i}:2379`).join();
    const env = Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`IP${i}`, `10.0.0.${i}`]));
    const line = `etcd --listen-client-urls=${urls} --advertise-client-urls=${urls}`;
    const server = await network.serve(line, { cwd, env });
    const members = await network.ok('etcdctl --endpoints=10.0.0.5:2379 member list');
    assert.equal(members.match(/http:\/\/10\.0\.0\.\d:2379/g)?.length, 5);
    const balancer = await network.serve(
      'etcd gateway start --listen-addr=10.0.0.8:2379 --endpoints=10.0.0.1:2379,10.0.0.2:2379',
      { cwd, waits: false },
    );
    await network.ok('for i in $(seq 100); do etcdctl --endpoints=10.0.0.8:2379 put k v && break; done');
    assert.equal(await network.ok('etcdctl --endpoints=10.0.0.8:2379 get k'), 'k\nv\n');
    await stop(balancer);
    await stop(server);
    const foreign = await network.run(line, { cwd, env: { ...env, IP5: '10.9.9.9' } });
    assert.equal(foreign.code, 1);
    assert.match(foreign.stderr, /listen tcp 10\.9\.9\.9:2379: bind: cannot assign requested address/);
  });

  test('certificates of both sides, in files that end with .cert', async () => {
    const directory = temporaryDirectory();
    const authority = await TestAuthority.create(directory, 'etcd.ca');
    cpSync(authority.caFile, join(directory, 'etcd.ca'));
    for (const name of ['peer', 'k8sclient']) {
      const issued = await authority.issue(name, { hosts: [...ADDRESSES, '127.0.0.1', 'localhost'] });
      cpSync(issued.certFile, join(directory, `${name}.cert`));
      cpSync(issued.keyFile, join(directory, `${name}.key`));
    }
    const server = await network.serve(
      `etcd --name a --listen-client-urls=https://10.0.0.1:2379 --advertise-client-urls=https://10.0.0.1:2379 \
--listen-peer-urls=https://10.0.0.1:2380 --initial-advertise-peer-urls=https://10.0.0.1:2380 --initial-cluster=a=https://10.0.0.1:2380 \
--peer-key-file=peer.key --peer-cert-file=peer.cert --peer-trusted-ca-file=etcd.ca --key-file=k8sclient.key --cert-file=k8sclient.cert \
--client-cert-auth=true --trusted-ca-file=etcd.ca`,
      { cwd: directory },
    );
    const known = '--cacert=etcd.ca --cert=k8sclient.cert --key=k8sclient.key';
    const healthy = await network.ok(`etcdctl --endpoints https://10.0.0.1:2379 ${known} endpoint health`, {
      cwd: directory,
    });
    assert.match(healthy, /^https:\/\/10\.0\.0\.1:2379 is healthy: successfully committed proposal: took = /);
    const unknown = await network.run(
      'etcdctl --endpoints https://10.0.0.1:2379 --cacert=etcd.ca --command-timeout=2s endpoint health',
      { cwd: directory },
    );
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /is unhealthy: failed to commit proposal: /);
    assert.match(unknown.stderr, /^Error: unhealthy cluster$/m);
    await stop(server);
  });

  test('the unit of Kubernetes the hard way, which is told when it is ready', async () => {
    const line = `/usr/local/bin/etcd --name controller --initial-advertise-peer-urls http://127.0.0.1:2380 --listen-peer-urls http://127.0.0.1:2380 --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --initial-cluster-token etcd-cluster-0 --initial-cluster controller=http://127.0.0.1:2380 --initial-cluster-state new --data-dir=/var/lib/etcd`;
    const socket = join(temporaryDirectory(), 'notify');
    const listener = `python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print("bound", flush=True); print(s.recv(100).decode(), flush=True)' ${socket}`;
    const heard = await network.serve(listener, { waits: false });
    await heard.waitForStdout((text) => text.includes('bound'));
    const server = await network.serve(line.replace('/usr/local/bin/', ''), {
      env: { NOTIFY_SOCKET: socket },
    });
    await heard.waitForStdout((text) => text.includes('READY=1'));
    // Once there is a log, the initial flags are of no account.
    await network.ok('etcdctl put k v');
    await stop(server);
    const again = line.replace('controller=http', 'controller=http').replace('state new', 'state existing');
    const restarted = await network.serve(again.replace('/usr/local/bin/', ''));
    assert.equal(await network.ok('etcdctl get k --print-value-only'), 'v\n');
    await stop(restarted);
    const named = await network.run('etcd --listen-peer-urls http://example.com:2380');
    assert.equal(named.code, 1);
    assert.match(named.stderr, /expected IP in URL for binding \(http:\/\/example\.com:2380\)/);
  });
});
