/**
 * Command lines of Kubernetes' and others' documents about etcd, verbatim, run with `bin/` on a network that has the documents' addresses
 * and a file system that has their paths: starting servers, looking at a cluster and changing it, saving and restoring.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { needs, PEERS_DIR } from '../../support/programs.ts';
import { eventually, type Running } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { ADDRESSES, needsTestNetwork, stop, TestNetwork } from './test-network.ts';

const PKI = '/etc/kubernetes/pki/etcd';

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

/**
 * What `make` leaves in etcd's hack/tls-setup with `infra0=infra0 infra1=infra1 infra2=infra2`: an authority and six certificates of one
 * profile. The same files by OpenSSL: the script wants a program that is built from source.
 */
async function makeSampleCertificates(network: TestNetwork, cwd: string): Promise<void> {
  const days = 876_000 / 24;
  const hosts = [...ADDRESSES, '127.0.0.1'].map((address) => `IP:${address}`).join();
  const usages = 'digitalSignature,keyEncipherment';
  await network.ok(
    `set -e; mkdir -p certs
openssl req -x509 -newkey rsa:2048 -nodes -days ${days} -keyout certs/ca-key.pem -out certs/ca.pem -subj "/CN=Autogenerated CA" -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
for name in infra0 infra1 infra2 peer-infra0 peer-infra1 peer-infra2; do
  openssl req -newkey rsa:2048 -nodes -keyout certs/$name-key.pem -out certs/$name.csr -subj "/O=autogenerated/OU=etcd cluster/L=the internet/CN=etcd" 2>/dev/null
  openssl x509 -req -in certs/$name.csr -CA certs/ca.pem -CAkey certs/ca-key.pem -CAcreateserial -days ${days} -out certs/$name.pem \
    -extfile <(echo "keyUsage=critical,${usages}"; echo "extendedKeyUsage=serverAuth,clientAuth"; echo "subjectAltName=DNS:localhost,${hosts}") 2>/dev/null
done`,
    { cwd },
  );
}

interface Member {
  readonly name: string;
  readonly host: string;
}

const NAMES: readonly Member[] = [1, 2, 3, 4, 5].map((i) => ({ name: `member${i}`, host: `10.0.0.${i}` }));

function memberLine({ name, host }: Member, more: string): string {
  return `etcd --name ${name} --data-dir ${name}.etcd --listen-client-urls http://${host}:2379 --advertise-client-urls http://${host}:2379 --listen-peer-urls http://${host}:2380 ${more}`;
}

function foundingFlags({ host }: Member, members: readonly Member[], token = 'etcd-cluster-1'): string {
  const cluster = members.map((member) => `${member.name}=http://${member.host}:2380`).join();
  return `--initial-advertise-peer-urls http://${host}:2380 --initial-cluster ${cluster} --initial-cluster-token ${token}`;
}

