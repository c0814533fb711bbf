/** Backup and restore as OpenShift's documents have it: the blocks of docs/openshift.md, as they stand there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { needs, ROOT } from '../../support/programs.ts';
import { type Ended, eventually } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { StaticPods } from './static-pods.ts';
import { ADDRESSES, needsTestNetwork, stop, TestNetwork } from './test-network.ts';

const HOST = '10.0.0.1';
const BACKUP = '/backup';

const page = readFileSync(`${ROOT}docs/openshift.md`, 'utf8');

function block(name: string): string {
  const text = new RegExp(`^\`\`\`sh ${name}\n(.*?)^\`\`\`$`, 'ms').exec(page)?.[1];
  assert.ok(text !== undefined, `docs/openshift.md has no block ${name}`);
  return text;
}

const needed = { ...needs('age'), ...needsTestNetwork() };

/** The documents' directory has to be there for a file system to be put on it. It stays, empty: another suite may have one on it. */
if (needed.skip === undefined) mkdirSync(BACKUP, { recursive: true });

/** A host whose static pods run, with a key that is kept elsewhere. */
class PodHost {
  readonly network: TestNetwork;
  readonly pods: StaticPods;
  readonly env: Readonly<Record<string, string>>;

  private constructor(network: TestNetwork, manifests: string) {
    this.network = network;
    this.pods = new StaticPods(network, join(network.etc, manifests));
    const identity = join(temporaryDirectory(), 'key.txt');
    const { stderr } = spawnSync('age-keygen', ['-o', identity], { encoding: 'utf8' });
    this.env = { ...this.pods.env, IDENTITY: identity, RECIPIENT: /age1\w+/.exec(stderr)![0] };
  }

  static async make(manifests: string): Promise<PodHost> {
    const network = await TestNetwork.make();
    await network.ok(`mount -t tmpfs tmpfs ${BACKUP}`);
    return new PodHost(network, manifests);
  }

  run(line: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return this.network.run(`{ ${line}\n}`, { env: { ...this.env, ...env }, path: this.pods.programs });
  }

