/**
 * The page "Set up a high availability etcd cluster with kubeadm", command by command, on three hosts: network namespaces, each with an
 * `/etc` and a `/var/lib` of its own. What the kubelet does, which is to run the static pod, is done here.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { Host } from '../../support/host.ts';
import { Namespaces, needsNamespaces } from '../../support/namespaces.ts';
import { needs, peer, ROOT, SUBJECT } from '../../support/programs.ts';
import { type Ended, eventually, Running, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOSTS = 3;
const POD_MS = 600_000;
const WITHOUT_AUTHORITY_KEY = [
  'kubeadmcfg.yaml',
  'pki/apiserver-etcd-client.crt',
  'pki/apiserver-etcd-client.key',
  'pki/etcd/ca.crt',
  'pki/etcd/healthcheck-client.crt',
  'pki/etcd/healthcheck-client.key',
  'pki/etcd/peer.crt',
  'pki/etcd/peer.key',
  'pki/etcd/server.crt',
  'pki/etcd/server.key',
];

interface Pod {
  readonly spec: { readonly containers: readonly { readonly command: readonly string[] }[] };
}

/** The file that the page writes for a host. */
function configuration(name: string, address: string, cluster: string): string {
  return `apiVersion: "kubeadm.k8s.io/v1beta2"
kind: ClusterConfiguration
etcd:
    local:
        serverCertSANs:
        - "${address}"
        peerCertSANs:
        - "${address}"
        extraArgs:
            initial-cluster: ${cluster}
            initial-cluster-state: new
            name: ${name}
            listen-peer-urls: https://${address}:2380
            listen-client-urls: https://${address}:2379
            advertise-client-urls: https://${address}:2379
            initial-advertise-peer-urls: https://${address}:2380
`;
}