describe('a cluster of three', needsTestNetwork(), () => {
  let network: TestNetwork;
  const servers = new Map<string, Running>();
  const three = NAMES.slice(0, 3);
  let ids: Map<string, string>;

  before(async () => {
    network = await TestNetwork.make();
    await Promise.all(
      three.map(async (member) => {
        servers.set(member.name, await network.serve(memberLine(member, foundingFlags(member, three))));
      }),
    );
  });
  after(() => network.close());

  async function list(): Promise<string> {
    return await network.ok('etcdctl --endpoints=http://10.0.0.2,http://10.0.0.3 member list');
  }

  test('its members are listed, by endpoints without a port', async () => {
    const rows = (await list()).trim().split('\n');
    assert.deepEqual(rows.map((row) => row.split(', ').slice(1, 5).join(' ')).sort(), [
      'started member1 http://10.0.0.1:2380 http://10.0.0.1:2379',
      'started member2 http://10.0.0.2:2380 http://10.0.0.2:2379',
      'started member3 http://10.0.0.3:2380 http://10.0.0.3:2379',
    ]);
    ids = new Map(rows.map((row) => [row.split(', ')[2] ?? '', row.split(', ')[0] ?? '']));
    const order = [...ids.values()].map((id) => BigInt(`0x${id}`));
    assert.deepEqual(
      order.toSorted((a, b) => (a < b ? -1 : 1)),
      order,
    );
  });

  test('a member that has failed is replaced by another', async () => {
    await network.ok('etcdctl --endpoints=http://10.0.0.2 put kept "what was there"');
    servers.get('member1')?.kill('SIGKILL');
    await servers.get('member1')?.ended;
    const env = { ETCDCTL_ENDPOINTS: 'http://10.0.0.2,http://10.0.0.3' };
    const removed = await network.ok(`etcdctl member remove ${ids.get('member1')}`, { env });
    assert.match(
      removed,
      new RegExp(`^Member +${ids.get('member1')} removed from cluster [0-9a-f ]{16}\\n$`),
    );
    // Those that stay must have been connected for five seconds.
    const add = 'etcdctl member add member4 --peer-urls=http://10.0.0.4:2380';
    const added = await network.ok(`for i in $(seq 60); do ${add} && break || sleep 1; done`, { env });
    assert.match(added, /^Member [0-9a-f ]{16} added to cluster [0-9a-f ]{16}\n\nETCD_NAME="member4"\n/);
    assert.match(added, /^ETCD_INITIAL_CLUSTER=".*member4=http:\/\/10\.0\.0\.4:2380.*"$/m);
    assert.match(added, /^ETCD_INITIAL_CLUSTER_STATE="existing"$/m);
    const second = await network.run('etcdctl member add member5 --peer-urls=http://10.0.0.5:2380', { env });
    assert.equal(second.code, 1);
    assert.match(
      second.stderr,
      /re-configuration failed due to not enough started members|unhealthy cluster/,
    );
    const exports = `export ETCD_NAME="member4"
export ETCD_INITIAL_CLUSTER="member2=http://10.0.0.2:2380,member3=http://10.0.0.3:2380,member4=http://10.0.0.4:2380"
export ETCD_INITIAL_CLUSTER_STATE=existing
`;
    const flags = memberLine(NAMES[3] ?? assert.fail(), '').replace('--name member4 ', '');
    const own = '--initial-advertise-peer-urls http://10.0.0.4:2380 --initial-cluster-token etcd-cluster-1';
    const both = await network.run(`${exports}etcd --name member4`);
    assert.equal(both.code, 1);
    assert.match(both.stderr, /shadowed by corresponding command-line flag/);
    servers.set('member4', await network.serve(`${exports}exec ${flags} ${own}`));
    const health = await network.ok('etcdctl --endpoints=http://10.0.0.4 endpoint health --cluster');
    assert.equal(health.match(/is healthy/g)?.length, 3);
    assert.equal(
      await network.ok('etcdctl --endpoints=http://10.0.0.4 get kept --print-value-only'),
      'what was there\n',
    );
    const old = await network.run(memberLine(NAMES[0] ?? assert.fail(), ''), { timeoutMs: 60_000 });
    assert.equal(old.code, 0, old.stderr);
    assert.match(old.stderr, /permanently removed/);
  });

  test('it grows to five, one member at a time', async () => {
    const env = { ETCDCTL_ENDPOINTS: 'http://10.0.0.2,http://10.0.0.3,http://10.0.0.4' };
    for (const member of [NAMES[4], { name: 'member6', host: '10.0.0.6' }]) {
      assert.ok(member !== undefined);
      const add = `etcdctl member add ${member.name} --peer-urls=http://${member.host}:2380`;
      // Members must have been connected for five seconds.
      const told = await network.ok(`for i in $(seq 60); do ${add} && break || sleep 1; done`, { env });
      const cluster = /ETCD_INITIAL_CLUSTER="(.*)"/.exec(told)?.[1];
      const flags = `--initial-advertise-peer-urls http://${member.host}:2380 --initial-cluster ${cluster} --initial-cluster-state existing`;
      servers.set(member.name, await network.serve(memberLine(member, flags)));
    }
    const health = await network.ok('etcdctl endpoint health --cluster', { env });
    assert.equal(health.match(/is healthy/g)?.length, 5);
  });

  test('help is there', async () => {
    const help = await network.ok('ETCDCTL_API=3 etcdctl -h');
    for (const name of ['snapshot', 'member', 'endpoint']) assert.match(help, new RegExp(`^ +${name} `, 'm'));
  });
});

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

