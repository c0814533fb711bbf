/**
 * The page "Set up a high availability etcd cluster with kubeadm", command by command as it stands there, on three hosts: network namespaces with the
 * page's addresses, each with an `/etc`, `/home`, `/tmp` and `/var/lib` of its own. The kubelet's part, which is to run the static pod, is done here, and
 * `systemctl`, `scp` and `docker` are stand-ins.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { Host } from '../../support/host.ts';
import { Namespaces, needsNamespaces } from '../../support/namespaces.ts';
import { needs, peer, ROOT, SUBJECT } from '../../support/programs.ts';
import { eventually, Running } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOSTS = 3;
const POD_MS = 600_000;
const DROP_IN = '/etc/systemd/system/kubelet.service.d/20-etcd-service-manager.conf';
const VARIABLES = `export HOST0=10.0.0.6
export HOST1=10.0.0.7
export HOST2=10.0.0.8
`;

const KUBELET = `cat << EOF > ${DROP_IN}
[Service]
ExecStart=
ExecStart=/usr/bin/kubelet --address=127.0.0.1 --pod-manifest-path=/etc/kubernetes/manifests --cgroup-driver=systemd
Restart=always
EOF

systemctl daemon-reload
systemctl restart kubelet
`;

const CONFIGURATIONS = `${VARIABLES}
mkdir -p /tmp/\${HOST0}/ /tmp/\${HOST1}/ /tmp/\${HOST2}/

ETCDHOSTS=(\${HOST0} \${HOST1} \${HOST2})
NAMES=("infra0" "infra1" "infra2")

for i in "\${!ETCDHOSTS[@]}"; do
HOST=\${ETCDHOSTS[$i]}
NAME=\${NAMES[$i]}
cat << EOF > /tmp/\${HOST}/kubeadmcfg.yaml
apiVersion: "kubeadm.k8s.io/v1beta2"
kind: ClusterConfiguration
etcd:
    local:
        serverCertSANs:
        - "\${HOST}"
        peerCertSANs:
        - "\${HOST}"
        extraArgs:
            initial-cluster: \${NAMES[0]}=https://\${ETCDHOSTS[0]}:2380,\${NAMES[1]}=https://\${ETCDHOSTS[1]}:2380,\${NAMES[2]}=https://\${ETCDHOSTS[2]}:2380
            initial-cluster-state: new
            name: \${NAME}
            listen-peer-urls: https://\${HOST}:2380
            listen-client-urls: https://\${HOST}:2379
            advertise-client-urls: https://\${HOST}:2379
            initial-advertise-peer-urls: https://\${HOST}:2380
EOF
done
`;

const CERTIFICATES = `${VARIABLES}
kubeadm init phase certs etcd-server --config=/tmp/\${HOST2}/kubeadmcfg.yaml
kubeadm init phase certs etcd-peer --config=/tmp/\${HOST2}/kubeadmcfg.yaml
kubeadm init phase certs etcd-healthcheck-client --config=/tmp/\${HOST2}/kubeadmcfg.yaml
kubeadm init phase certs apiserver-etcd-client --config=/tmp/\${HOST2}/kubeadmcfg.yaml
cp -R /etc/kubernetes/pki /tmp/\${HOST2}/
# cleanup non-reusable certificates
find /etc/kubernetes/pki -not -name ca.crt -not -name ca.key -type f -delete

kubeadm init phase certs etcd-server --config=/tmp/\${HOST1}/kubeadmcfg.yaml
kubeadm init phase certs etcd-peer --config=/tmp/\${HOST1}/kubeadmcfg.yaml
kubeadm init phase certs etcd-healthcheck-client --config=/tmp/\${HOST1}/kubeadmcfg.yaml
kubeadm init phase certs apiserver-etcd-client --config=/tmp/\${HOST1}/kubeadmcfg.yaml
cp -R /etc/kubernetes/pki /tmp/\${HOST1}/
find /etc/kubernetes/pki -not -name ca.crt -not -name ca.key -type f -delete

kubeadm init phase certs etcd-server --config=/tmp/\${HOST0}/kubeadmcfg.yaml
kubeadm init phase certs etcd-peer --config=/tmp/\${HOST0}/kubeadmcfg.yaml
kubeadm init phase certs etcd-healthcheck-client --config=/tmp/\${HOST0}/kubeadmcfg.yaml
kubeadm init phase certs apiserver-etcd-client --config=/tmp/\${HOST0}/kubeadmcfg.yaml
# No need to move the certs because they are for HOST0

# clean up certs that should not be copied off this host
find /tmp/\${HOST2} -name ca.key -type f -delete
find /tmp/\${HOST1} -name ca.key -type f -delete
`;

const TREE = [
  'apiserver-etcd-client.crt',
  'apiserver-etcd-client.key',
  'etcd/ca.crt',
  'etcd/healthcheck-client.crt',
  'etcd/healthcheck-client.key',
  'etcd/peer.crt',
  'etcd/peer.key',
  'etcd/server.crt',
  'etcd/server.key',
];

const HEALTH = `docker run --rm -it \\
--net host \\
-v /etc/kubernetes:/etc/kubernetes k8s.gcr.io/etcd:\${ETCD_TAG} etcdctl \\
--cert /etc/kubernetes/pki/etcd/peer.crt \\
--key /etc/kubernetes/pki/etcd/peer.key \\
--cacert /etc/kubernetes/pki/etcd/ca.crt \\
--endpoints https://\${HOST0}:2379 endpoint health --cluster
`;

/** What they do is what the page expects of them. */
const STAND_INS = {
  systemctl: '#!/bin/sh\necho "$@" >> /var/lib/systemctl.log\n',
  scp: `#!/bin/bash
to="\${@: -1}"
to=/home/sent/\${to%:}
mkdir -p "$to"
cp "\${@:1:$#-1}" "$to"
`,
  docker: `#!/bin/bash
[ "$1 $2 $3 $4 $5 $6" = "run --rm -it --net host -v" ] || exit 1
echo "$8" | grep -qE '^k8s\\.gcr\\.io/etcd:3\\.4\\.3-0$' || { echo "no image $8" >&2; exit 1; }
shift 8
exec "$@"
`,
};

