/**
 * The command lines with which kubeadm starts the etcd of a control plane, in the spellings of its releases, each with every flag that it
 * passes, and the probes that go with them. The server is found healthy by the probes, and its successor goes on with the same data.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { eventually, Running, run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

const NAME = 'control-plane';
const HOST = '127.0.0.1';

/** What changed from release to release. */
const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  '1.22 to 1.30': ['--experimental-initial-corrupt-check=true', '--snapshot-count=10000'],
  '1.31 to 1.33': [
    '--experimental-initial-corrupt-check=true',
    '--experimental-watch-progress-notify-interval=5s',
    '--snapshot-count=10000',
  ],
  '1.34 to 1.36': ['--feature-gates=InitialCorruptCheck=true', '--watch-progress-notify-interval=5s'],
};

interface Pod {
  readonly clientPort: number;
  readonly peerPort: number;
  readonly metricsPort: number;
  readonly dataDir: string;
  readonly pki: string;
}

async function planPod(): Promise<Pod> {
  const directory = temporaryDirectory();
  const pki = join(directory, 'pki');
  const authority = await TestAuthority.create(pki, 'ca');
  await authority.issue('server', { hosts: [HOST, 'localhost', NAME] });
  await authority.issue('peer', { hosts: [HOST, 'localhost', NAME] });
  await authority.issue('healthcheck-client', { commonName: 'kube-etcd-healthcheck-client' });
  return {
    clientPort: await freePort(),
    peerPort: await freePort(),
    metricsPort: await freePort(),
    dataDir: join(directory, 'data'),
    pki,
  };
}

function commandLine({ clientPort, peerPort, metricsPort, dataDir, pki }: Pod): string[] {
  return [
    `--advertise-client-urls=https://${HOST}:${clientPort}`,
    `--cert-file=${pki}/server.pem`,
    '--client-cert-auth=true',
    `--data-dir=${dataDir}`,
    `--initial-advertise-peer-urls=https://${HOST}:${peerPort}`,
    `--initial-cluster=${NAME}=https://${HOST}:${peerPort}`,
    `--key-file=${pki}/server-key.pem`,
    `--listen-client-urls=https://${HOST}:${clientPort}`,
    `--listen-metrics-urls=http://${HOST}:${metricsPort}`,
    `--listen-peer-urls=https://${HOST}:${peerPort}`,
    `--name=${NAME}`,
    `--peer-cert-file=${pki}/peer.pem`,
    '--peer-client-cert-auth=true',
    `--peer-key-file=${pki}/peer-key.pem`,
    `--peer-trusted-ca-file=${pki}/ca.pem`,
    `--trusted-ca-file=${pki}/ca.pem`,
  ];
}

/** As the kubelet asks, in the manifests of all these releases. */
const PROBES = [
  '/health?exclude=NOSPACE&serializable=true',
  '/health?serializable=false',
  '/livez',
  '/readyz',
];

async function isHealthy({ metricsPort }: Pod): Promise<true | null> {
  for (const path of PROBES) {
    const answer = await fetch(`http://${HOST}:${metricsPort}${path}`).catch(() => null);
    if (answer?.status !== 200) return null;
  }
  return true;
}

async function withPod(pod: Pod, spelling: string, work: () => Promise<void>): Promise<void> {
  const args = [...commandLine(pod), ...SPELLINGS[spelling]!];
  const checked = await run(SUBJECT, ['--check-config', ...args]);
  assert.equal(checked.code, 0, checked.stderr);
  const server = new Running(SUBJECT, args, { timeoutMs: 120_000 });
  try {
    await eventually('the probes of the kubelet succeed', () => isHealthy(pod));
    await work();
  } finally {
    server.kill();
    const { stderr } = await server.ended;
    assert.doesNotMatch(stderr, /"level":"(error|fatal)"/);
  }
}

function ctl({ clientPort, pki }: Pod, ...args: string[]): Promise<string> {
  const files = ['cert=healthcheck-client.pem', 'key=healthcheck-client-key.pem', 'cacert=ca.pem'];
  const flags = files.map((file) => `--${file.replace('=', `=${pki}/`)}`);
  return run(peer('3.5', 'etcdctl'), [`--endpoints=https://${HOST}:${clientPort}`, ...flags, ...args]).then(
    ({ code, stdout, stderr }) => {
      assert.equal(code, 0, stderr);
      return stdout;
    },
  );
}

test(
  'each release of kubeadm starts it, and an upgrade goes on with its data',
  needs('etcd 3.5'),
  async () => {
    const pod = await planPod();
    const written: string[] = [];
    for (const spelling of Object.keys(SPELLINGS)) {
      await withPod(pod, spelling, async () => {
        await ctl(pod, 'put', `/registry/${spelling}`, 'x');
        written.push(`/registry/${spelling}`);
        const keys = (await ctl(pod, 'get', '/registry/', '--prefix', '--keys-only'))
          .split('\n')
          .filter(Boolean);
        assert.deepEqual(keys.sort(), written.toSorted());
      });
    }
  },
);