describe('keys, snapshots and what is made of them', needsTestNetwork(), () => {
  let network: TestNetwork;
  let server: Running;
  const value = Buffer.concat([Buffer.from('k8s:enc:aescbc:v1:key1:'), Buffer.from([0, 255, 10, 200, 128])]);

  before(async () => {
    network = await TestNetwork.make();
    server = await network.serve('etcd');
    await network.ok(
      `printf '${[...value].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}' > value && etcdctl put /registry/secrets/default/kubernetes-the-hard-way < value`.replaceAll(
        '\\x00',
        '\\x01',
      ),
    );
    for (let i = 0; i < 5; i++) await network.ok(`etcdctl put k${i} v${i}`);
  });
  after(() => network.close());

  const snapshotFile = (): string => join(network.home, 'snapshot.db');

  test('a value is printed byte by byte', async () => {
    const dump = await network.ok(
      'etcdctl get /registry/secrets/default/kubernetes-the-hard-way | hexdump -C',
    );
    const bytes = dump
      .split('\n')
      .flatMap((line) => line.slice(8, 58).trim().split(/\s+/))
      .filter((pair) => pair !== '')
      .map((pair) => Number.parseInt(pair, 16));
    const expected = Buffer.from(value).map((byte) => (byte === 0 ? 1 : byte));
    const key = '/registry/secrets/default/kubernetes-the-hard-way\n';
    assert.deepEqual(Buffer.from(bytes), Buffer.concat([Buffer.from(key), expected, Buffer.from('\n')]));
  });

  test('a snapshot is saved from one member, and only from one', async () => {
    const env = { ENDPOINT: 'http://127.0.0.1:2379' };
    const saved = await network.ok('ETCDCTL_API=3 etcdctl --endpoints $ENDPOINT snapshot save snapshot.db', {
      env,
    });
    assert.match(saved, /^Snapshot saved at snapshot\.db\n/);
    assert.equal(statSync(snapshotFile()).size % 512, 32);
    assert.match(await network.ok('etcdctl snapshot save snapshot.db'), /^Snapshot saved at snapshot\.db\n/);
    const several = await network.run(
      'etcdctl --endpoints=127.0.0.1:2379,127.0.0.1:1 snapshot save other.db',
    );
    assert.equal(several.code, 5);
    assert.match(several.stderr, /^Error: snapshot must be requested to one selected node, not multiple \[/m);
    assert.equal((await network.run('etcdctl snapshot save')).code, 128);
    assert.deepEqual(
      readdirSync(network.home).filter((name) => /other|part/.test(name)),
      [],
    );
  });

  test('its status is a table of four columns', async () => {
    for (const line of [
      'ETCDCTL_API=3 etcdctl --write-out=table snapshot status snapshot.db',
      'etcdctl  --write-out=table snapshot status snapshot.db',
    ]) {
      const lines = (await network.ok(line)).split('\n');
      assert.match(lines[1] ?? '', /^│ +HASH +│ +REVISION +│ +TOTAL KEYS +│ +TOTAL SIZE +│$/);
      assert.match(lines[3] ?? '', /^│ +[0-9a-f]{1,8} │ +\d+ │ +\d+ │ +[0-9.]+ [kM]B │$/);
    }
  });

  test('it is restored, with the flag of the leaf command before it', async () => {
    await network.ok('ETCDCTL_API=3 etcdctl --data-dir first snapshot restore snapshot.db');
    await network.ok(`export ETCDCTL_API=3
etcdctl --data-dir second snapshot restore snapshot.db`);
    const { code, stdout, stderr } = await network.run(
      'etcdctl --data-dir /tmp/etcd-acceptance/ snapshot restore snapshot.db; rc=$?; rm -r /tmp/etcd-acceptance; exit $rc',
    );
    assert.deepEqual([code, stdout], [0, '']);
    const [deprecated, blank, ...log] = stderr.trim().split('\n');
    assert.deepEqual([deprecated, blank], ['Deprecated: Use `etcdutl snapshot restore` instead.', '']);
    const messages = log.map((line) => line.split('\t')[2]);
    assert.deepEqual(messages, [
      'restoring snapshot',
      'Trimming membership information from the backend...',
      'added member',
      'restored snapshot',
    ]);
    assert.match(stderr, /"cluster-id": "cdf818194e3a8c32".*"added-peer-id": "8e9e05c52164694d"/);
    assert.match(stderr, /"data-dir": "\/tmp\/etcd-acceptance\/"/);
    const there = await network.run('etcdctl --data-dir first snapshot restore snapshot.db');
    assert.equal(there.code, 1);
    assert.match(there.stderr, /^Error: data-dir "first" not empty or could not be read$/m);
    const env = { ETCDCTL_DATA_DIR: 'elsewhere' };
    await network.ok(
      'etcdctl snapshot restore snapshot.db --name unnamed --initial-cluster unnamed=http://localhost:2380',
      { env },
    );
    assert.deepEqual(
      [existsSync(join(network.home, 'elsewhere')), existsSync(join(network.home, 'unnamed.etcd'))],
      [false, true],
    );
    const other = await network.run('etcdctl snapshot restore snapshot.db --name foo --data-dir third');
    assert.match(other.stderr, /couldn't find local name "foo" in the initial cluster configuration/);
    assert.equal(existsSync(join(network.home, 'third')), false);
  });

  test('a copied database, and a copied directory, are as good', async () => {
    await stop(server);
    cpSync(join(network.home, 'default.etcd/member/snap/db'), join(network.home, 'copied.db'));
    const bare = await network.run('etcdctl snapshot restore copied.db --data-dir copied');
    assert.equal(bare.code, 1);
    assert.match(bare.stderr, /^Error: snapshot missing hash but --skip-hash-check=false$/m);
    await network.ok('etcdctl snapshot restore copied.db --data-dir copied --skip-hash-check');
    mkdirSync(join(network.home, 'volume'));
    cpSync(join(network.home, 'default.etcd'), join(network.home, 'volume/default.etcd'), {
      recursive: true,
    });
    for (const dataDir of ['copied', 'first', 'volume/default.etcd']) {
      const restored = await network.serve(`etcd --data-dir ${dataDir}`);
      assert.equal(await network.ok('etcdctl get k4'), 'k4\nv4\n', dataDir);
      await stop(restored);
    }
  });

  test('a changed byte, and a file that is not a snapshot, are refused and leave nothing', async () => {
    const bytes = readFileSync(snapshotFile());
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    await network.ok(
      `cp snapshot.db flipped.db && printf '\\x${(bytes[5000] ?? 0).toString(16).padStart(2, '0')}' | dd of=flipped.db bs=1 seek=5000 conv=notrunc 2>/dev/null && head -c 5000 /dev/urandom > noise.db`,
    );
    for (const [name, message] of [
      ['flipped', /^Error: expected sha256 \[.*\], got \[.*\]$/m],
      ['noise', /^Error: snapshot missing hash/m],
    ] as const) {
      const { code, stderr } = await network.run(
        `etcdctl snapshot restore ${name}.db --data-dir ${name}.etcd`,
      );
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.equal(existsSync(join(network.home, `${name}.etcd`)), false);
    }
    assert.equal((await network.run('etcdctl snapshot status noise.db')).code, 1);
  });
});

describe('procedures', needsTestNetwork(), () => {
  let network: TestNetwork;
  before(async () => {
    network = await TestNetwork.make();
  });
  after(() => network.close());

  test('a whole cluster is restored from one snapshot, and clients find it at other addresses', async () => {
    const three = NAMES.slice(0, 3);
    const founded = await Promise.all(
      three.map((member) => network.serve(memberLine(member, foundingFlags(member, three)))),
    );
    const env = { ETCDCTL_ENDPOINTS: 'http://10.0.0.1:2379' };
    for (let i = 0; i < 10; i++) await network.ok(`etcdctl put /registry/${i} ${i}`, { env });
    await network.ok('etcdctl snapshot save backup.db', { env });
    await network.ok('etcdctl put /registry/late lost', { env });
    await Promise.all(founded.map(stop));
    // The same names at other addresses, from the same file, with a token of their own.
    const moved = three.map(({ name }, i) => ({ name, host: `10.0.0.${6 + i}` }));
    for (const member of moved) {
      const flags = foundingFlags(member, moved, 'etcd-cluster-2');
      await network.ok(
        `mv ${member.name}.etcd ${member.name}.old && etcdutl snapshot restore backup.db --name ${member.name} --data-dir ${member.name}.etcd ${flags}`,
      );
    }
    const restored = await Promise.all(
      moved.map((member) =>
        network.serve(memberLine(member, foundingFlags(member, moved, 'etcd-cluster-2'))),
      ),
    );
    const at = { ETCDCTL_ENDPOINTS: moved.map(({ host }) => `http://${host}:2379`).join() };
    const keys = await network.ok('etcdctl get /registry --prefix --keys-only', { env: at });
    assert.equal(keys.match(/\/registry\/\d/g)?.length, 10);
    assert.doesNotMatch(keys, /late/);
    const health = await network.ok('etcdctl endpoint health --cluster', { env: at });
    assert.equal(health.match(/is healthy/g)?.length, 3);
    const hashes = await network.ok('etcdctl endpoint hashkv --cluster', { env: at });
    assert.equal(
      new Set(
        hashes
          .trim()
          .split('\n')
          .map((row) => row.split(', ')[1]),
      ).size,
      1,
    );
    await Promise.all(restored.map(stop));
  });

  test(
    'an upgrade from etcd 3.6, one member after the other, with a snapshot first',
    needs('etcd 3.6'),
    async () => {
      const cwd = temporaryDirectory();
      const three = NAMES.slice(0, 3);
      const lines = three.map((member) => memberLine(member, foundingFlags(member, three)));
      const old = await Promise.all(
        lines.map((line) => network.serve(line, { cwd, path: `${PEERS_DIR}/3.6` })),
      );
      const env = { ETCDCTL_ENDPOINTS: three.map(({ host }) => `http://${host}:2379`).join() };
      await network.ok('etcdctl put k before', { env });
      await network.ok('etcdctl --endpoints=http://10.0.0.1:2379 snapshot save backup.db', { cwd });
      for (const [i, line] of lines.entries()) {
        const server = old[i];
        assert.ok(server !== undefined);
        await stop(server);
        await network.serve(line, { cwd });
        const health = await network.ok(
          'for i in $(seq 60); do etcdctl endpoint health && break || sleep 1; done',
          { env },
        );
        assert.ok((health.match(/is healthy/g)?.length ?? 0) >= 3, health);
        await network.ok(`etcdctl put upgraded ${i}`, { env });
      }
      assert.equal(await network.ok('etcdctl get k', { env }), 'k\nbefore\n');
      const status = await network.ok('etcdctl endpoint status', { env });
      const versions = status
        .trim()
        .split('\n')
        .map((row) => row.split(', ')[2]);
      assert.deepEqual(versions, ['3.7.3', '3.7.3', '3.7.3']);
      assert.equal(
        new Set(
          (await network.ok('etcdctl endpoint hashkv', { env }))
            .trim()
            .split('\n')
            .map((row) => row.split(', ')[1]),
        ).size,
        1,
      );
    },
  );
});