interface Pod {
  readonly spec: { readonly containers: readonly { readonly command: readonly string[] }[] };
}

const requirements = { ...needs('etcd 3.7', 'iproute2', 'curl'), ...needsNamespaces() };

test('three hosts, set up as the page on kubeadm says, make a cluster', requirements, async (t) => {
  const hosts = await makeHosts(t);
  const [first, ...others] = hosts;
  for (const host of hosts) {
    await host.run(KUBELET);
    assert.equal(readFileSync(host.path('lib/systemctl.log'), 'utf8'), 'daemon-reload\nrestart kubelet\n');
    assert.match(readFileSync(host.path(DROP_IN), 'utf8'), /^ExecStart=\nExecStart=\/usr\/bin\/kubelet /m);
  }
  await first!.run(CONFIGURATIONS);
  assert.match(
    await first!.run('kubeadm init phase certs etcd-ca'),
    /^\[certs\] Generating "etcd\/ca" certificate and key\n$/,
  );
  assert.equal((await first!.run(CERTIFICATES)).match(/Generating/g)?.length, 12);
  for (const host of others) await bringTo(first!, host);
  await assertTrees(hosts);
  const pods = await runPods(t, hosts);
  await assertServes(hosts).catch((error: unknown) => {
    for (const pod of pods) console.error(pod.stderr.slice(-2000));
    throw error;
  });
});

/** Ended and removed with the test. */
async function makeHosts(t: TestContext): Promise<Host[]> {
  const network = new Running('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep infinity'], {
    timeoutMs: POD_MS,
  });
  await network.waitForStdout((text) => text.includes('ready'));
  const namespaces = new Namespaces(HOSTS, { subnet: '10.0.0', firstHost: 6, within: network.pid });
  t.after(async () => {
    namespaces.remove();
    network.kill('SIGKILL');
    await network.ended;
  });
  const programs = temporaryDirectory();
  symlinkSync(`${ROOT}bin/etcdadm`, join(programs, 'kubeadm'));
  symlinkSync(`${ROOT}bin/etcdctl`, join(programs, 'etcdctl'));
  for (const [name, text] of Object.entries(STAND_INS)) {
    writeFileSync(join(programs, name), text, { mode: 0o755 });
  }
  const hosts = Array.from({ length: HOSTS }, (_, i) => {
    const { host, launcher } = namespaces.place(i);
    return new Host(host!, launcher!, programs, true);
  });
  for (const host of hosts) {
    // As the packages of a kubelet leave a host that is on a network.
    for (const path of ['etc/systemd/system/kubelet.service.d', 'etc/kubernetes/manifests', 'home/ubuntu']) {
      mkdirSync(host.path(path), { recursive: true });
    }
    await host.run('ip route add default via 10.0.0.1');
  }
  return hosts;
}