  async ok(line: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(line, env);
    assert.equal(code, 0, `${line}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Certificates of one authority, as `ca.crt`, `server.crt`, `peer.crt` and their keys. */
  async makeCertificates(directory: string): Promise<void> {
    const made = temporaryDirectory();
    const authority = await TestAuthority.create(made, 'ca');
    mkdirSync(join(this.network.etc, directory), { recursive: true });
    cpSync(authority.caFile, join(this.network.etc, directory, 'ca.crt'));
    for (const name of ['server', 'peer']) {
      const { certFile, keyFile } = await authority.issue(name, { hosts: [...ADDRESSES, '127.0.0.1'] });
      cpSync(certFile, join(this.network.etc, directory, `${name}.crt`));
      cpSync(keyFile, join(this.network.etc, directory, `${name}.key`));
    }
  }

  async serves(etcdctl: string): Promise<void> {
    await eventually('the pod serves', async () => (await this.run(`${etcdctl} endpoint health`)).code === 0);
  }

  async close(): Promise<void> {
    await this.pods.close();
    await this.network.close();
  }
}

const CONF = `ETCD_NAME=master0
ETCD_LISTEN_PEER_URLS=https://${HOST}:2380
ETCD_DATA_DIR=/var/lib/etcd/
ETCD_HEARTBEAT_INTERVAL=500
ETCD_ELECTION_TIMEOUT=2500
ETCD_LISTEN_CLIENT_URLS=https://${HOST}:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://${HOST}:2380
ETCD_INITIAL_CLUSTER=master0=https://${HOST}:2380
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_INITIAL_CLUSTER_TOKEN=etcd-cluster-1
ETCD_ADVERTISE_CLIENT_URLS=https://${HOST}:2379
ETCD_TRUSTED_CA_FILE=/etc/etcd/ca.crt
ETCD_CLIENT_CERT_AUTH="true"
ETCD_CERT_FILE=/etc/etcd/server.crt
ETCD_KEY_FILE=/etc/etcd/server.key
ETCD_PEER_TRUSTED_CA_FILE=/etc/etcd/ca.crt
ETCD_PEER_CLIENT_CERT_AUTH="true"
ETCD_PEER_CERT_FILE=/etc/etcd/peer.crt
ETCD_PEER_KEY_FILE=/etc/etcd/peer.key
ETCD_CA_FILE=/etc/etcd/ca.crt
`;

const MANIFEST = `apiVersion: v1
kind: Pod
metadata:
  name: master-etcd
  namespace: kube-system
spec:
  containers:
  - name: etcd
    image: etcd
    command: ["/bin/bash", "-c", "set -o allexport\\nsource /etc/etcd/etcd.conf\\nexec etcd\\n"]
    livenessProbe:
      exec:
        command:
        - etcdctl
        - --endpoints
        - https://${HOST}:2379
        - cluster-health
  hostNetwork: true
`;

const CERTIFICATES = '--cert /etc/etcd/peer.crt --key /etc/etcd/peer.key --cacert /etc/etcd/ca.crt';

describe('OpenShift 3.11', needed, () => {
  test('configuration and data are backed up, encrypted, and come back', async (t) => {
    const host = await PodHost.make('origin/node/pods');
    t.after(() => host.close());
    await host.makeCertificates('etcd');
    writeFileSync(join(host.network.etc, 'etcd/etcd.conf'), CONF);
    writeFileSync(join(host.network.etc, 'origin/node/pods/etcd.yaml'), MANIFEST);
    for (const line of ['etcdctl -v', 'ETCDCTL_API=3 etcdctl version']) {
      assert.match(await host.ok(line), /^etcdctl version: 3\.\d+\.\d+\nAPI version: 3\.\d+\n$/);
    }
    // The alias of /etc/profile.d/etcdctl.sh.
    const etcdctl3 = `ETCDCTL_API=3 etcdctl ${CERTIFICATES} --endpoints https://${HOST}:2379`;
    await host.serves(etcdctl3);
    await host.ok(`${etcdctl3} put kept before`);
    await host.ok(block('3-configuration'));
    await host.ok(block('3-data'));
    await host.ok(block('3-encrypt'));
    assert.match(await host.ok(`ls ${BACKUP}`), /^etcd-\d{8}\.tar\.age\n$/);
    await host.ok(`${etcdctl3} put kept after && ${etcdctl3} put lost later`);
    const before = Number(/"revision":(\d+)/.exec(await host.ok(`${etcdctl3} get kept -w json`))![1]);
    await host.ok(`echo damaged > /etc/etcd/etcd.conf && rm /etc/etcd/peer.key`);
    await host.ok(`set -e\n${block('3-restore')}`);
    await host.serves(etcdctl3);
    assert.equal(await host.ok(`${etcdctl3} get "" --prefix`), 'kept\nbefore\n');
    const restored = Number(/"revision":(\d+)/.exec(await host.ok(`${etcdctl3} get kept -w json`))![1]);
    assert.ok(restored > before + 1_000_000, `${restored}`);
    assert.equal(await host.ok(`cat /etc/etcd/etcd.conf`), CONF);
    assert.match(await host.ok(`ls ${BACKUP}`), /^etcd-\d{8}\.tar\.age\n$/);
    // What the member had before is as good as it was.
    const offline = await host.run(block('3-offline'));
    assert.equal(offline.code, 0, offline.stderr);
    assert.match(offline.stderr, /^Deprecated: Use `etcdutl backup` instead\.$/m);
    const forced = await host.network.serve(
      `etcd --data-dir ${BACKUP}/etcd-offline --force-new-cluster --listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 --listen-peer-urls http://127.0.0.1:12380`,
    );
    const found = await host.ok('etcdctl --endpoints 127.0.0.1:12379 get "" --prefix');
    assert.equal(found, 'kept\nafter\nlost\nlater\n');
    await stop(forced);
  });
});

const ENV = `export ETCD_NAME=master0
export ETCD_NODE_PEER_URL=https://${HOST}:2380
export ETCDCTL_API=3
export ETCDCTL_ENDPOINTS=https://${HOST}:2379
export ETCDCTL_CACERT=/etc/kubernetes/static-pod-resources/etcd-certs/ca.crt
export ETCDCTL_CERT=/etc/kubernetes/static-pod-resources/etcd-certs/peer.crt
export ETCDCTL_KEY=/etc/kubernetes/static-pod-resources/etcd-certs/peer.key
`;

function podManifest(name: string, command: readonly string[]): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `${name}-master0` },
    spec: { containers: [{ name, command }] },
  });
}