function tree(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

const requirements = { ...needs('etcd 3.7', 'iproute2', 'curl'), ...needsNamespaces() };

test('three hosts, set up as the page on kubeadm says, make a cluster', requirements, async () => {
  const namespaces = new Namespaces(HOSTS);
  const pods: Running[] = [];
  try {
    const programs = temporaryDirectory();
    symlinkSync(`${ROOT}bin/etcdadm`, join(programs, 'kubeadm'));
    const hosts = Array.from({ length: HOSTS }, (_, i) => {
      const { host, launcher } = namespaces.place(i);
      return new Host(host!, launcher!, programs);
    });
    const scratch = temporaryDirectory();
    const cluster = hosts.map(({ address }, i) => `infra${i}=https://${address}:2380`).join();
    for (const [i, { address }] of hosts.entries()) {
      mkdirSync(join(scratch, address));
      writeFileSync(join(scratch, address, 'kubeadmcfg.yaml'), configuration(`infra${i}`, address, cluster));
    }
    await makeCertificates(hosts, scratch);
    for (const [i, { address }] of hosts.entries()) {
      const expected = i === 0 ? [...WITHOUT_AUTHORITY_KEY, 'pki/etcd/ca.key'].sort() : WITHOUT_AUTHORITY_KEY;
      assert.deepEqual(tree(join(scratch, address)), expected);
    }
    for (const [i, host] of hosts.entries()) {
      await bringPod(host, join(scratch, host.address));
      // Whoever made the program, the pod is the same.
      pods.push(startPod(host, i === 1 ? peer('3.7', 'etcd') : SUBJECT));
    }
    await assertServes(hosts);
  } catch (error) {
    for (const pod of pods) console.error(pod.stderr.slice(-2000));
    throw error;
  } finally {
    for (const pod of pods) pod.kill('SIGKILL');
    await Promise.all(pods.map((pod) => pod.ended));
    namespaces.remove();
  }
});

/** On the first host, for all of them, the last one first. */
async function makeCertificates([first, ...others]: readonly Host[], scratch: string): Promise<void> {
  const [host1, host2] = others;
  // A machine is on a network that leads somewhere.
  const gateway = first!.address.replace(/\.\d+$/, '.1');
  const env = { HOST0: first!.address, HOST1: host1!.address, HOST2: host2!.address, TMP: scratch };
  await first!.run(`ip route add default via ${gateway}`);
  assert.match(
    await first!.run('kubeadm init phase certs etcd-ca'),
    /^\[certs\] Generating "etcd\/ca" certificate and key\n$/,
  );
  for (const host of ['HOST2', 'HOST1', 'HOST0']) {
    const output = await first!.run(
      `kubeadm init phase certs etcd-server --config=$TMP/\${${host}}/kubeadmcfg.yaml
       kubeadm init phase certs etcd-peer --config=$TMP/\${${host}}/kubeadmcfg.yaml
       kubeadm init phase certs etcd-healthcheck-client --config=$TMP/\${${host}}/kubeadmcfg.yaml
       kubeadm init phase certs apiserver-etcd-client --config=$TMP/\${${host}}/kubeadmcfg.yaml
       cp -R /etc/kubernetes/pki $TMP/\${${host}}/`,
      env,
    );
    assert.equal(output.match(/Generating/g)?.length, 4, output);
    // Nothing but the authority stays, and nothing but that is needed for the next.
    if (host !== 'HOST0') {
      await first!.run('find /etc/kubernetes/pki -not -name ca.crt -not -name ca.key -type f -delete');
      await first!.run(`find $TMP/\${${host}} -name ca.key -type f -delete`, env);
    }
  }
}

/** The directory goes to the host, and the host makes its pod. */
async function bringPod(host: Host, directory: string): Promise<void> {
  mkdirSync(host.path('etc/kubernetes'), { recursive: true });
  cpSync(join(directory, 'pki'), host.path('etc/kubernetes/pki'), { recursive: true });
  const gateway = host.address.replace(/\.\d+$/, '.1');
  await host.run(`ip route replace default via ${gateway}`);
  const made = await host.run(`kubeadm init phase etcd local --config=${directory}/kubeadmcfg.yaml`);
  assert.match(made, /Creating static Pod manifest for local etcd in "\/etc\/kubernetes\/manifests"\n$/);
  assert.equal(statSync(host.path('etc/kubernetes/manifests/etcd.yaml')).mode & 0o777, 0o600);
  assert.equal(statSync(host.path('lib/etcd')).mode & 0o777, 0o700);
}

function startPod(host: Host, program: string): Running {
  const pod = parse(readFileSync(host.path('etc/kubernetes/manifests/etcd.yaml'), 'utf8')) as Pod;
  const [, ...flags] = pod.spec.containers[0]!.command;
  // As long as the test takes, however busy the machine is.
  return new Running(...host.command(program, ...flags), { timeoutMs: POD_MS });
}

async function assertServes(hosts: readonly Host[]): Promise<void> {
  const certificates = hosts[0]!.path('etc/kubernetes/pki/etcd');
  const flags = [
    `--cert=${certificates}/healthcheck-client.crt`,
    `--key=${certificates}/healthcheck-client.key`,
    `--cacert=${certificates}/ca.crt`,
    `--endpoints=${hosts.map(({ address }) => `https://${address}:2379`).join()}`,
  ];
  const ctl = (...args: string[]): Promise<Ended> => run(peer('3.7', 'etcdctl'), [...flags, ...args]);
  await eventually('all members are healthy', async () => {
    const { code } = await ctl('endpoint', 'health', '--cluster');
    return code === 0 ? true : null;
  });
  assert.equal((await ctl('put', 'greeting', 'hello')).stdout, 'OK\n');
  const members = (await ctl('member', 'list')).stdout;
  assert.equal(members.match(/, started, infra[012], /g)?.length, HOSTS);
  for (const host of hosts) {
    for (const probe of ['livez', 'readyz']) {
      assert.match(await host.run(`curl -sSf http://127.0.0.1:2381/${probe}`), /ok/);
    }
  }
  // Nobody without a certificate is let in.
  const stranger = await run(peer('3.7', 'etcdctl'), [
    flags[2]!,
    flags[3]!,
    '--command-timeout=2s',
    'get',
    'greeting',
  ]);
  assert.notEqual(stranger.code, 0);
}
