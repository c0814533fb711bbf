/** The certificates of etcd's sample script, by one command, and what an API server asks of a member that has them. */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { ADDRESSES, needsTestNetwork, stop, TestNetwork } from './test-network.ts';

/** What `make` leaves in etcd's hack/tls-setup with `infra0=infra0 infra1=infra1 infra2=infra2`. */
async function makeSampleCertificates(network: TestNetwork, cwd: string): Promise<void> {
  const hosts = ADDRESSES.join();
  await network.ok(`etcdadm certs make --names infra0,infra1,infra2 --hosts ${hosts}`, { cwd });
  const names = ['ca', 'client', 'infra0', 'infra1', 'infra2', 'peer-infra0', 'peer-infra1', 'peer-infra2'];
  const files = names.flatMap((name) => [`${name}-key.pem`, `${name}.pem`]);
  assert.deepEqual(readdirSync(join(cwd, 'certs')).sort(), files.sort());
  const leaves = names.slice(1).map((name) => `certs/${name}.pem`);
  const verified = await network.ok(
    `openssl verify -CAfile certs/ca.pem -purpose sslclient ${leaves.join(' ')}`,
    { cwd },
  );
  assert.equal(verified.match(/: OK$/gm)?.length, leaves.length);
  const text = await network.ok('openssl x509 -in certs/infra0.pem -noout -text', { cwd });
  assert.match(text, /Public-Key: \(2048 bit\)/);
  assert.match(text, /DNS:localhost/);
  for (const address of ADDRESSES) assert.ok(text.includes(`IP Address:${address}`));
  const mode = statSync(join(cwd, 'certs/infra0-key.pem')).mode & 0o777;
  assert.equal(mode, 0o600);
}

describe('sample certificates', needsTestNetwork(), () => {
  let network: TestNetwork;
  before(async () => {
    network = await TestNetwork.make();
  });
  after(() => network.close());

  test(
    'API servers find it at its address, at a list and behind a balancer, with the certificates of etcd’s sample script',
    needs('curl'),
    async () => {
      const directory = temporaryDirectory();
      await makeSampleCertificates(network, directory);
      const files = (name: string, kind: string): string =>
        `--${kind}cert-file=certs/${name}.pem --${kind}key-file=certs/${name}-key.pem`;
      const server = await network.serve(
        `etcd --name infra0 --listen-client-urls=https://10.0.0.1:2379 --advertise-client-urls=https://10.0.0.1:2379 \
--listen-peer-urls=https://10.0.0.1:2380 --initial-advertise-peer-urls=https://10.0.0.1:2380 --initial-cluster=infra0=https://10.0.0.1:2380 \
${files('infra0', '')} ${files('peer-infra0', 'peer-')} --client-cert-auth --trusted-ca-file=certs/ca.pem --peer-client-cert-auth --peer-trusted-ca-file=certs/ca.pem`,
        { cwd: directory },
      );
      const balancer = await network.serve(
        'etcd gateway start --listen-addr=10.0.0.8:2379 --endpoints=10.0.0.1:2379',
        { cwd: directory, waits: false },
      );
      const inDirectory = { cwd: directory, env: { PRIVATE_IP: '10.0.0.1', LB: '10.0.0.8' } };
      const client = '--cacert=certs/ca.pem --cert=certs/infra1.pem --key=certs/infra1-key.pem';
      // An API server's --etcd-servers: one address, several of which not all are there, the balancer.
      await eventually('the balancer listens', async () => {
        const tried = await network.run(
          `etcdctl --endpoints=$LB:2379 ${client} endpoint health`,
          inDirectory,
        );
        return tried.code === 0;
      });
      for (const servers of [
        '$PRIVATE_IP:2379',
        '10.0.0.2:2379,$PRIVATE_IP:2379,10.0.0.3:2379',
        '$LB:2379',
      ]) {
        assert.equal(
          await network.ok(`etcdctl --endpoints=${servers} ${client} put /registry/k v`, inDirectory),
          'OK\n',
        );
      }
      // What the balancer asks to know whether it may send clients there, and what an API server reads to know how to watch.
      for (const [page, answer] of [
        ['health', /"health":"true"/],
        ['livez', /^ok$/m],
        ['readyz', /^ok$/m],
        ['version', /"etcdserver":"3\.7\.\d+"/],
      ] as const) {
        const curl = 'curl -sS --cacert certs/ca.pem --cert certs/infra1.pem --key certs/infra1-key.pem';
        assert.match(await network.ok(`${curl} https://$LB:2379/${page}`, inDirectory), answer);
      }
      const status = await network.ok(
        `etcdctl --endpoints=$LB:2379 ${client} endpoint status -w json`,
        inDirectory,
      );
      const [{ Status }] = JSON.parse(status);
      assert.match(Status.version, /^3\.7\.\d+$/);
      const watch = await network.serve(
        `etcdctl --endpoints=$LB:2379 ${client} watch --rev=1 --prefix /registry/`,
        {
          ...inDirectory,
          waits: false,
        },
      );
      await watch.waitForStdout((text) => text.split('PUT').length === 4);
      await stop(watch);
      await stop(balancer);
      await stop(server);
    },
  );
});