describe('OpenShift 4', needed, () => {
  const CERTS = '/etc/kubernetes/static-pod-resources/etcd-certs';
  const SCRIPTS = `${CERTS}/configmaps/etcd-scripts`;
  const NAMES = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'etcd'];
  const etcd = [
    'etcd',
    '--name=master0',
    '--data-dir=/var/lib/etcd',
    `--initial-cluster=master0=https://${HOST}:2380`,
    `--initial-advertise-peer-urls=https://${HOST}:2380`,
    `--listen-peer-urls=https://${HOST}:2380`,
    `--listen-client-urls=https://${HOST}:2379`,
    `--advertise-client-urls=https://${HOST}:2379`,
    ...['', 'peer-'].flatMap((kind) => [
      `--${kind}cert-file=${CERTS}/${kind === '' ? 'server' : 'peer'}.crt`,
      `--${kind}key-file=${CERTS}/${kind === '' ? 'server' : 'peer'}.key`,
      `--${kind}trusted-ca-file=${CERTS}/ca.crt`,
      `--${kind}client-cert-auth=true`,
    ]),
  ];

  async function makeHost(): Promise<PodHost> {
    const host = await PodHost.make('kubernetes/manifests');
    const { etc } = host.network;
    await host.makeCertificates('kubernetes/static-pod-resources/etcd-certs');
    mkdirSync(join(etc, SCRIPTS.slice('/etc/'.length)), { recursive: true });
    writeFileSync(join(etc, SCRIPTS.slice('/etc/'.length), 'etcd.env'), ENV);
    for (const name of NAMES) {
      for (const revision of [9, 10]) {
        const directory = join(etc, 'kubernetes/static-pod-resources', `${name}-pod-${revision}`);
        mkdirSync(directory);
        writeFileSync(join(directory, 'revision'), `${revision}\n`);
      }
      const command = name === 'etcd' ? etcd : ['sleep', 'infinity'];
      writeFileSync(join(etc, 'kubernetes/manifests', `${name}-pod.yaml`), podManifest(name, command));
    }
    for (const name of ['backup', 'restore']) {
      writeFileSync(join(etc, `cluster-${name}.sh`), block(`4-${name}`));
    }
    return host;
  }

  test('cluster-backup.sh and cluster-restore.sh bring a control plane back; what is damaged stops nothing', async (t) => {
    const host = await makeHost();
    t.after(() => host.close());
    const etcdctl = `. ${SCRIPTS}/etcd.env && etcdctl`;
    await host.serves(etcdctl);
    await host.ok(`${etcdctl} put kept before`);
    await host.ok(`bash /etc/cluster-backup.sh ${BACKUP}/assets`);
    const files = (await host.ok(`ls ${BACKUP}/assets`)).trim().split('\n');
    assert.equal(files.length, 2);
    assert.match(files[0]!, /^snapshot_\d{4}-\d\d-\d\d_\d{6}\.db\.age$/);
    assert.match(files[1]!, /^static_kuberesources_\d{4}-\d\d-\d\d_\d{6}\.tar\.gz\.age$/);
    await host.ok(`${etcdctl} put kept after`);
    const restore = `bash /etc/cluster-restore.sh ${BACKUP}`;
    const manifests = join(host.network.etc, 'kubernetes/manifests');
    // Of another key, cut off, and not there.
    const stranger = join(temporaryDirectory(), 'key.txt');
    assert.equal(spawnSync('age-keygen', ['-o', stranger]).status, 0);
    await host.ok(`cp -R ${BACKUP}/assets ${BACKUP}/cut && truncate -s -100 ${BACKUP}/cut/snapshot*`);
    for (const [place, env] of [
      ['assets', { IDENTITY: stranger }],
      ['cut', {}],
      ['absent', {}],
    ] as const) {
      assert.notEqual((await host.run(`${restore}/${place}`, env)).code, 0, place);
      assert.equal(readdirSync(manifests).length, NAMES.length);
      assert.equal(await host.ok('ls -d /var/lib/etcd*'), '/var/lib/etcd\n', 'nothing is left in the clear');
    }
    assert.equal(await host.ok(`${etcdctl} get kept --print-value-only`), 'after\n');
    await host.ok('rm -r /etc/kubernetes/static-pod-resources/etcd-pod-*');
    await host.ok(`${restore}/assets`);
    await host.serves(etcdctl);
    assert.equal(await host.ok(`${etcdctl} get "" --prefix`), 'kept\nbefore\n');
    assert.equal(await host.ok('cat /etc/kubernetes/static-pod-resources/etcd-pod-*/revision'), '10\n');
    assert.match(await host.ok('ls -d /var/lib/etcd*'), /^\/var\/lib\/etcd\n\/var\/lib\/etcd-backup-\d+\n$/);
    assert.equal(readdirSync(manifests).length, NAMES.length);
    // Nothing is backed up where a part would be missing.
    await host.ok('rm -r /etc/kubernetes/static-pod-resources/kube-scheduler-pod-*');
    const incomplete = await host.run(`bash /etc/cluster-backup.sh ${BACKUP}/incomplete`);
    assert.equal(incomplete.code, 1);
    assert.match(incomplete.stderr, /^no static pod resources of kube-scheduler$/m);
    assert.equal(await host.ok(`ls ${BACKUP}/incomplete`), '');
  });
});
