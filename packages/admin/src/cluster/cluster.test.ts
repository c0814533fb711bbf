import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Member } from '@etcd/api/etcdserverpb';
import { runProgram } from '@etcd/host/cli';
import { parse } from 'yaml';
import { ETCDADM } from '../root.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { NotingIo } from '../testing/noting-io.ts';
import { memberJson } from './info.ts';
import { decideJoin, initialMembers } from './join.ts';
import { knownCluster } from './known-members.ts';
import { promoteWhenReady } from './promote.ts';
import { removalProblem } from './quorum.ts';
import { type GivenSettings, settingsOf } from './settings.ts';

const root = mkdtempSync(join(tmpdir(), 'etcdadm-'));
after(() => rmSync(root, { recursive: true }));

async function etcdadm(...words: string[]): Promise<{ code: number; text: string; errors: string }> {
  const io = new NotingIo({});
  const code = await runProgram(ETCDADM, words, io);
  return { code, text: io.text, errors: io.errors };
}

async function good(...words: string[]): Promise<string> {
  const { code, text, errors } = await etcdadm(...words);
  assert.equal(code, 0, errors);
  return text;
}

async function refused(pattern: RegExp, ...words: string[]): Promise<void> {
  const { code, errors } = await etcdadm(...words);
  assert.equal(code, 1);
  assert.match(errors, pattern);
  assert.equal(errors.split('\n').length, 2, errors);
}

function hostFlags(rootfs: string): string[] {
  return [`--rootfs=${rootfs}`, '--name=infra0', '--bind-address=127.0.0.1'];
}

const phase = (rootfs: string, name: string, ...more: string[]): string[] => [
  'init',
  'phase',
  name,
  ...hostFlags(rootfs),
  ...more,
];

test('certificates are made once, by an authority that is made once, and stand for the host', async () => {
  const rootfs = join(root, 'certificates');
  const pki = (name: string): string => join(rootfs, 'etc/etcd/pki', name);
  const made = await good(
    ...phase(rootfs, 'certificates', '--server-cert-extra-sans=etcd.example.org,10.1.2.3'),
  );
  assert.equal(made.match(/^\[certificates\] Ma(de|king) /gm)?.length, 5, made);
  const authority = new X509Certificate(readFileSync(pki('ca.crt')));
  assert.ok(authority.ca);
  for (const [name, subject, names, usages] of [
    ['server', 'CN=infra0', true, 2],
    ['peer', 'CN=infra0', true, 2],
    ['etcdctl-etcd-client', 'O=system:masters\nCN=infra0-etcdctl', false, 1],
    ['apiserver-etcd-client', 'O=system:masters\nCN=infra0-kube-apiserver-etcd-client', false, 1],
  ] as const) {
    const certificate = new X509Certificate(readFileSync(pki(`${name}.crt`)));
    assert.equal(certificate.subject, subject);
    assert.equal(certificate.keyUsage.length, usages);
    assert.ok(certificate.verify(authority.publicKey) && certificate.checkIssued(authority));
    assert.equal(certificate.checkIP('10.1.2.3') !== undefined, names);
    assert.equal(certificate.checkHost('etcd.example.org') !== undefined, names);
    assert.equal(statSync(pki(`${name}.key`)).mode & 0o777, 0o600);
  }
  const before = readFileSync(pki('server.crt'));
  const again = await good(
    ...phase(rootfs, 'certificates', '--server-cert-extra-sans=etcd.example.org,10.1.2.3'),
  );
  assert.doesNotMatch(again, /Ma(de|king) /);
  assert.deepEqual(readFileSync(pki('server.crt')), before);
  await refused(
    /server\.crt does not stand for other\.example\.org: move it and its key away/,
    ...phase(rootfs, 'certificates', '--server-cert-extra-sans=other.example.org'),
  );
  // On a host that joins, with what was brought there.
  const joining = join(root, 'joining');
  const join1 = ['join', 'phase', 'certificates', 'https://127.0.0.1:2379', ...hostFlags(joining)];
  await refused(/there is no .*ca\.crt: copy ca\.crt and ca\.key there from a member/, ...join1);
  mkdirSync(join(joining, 'etc/etcd/pki'), { recursive: true });
  writeFileSync(join(joining, 'etc/etcd/pki/ca.crt'), readFileSync(pki('ca.crt')));
  await refused(/server can not be made: there is no key of the authority at .*ca\.key/, ...join1);
  writeFileSync(join(joining, 'etc/etcd/pki/ca.key'), readFileSync(pki('server.key')));
  await refused(/ca\.key is not the key of .*ca\.crt/, ...join1);
  writeFileSync(join(joining, 'etc/etcd/pki/ca.crt'), 'nonsense');
  await refused(/ca\.crt is not what its name says/, ...join1);
});

