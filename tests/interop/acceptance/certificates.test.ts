/** Command lines of the documents that name certificates. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { temporaryDirectory } from '../../support/temporary.ts';
import { ADDRESSES, needsTestNetwork, TestNetwork } from './test-network.ts';

const PKI = '/etc/kubernetes/pki/etcd';

describe('a cluster with certificates', needsTestNetwork(), () => {
  let network: TestNetwork;

  before(async () => {
    network = await TestNetwork.make();
    const directory = temporaryDirectory();
    const authority = await TestAuthority.create(directory, 'ca');
    for (const name of ['server', 'peer']) await authority.issue(name, { hosts: ADDRESSES });
    const copies = ['server', 'peer'].map(
      (name) =>
        `cp ${directory}/${name}.pem ${PKI}/${name}.crt && cp ${directory}/${name}-key.pem ${PKI}/${name}.key`,
    );
    await network.ok([`cp ${authority.caFile} ${PKI}/ca.crt`, ...copies].join(' && '));
    await network.serve(`etcd --name infra0 --listen-client-urls https://10.2.0.9:2379 --advertise-client-urls https://10.2.0.9:2379 \
--cert-file=${PKI}/server.crt --key-file=${PKI}/server.key --trusted-ca-file=${PKI}/ca.crt --client-cert-auth`);
  });
  after(() => network.close());

  test('an endpoint without a scheme is spoken to with TLS where files for it are named', async () => {
    const members = await network.ok(`ETCDCTL_API=3 etcdctl --endpoints 10.2.0.9:2379 \\
  --cert=/etc/kubernetes/pki/etcd/server.crt \\
  --key=/etc/kubernetes/pki/etcd/server.key \\
  --cacert=/etc/kubernetes/pki/etcd/ca.crt \\
  member list`);
    assert.match(
      members,
      /^[0-9a-f]{1,16}, started, infra0, http:\/\/localhost:2380, https:\/\/10\.2\.0\.9:2379, false\n$/,
    );
  });

  test("the health of all members, with the peer's certificate and blanks before values", async () => {
    const health = await network.ok(
      `etcdctl \\
--cert /etc/kubernetes/pki/etcd/peer.crt \\
--key /etc/kubernetes/pki/etcd/peer.key \\
--cacert /etc/kubernetes/pki/etcd/ca.crt \\
--endpoints https://\${HOST0}:2379 endpoint health --cluster`,
      { env: { HOST0: '10.2.0.9' } },
    );
    assert.match(
      health,
      /^https:\/\/10\.2\.0\.9:2379 is healthy: successfully committed proposal: took = \S+\n$/,
    );
  });

  test('a snapshot with the names of the documents', async () => {
    const files = `--cacert=${PKI}/ca.crt --cert=${PKI}/server.crt --key=${PKI}/server.key`;
    const saved = await network.ok(`ETCDCTL_API=3 etcdctl --endpoints=https://10.2.0.9:2379 \\
  ${files} \\
  snapshot save backup.db`);
    assert.match(saved, /^Snapshot saved at backup\.db\n/);
  });
});