async function bringTo(from: Host, to: Host): Promise<void> {
  await from.run(`scp -r /tmp/\${HOST}/* \${USER}@\${HOST}:`, {
    USER: 'ubuntu',
    HOST: to.address,
  });
  cpSync(from.path(`home/sent/ubuntu@${to.address}`), to.path('home/ubuntu'), { recursive: true });
  await to.run('cd /home/ubuntu\nchown -R root:root pki\nmv pki /etc/kubernetes/');
}

async function assertTrees(hosts: readonly Host[]): Promise<void> {
  for (const [i, host] of hosts.entries()) {
    const list = 'cd /etc/kubernetes/pki && find . -type f | cut -c3- | LC_ALL=C sort';
    const found = (await host.run(list)).trim();
    const expected = i === 0 ? [...TREE, 'etcd/ca.key'].sort() : TREE;
    assert.deepEqual(found.split('\n'), expected);
    const verified = await host.run(
      'cd /etc/kubernetes/pki && openssl verify -CAfile etcd/ca.crt etcd/server.crt etcd/peer.crt etcd/healthcheck-client.crt apiserver-etcd-client.crt',
    );
    assert.equal(verified.match(/: OK$/gm)?.length, 4, verified);
  }
}

async function runPods(t: TestContext, hosts: readonly Host[]): Promise<Running[]> {
  const pods: Running[] = [];
  t.after(async () => {
    for (const pod of pods) pod.kill('SIGKILL');
    await Promise.all(pods.map(({ ended }) => ended));
  });
  for (const [i, host] of hosts.entries()) {
    const config = i === 0 ? '/tmp/$HOST0/kubeadmcfg.yaml' : '/home/ubuntu/kubeadmcfg.yaml';
    const made = await host.run(`${VARIABLES}kubeadm init phase etcd local --config=${config}`);
    assert.match(made, /Creating static Pod manifest for local etcd in "\/etc\/kubernetes\/manifests"\n$/);
    const path = host.path('etc/kubernetes/manifests/etcd.yaml');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(host.path('lib/etcd')).mode & 0o777, 0o700);
    const [, ...flags] = (parse(readFileSync(path, 'utf8')) as Pod).spec.containers[0]!.command;
    // Whoever made the program, the pod is the same. It runs as long as the test takes, however busy the machine is.
    const program = i === 1 ? peer('3.7', 'etcd') : SUBJECT;
    pods.push(new Running(...host.command(program, ...flags), { timeoutMs: POD_MS }));
  }
  return pods;
}

async function assertServes(hosts: readonly Host[]): Promise<void> {
  const [first] = hosts;
  const images = await first!.run('kubeadm config images list --kubernetes-version $K8S_VERSION', {
    K8S_VERSION: 'v1.17.0',
  });
  const tag = /^k8s\.gcr\.io\/etcd:(\S+)$/m.exec(images)?.[1];
  assert.equal(tag, '3.4.3-0');
  const health = await eventually('all members are healthy', async () => {
    const { code, stdout } = await first!.end(`${VARIABLES}${HEALTH}`, { ETCD_TAG: tag });
    return code === 0 && stdout.match(/is healthy/g)?.length === HOSTS ? stdout : null;
  });
  for (const { address } of hosts) {
    const line = `^https://${address.replaceAll('.', '\\.')}:2379 is healthy: successfully committed proposal: took = \\S+$`;
    assert.match(health, new RegExp(line, 'm'));
  }
  const client =
    'etcdctl --cert /etc/kubernetes/pki/apiserver-etcd-client.crt --key /etc/kubernetes/pki/apiserver-etcd-client.key --cacert /etc/kubernetes/pki/etcd/ca.crt --endpoints https://10.0.0.8:2379';
  assert.equal(await first!.run(`${client} put greeting hello`), 'OK\n');
  const members = await first!.run(`${client} member list`);
  assert.equal(members.match(/, started, infra[012], /g)?.length, HOSTS);
  for (const host of hosts) {
    for (const probe of ['livez', 'readyz']) {
      assert.match(await host.run(`curl -sSf http://127.0.0.1:2381/${probe}`), /ok/);
    }
  }
  // Nobody without a certificate is let in.
  const stranger = await first!.end(
    'etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt --endpoints https://10.0.0.6:2379 --command-timeout=2s get greeting',
  );
  assert.notEqual(stranger.code, 0);
}