test('a unit and its variables are those of the host, and nothing that has a use already is written over', async () => {
  const rootfs = join(root, 'unit');
  await good(...phase(rootfs, 'configure', '--disk-priorities=Nice=-5'));
  const path = join(rootfs, 'etc/etcd/etcd.env');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const variables = readFileSync(path, 'utf8');
  for (const line of [
    'ETCD_NAME=infra0',
    'ETCD_INITIAL_CLUSTER=infra0=https://127.0.0.1:2380',
    'ETCD_INITIAL_CLUSTER_STATE=new',
    'ETCD_LISTEN_CLIENT_URLS=https://127.0.0.1:2379',
    'ETCD_CLIENT_CERT_AUTH=true',
    'ETCD_PEER_CLIENT_CERT_AUTH=true',
    'ETCD_PEER_TRUSTED_CA_FILE=/etc/etcd/pki/ca.crt',
    'ETCD_DATA_DIR=/var/lib/etcd',
    'ETCD_STRICT_RECONFIG_CHECK=true',
  ]) {
    assert.ok(variables.split('\n').includes(line), `${line}\n${variables}`);
  }
  const token = /^ETCD_INITIAL_CLUSTER_TOKEN=([0-9a-f]{8})$/m.exec(variables)?.[1];
  assert.ok(token);
  const unit = readFileSync(join(rootfs, 'etc/systemd/system/etcd.service'), 'utf8');
  for (const line of [
    'Type=notify',
    'TimeoutStartSec=0',
    'ExecStart=/opt/bin/etcd',
    'Nice=-5',
    'LimitNOFILE=65536',
  ]) {
    assert.ok(unit.split('\n').includes(line), unit);
  }
  const tokenNow = (): string => /TOKEN=(.*)$/m.exec(readFileSync(path, 'utf8'))![1]!;
  // What has no data was never founded: what is founded now must not be taken for it.
  await good(...phase(rootfs, 'configure'));
  assert.notEqual(tokenNow(), token);
  await refused(/another root can not be started/, ...phase(rootfs, 'start'));
  await good(...phase(rootfs, 'etcdctl'));
  rmSync(join(rootfs, 'var/lib/etcd'), { recursive: true, force: true });
  await refused(
    /a member has run on this host, and \/var\/lib\/etcd is empty/,
    ...phase(rootfs, 'configure'),
  );
  const data = join(rootfs, 'var/lib/etcd');
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'precious'), 'data');
  const between = tokenNow();
  assert.match(await good(...phase(rootfs, 'configure')), /Going on with what an earlier run has begun/);
  assert.equal(tokenNow(), between);
  rmSync(path);
  await refused(/\/var\/lib\/etcd is not empty: .* --remove-data/, ...phase(rootfs, 'configure'));
  assert.ok(existsSync(join(data, 'precious')) && !existsSync(path));
});

test('a snapshot that can not be used costs no data, whatever may be deleted', async () => {
  const rootfs = join(root, 'snapshot');
  const data = join(rootfs, 'var/lib/etcd');
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'precious'), 'data');
  const broken = join(root, 'broken.db');
  writeFileSync(broken, 'x'.repeat(1000));
  for (const path of [broken, join(root, 'nowhere.db'), root]) {
    await refused(
      /^Error: \[snapshot\] .* can not be used: /,
      ...phase(rootfs, 'snapshot', `--snapshot=${path}`, '--remove-data'),
    );
  }
  assert.ok(existsSync(join(data, 'precious')));
  assert.ok(!existsSync(join(rootfs, 'etc')));
});

test('a kubelet gets a static pod with the same variables', async () => {
  const rootfs = join(root, 'kubelet');
  const flags = ['--init-system=kubelet', '--version=3.7.1'];
  await good(...phase(rootfs, 'install', ...flags));
  await good(...phase(rootfs, 'start', ...flags));
  const text = readFileSync(join(rootfs, 'etc/kubernetes/manifests/etcd.manifest'), 'utf8');
  const pod = parse(text) as {
    spec: { hostNetwork: boolean; containers: { image: string; env: { name: string; value: string }[] }[] };
  };
  const [container] = pod.spec.containers;
  assert.equal(container!.image, 'quay.io/coreos/etcd:v3.7.1');
  assert.equal(pod.spec.hostNetwork, true);
  const env = new Map(container!.env.map(({ name, value }) => [name, value]));
  assert.equal(env.get('ETCD_DATA_DIR'), '/var/lib/etcd');
  assert.equal(env.get('ETCD_CERT_FILE'), '/etc/etcd/pki/server.crt');
  assert.equal(statSync(join(rootfs, 'var/lib/etcd')).mode & 0o777, 0o700);
  const reset = await good('reset', '--skip-remove-member', ...hostFlags(rootfs), '--init-system=kubelet');
  assert.match(reset, /Stopped static pod \/etc\/kubernetes\/manifests\/etcd\.manifest/);
  assert.ok(existsSync(join(rootfs, 'var/lib/etcd')));
});

test('what can not be is told in one line', async () => {
  const rootfs = join(root, 'mistakes');
  const flags = ['--rootfs', rootfs];
  const init = (...words: string[]): string[] => ['init', 'phase', 'configure', ...flags, ...words];
  await refused(/invalid bind address "nowhere": invalid ip format/, ...init('--bind-address=nowhere'));
  await refused(
    /invalid bind address 192\.0\.2\.7: not found in system interfaces/,
    ...init('--bind-address=192.0.2.7'),
  );
  await refused(/can not be called "a=b"/, ...init('--name=a=b', '--bind-address=127.0.0.1'));
  await refused(/can not be called "a\\nb"/, ...init('--name=a\nb', '--bind-address=127.0.0.1'));
  await refused(
    /--data-dir takes an absolute path, not "data"/,
    ...init('--data-dir=data', '--bind-address=127.0.0.1'),
  );
  await refused(
    /--data-dir takes an absolute path, not "\/"/,
    ...init('--data-dir=/', '--bind-address=127.0.0.1'),
  );
  await refused(
    /--data-dir can not have/,
    ...init('--data-dir=/a\nExecStart=/b', '--bind-address=127.0.0.1'),
  );
  await refused(
    /init system "upstart" is neither/,
    ...init('--init-system=upstart', '--bind-address=127.0.0.1'),
  );
  await refused(
    /"a b" is neither a name nor an address/,
    ...init('--server-cert-extra-sans=a b', '--bind-address=127.0.0.1'),
  );
  await refused(
    /disk priority "nonsense" is no setting/,
    ...init('--disk-priorities=nonsense', '--bind-address=127.0.0.1'),
  );
  await refused(
    /endpoint "10\.0\.0\.1" is not the URL of a member/,
    'join',
    '10.0.0.1',
    ...flags,
    '--bind-address=127.0.0.1',
  );
  await refused(
    /endpoint "http:\/\/a:2379" is not the URL/,
    'join',
    'http://a:2379',
    ...flags,
    '--bind-address=127.0.0.1',
  );
  await refused(/there is no certificate of a client in/, 'info', ...hostFlags(rootfs));
  assert.ok(!existsSync(rootfs));
});

const GIVEN: GivenSettings = {
  name: '',
  bindAddress: '',
  certsDir: '/etc/etcd/pki',
  dataDir: '/var/lib/etcd',
  installDir: '/opt/bin',
  podDir: '/etc/kubernetes/manifests',
  initSystem: 'systemd',
  extraNames: [],
  diskPriorities: [],
  imageRepository: 'quay.io/coreos/etcd',
  version: 'v3.7.1',
  rootfs: '',
};

test('what is not given is asked of the host', () => {
  const host = { hostName: 'machine', address: 'fd00::7', addresses: [], cpus: 2 };
  const { name, peerUrl, clientUrl, image } = settingsOf(GIVEN, host);
  assert.deepEqual(
    [name, peerUrl, clientUrl, image],
    ['machine', 'https://[fd00::7]:2380', 'https://[fd00::7]:2379', 'quay.io/coreos/etcd:v3.7.1'],
  );
  assert.throws(() => settingsOf(GIVEN, { ...host, address: null }), /no interface leads out of this host/);
});

test('who joins keeps its own data, is not given an empty place where it has voted, and deletes nothing unasked', () => {
  const started = new Member({ id: 7n, name: 'm', peerUrls: ['https://m:2380'] });
  const unstarted = new Member({ id: 7n, peerUrls: ['https://m:2380'] });
  const empty = { kind: 'empty' } as const;
  const used = (memberId: bigint, clusterId: bigint) =>
    ({ kind: 'used', identity: { memberId, clusterId } }) as const;
  const foreign = { kind: 'used', identity: null } as const;
  for (const [own, data, mayRemove, expected] of [
    [null, empty, false, 'add'],
    [null, used(3n, 9n), false, /has the data of member 3 of cluster 9/],
    [null, foreign, false, /is not empty/],
    [null, foreign, true, 'add'],
    [unstarted, empty, false, 'go-on'],
    [unstarted, used(7n, 1n), false, 'go-on'],
    [unstarted, used(7n, 2n), false, /has the data of member 7 of cluster 2/],
    [unstarted, used(3n, 1n), true, 'go-on'],
    [started, used(7n, 1n), false, 'go-on'],
    [started, empty, false, /its data are not here: etcdadm member replace m first/],
    [started, empty, true, /its data are not here/],
    [started, used(3n, 1n), true, /its data are not here/],
  ] as const) {
    const decided = decideJoin(own, data, 1n, mayRemove);
    if (typeof expected === 'string') assert.equal(decided, expected);
    else assert.match((decided as { problem: string }).problem, expected);
  }
});

test('a member is only removed from a cluster that can do without it', async () => {
  for (const [voters, down, leaving, expected] of [
    [1, [], 'm1', /only voting member/],
    [2, [], 'm2', null],
    [3, [], 'm1', null],
    [3, ['m3'], 'm3', null],
    [3, ['m3'], 'm1', /of the other 2 1 are healthy and 2 are needed \(m3 down\)/],
    [5, ['m4', 'm5'], 'm4', null],
    [5, ['m4', 'm5'], 'm1', /of the other 4 2 are healthy and 3 are needed/],
  ] as const) {
    const cluster = new FakeCluster(voters);
    for (const name of down) cluster.at(name).isUp = false;
    const { all } = await knownCluster(cluster);
    const problem = removalProblem(all, cluster.at(leaving).member.id);
    if (expected === null) assert.equal(problem, null);
    else assert.match(problem ?? '', expected);
  }
  const cluster = new FakeCluster(3);
  cluster.at('m2').errors = ['memberID:2 alarm:CORRUPT '];
  const { all } = await knownCluster(cluster);
  assert.equal(removalProblem(all, 2n), null);
  assert.match(removalProblem(all, 1n) ?? '', /m2 has the alarm CORRUPT/);
});

test('a learner gets its vote when it is in sync, and whoever waits hears why it has none', async () => {
  const cluster = new FakeCluster(3);
  const id = await cluster.addLearner(['https://new:2380']);
  const lines: string[] = [];
  const promotion = {
    title: 'new',
    timeoutMs: 0,
    whereToLook: 'look there',
    signal: new AbortController().signal,
    say: (line: string) => lines.push(line),
    pollMs: 0,
  };
  await assert.rejects(
    promoteWhenReady(cluster, id, promotion),
    /new is a learner still: it has not started; look there/,
  );
  cluster.startLearners('new');
  cluster.at('new').isInSync = false;
  await assert.rejects(
    promoteWhenReady(cluster, id, promotion),
    /in sync with leader; look there; run it again to go on/,
  );
  cluster.at('new').isInSync = true;
  await promoteWhenReady(cluster, id, promotion);
  await promoteWhenReady(cluster, id, promotion);
  assert.deepEqual(lines, ['new has a vote', 'new has a vote']);
  assert.deepEqual(cluster.changes, ['add', 'promote']);
  await cluster.remove(id);
  await assert.rejects(promoteWhenReady(cluster, id, promotion), /was removed meanwhile/);
});

test('who comes names every member, those without a name too', () => {
  const members = [
    new Member({ id: 1n, name: 'a', peerUrls: ['https://a:1', 'https://a:2'] }),
    new Member({ id: 0xabn, peerUrls: ['https://b:1'] }),
    new Member({ id: 3n, peerUrls: ['https://c:1'] }),
  ];
  assert.equal(initialMembers(members, 3n, 'c'), 'a=https://a:1,a=https://a:2,ab=https://b:1,c=https://c:1');
});

test('a member is printed with its whole id', () => {
  const member = new Member({
    id: 0xfd422379fda50e48n,
    name: 'm',
    peerUrls: ['https://m:2380'],
    clientUrls: ['https://m:2379'],
  });
  assert.equal(
    memberJson(member),
    `{
  "ID": 18249187646912138824,
  "name": "m",
  "peerURLs": [
    "https://m:2380"
  ],
  "clientURLs": [
    "https://m:2379"
  ]
}`,
  );
});
