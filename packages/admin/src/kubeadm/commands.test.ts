import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runProgram } from '@etcd/host/cli';
import { NotingIo } from '@etcd/host/cli/testing';
import { parse } from 'yaml';
import { KUBEADM } from '../root.ts';
import { pullImages } from './pull-images.ts';

const root = mkdtempSync(join(tmpdir(), 'kubeadm-'));
after(() => rmSync(root, { recursive: true }));

async function kubeadm(...words: string[]): Promise<{ code: number; text: string; errors: string }> {
  const io = new NotingIo({});
  const code = await runProgram(KUBEADM, words, io);
  return { code, text: io.stdout, errors: io.stderr };
}

let files = 0;

function configFile(text: string): string {
  const path = join(root, `config-${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

/** A configuration with everything that a machine would otherwise be asked for. */
function fullConfig(etcd: string, cluster = '', version = 'v1.36.0'): string {
  return configFile(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration:
  name: Infra0
localAPIEndpoint:
  advertiseAddress: 10.0.0.6
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: ${version}
${cluster}
etcd:
${etcd}
`);
}

const LOCAL = `  local:
    serverCertSANs: ["10.0.0.6", "etcd.example.org", "*.example.org", "Not_A_Name"]
    peerCertSANs: ["fd00::1"]`;

async function make(rootfs: string, config: string, ...names: string[]): Promise<string> {
  let all = '';
  for (const name of names) {
    const { code, text, errors } = await kubeadm(
      'init',
      'phase',
      'certs',
      name,
      '--config',
      config,
      '--rootfs',
      rootfs,
    );
    assert.equal(code, 0, errors);
    all += text + errors;
  }
  return all;
}

const LEAVES = ['etcd-server', 'etcd-peer', 'etcd-healthcheck-client', 'apiserver-etcd-client'];
const pki = (rootfs: string, name: string): string => join(rootfs, 'etc/kubernetes/pki', name);

test('certificates have the names, rights, forms and modes that kubeadm gives them', async () => {
  const rootfs = join(root, 'names');
  const output = await make(rootfs, fullConfig(LOCAL), 'etcd-ca', ...LEAVES);
  assert.equal(
    output,
    `[certs] Generating "etcd/ca" certificate and key
[certs] Generating "etcd/server" certificate and key
[certs] etcd/server serving cert is signed for DNS names [*.example.org etcd.example.org infra0 localhost] and IPs [10.0.0.6 127.0.0.1 ::1]
[certificates] WARNING: "Not_A_Name" is not a valid IP or DNS name and will not be added to the serverCertSANs
[certs] Generating "etcd/peer" certificate and key
[certs] etcd/peer serving cert is signed for DNS names [infra0 localhost] and IPs [10.0.0.6 127.0.0.1 ::1 fd00::1]
[certs] Generating "etcd/healthcheck-client" certificate and key
[certs] Generating "apiserver-etcd-client" certificate and key
`,
  );
  const read = (name: string): X509Certificate =>
    new X509Certificate(readFileSync(pki(rootfs, `${name}.crt`)));
  const authority = read('etcd/ca');
  assert.equal(authority.subject, 'CN=etcd-ca');
  assert.ok(authority.ca);
  for (const [name, subject, usages] of [
    ['etcd/server', 'CN=infra0', 2],
    ['etcd/peer', 'CN=infra0', 2],
    ['etcd/healthcheck-client', 'CN=kube-etcd-healthcheck-client', 1],
    ['apiserver-etcd-client', 'CN=kube-apiserver-etcd-client', 1],
  ] as const) {
    const certificate = read(name);
    assert.equal(certificate.subject, subject);
    assert.equal(certificate.keyUsage.length, usages);
    assert.ok(
      certificate.verify(authority.publicKey) && certificate.checkIssued(authority) && !certificate.ca,
    );
    const days = (Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / 86_400_000;
    assert.ok(days > 365 && days < 365.1, `${days}`);
    assert.match(readFileSync(pki(rootfs, `${name}.key`), 'utf8'), /^-----BEGIN RSA PRIVATE KEY-----/);
    assert.equal(statSync(pki(rootfs, `${name}.key`)).mode & 0o777, 0o600);
    assert.equal(statSync(pki(rootfs, `${name}.crt`)).mode & 0o777, 0o644);
  }
});

test('what is there is used and never replaced, by an authority with its key or without', async () => {
  const rootfs = join(root, 'existing');
  const config = fullConfig(LOCAL);
  await make(rootfs, config, 'etcd-ca', 'etcd-server');
  const before = readFileSync(pki(rootfs, 'etcd/server.crt'));
  assert.equal(
    await make(rootfs, config, 'etcd-ca', 'etcd-server'),
    '[certs] Using existing etcd/ca certificate authority\n[certs] Using existing etcd/server certificate and key on disk\n',
  );
  assert.deepEqual(readFileSync(pki(rootfs, 'etcd/server.crt')), before);
  rmSync(pki(rootfs, 'etcd/ca.key'));
  assert.equal(
    await make(rootfs, config, 'etcd-ca', 'etcd-server'),
    '[certs] Using existing etcd/ca keyless certificate authority\n[certs] Using existing etcd/server certificate and key on disk\n',
  );
  const { code, errors } = await kubeadm(
    'init',
    'phase',
    'certs',
    'etcd-peer',
    '--config',
    config,
    '--rootfs',
    rootfs,
  );
  assert.equal(code, 1);
  assert.match(
    errors,
    /failure loading etcd\/ca certificate authority: open .*ca\.key: no such file or directory/,
  );
});

test('a certificate of another authority, and a key whose certificate is gone, are refused and left alone', async () => {
  const rootfs = join(root, 'foreign');
  const config = fullConfig(LOCAL);
  await make(rootfs, config, 'etcd-ca', 'etcd-peer');
  const key = readFileSync(pki(rootfs, 'etcd/peer.key'));
  const refused = async (...words: string[]): Promise<string> => {
    const { code, errors } = await kubeadm(
      'init',
      'phase',
      'certs',
      ...words,
      '--config',
      config,
      '--rootfs',
      rootfs,
    );
    assert.equal(code, 1);
    return errors;
  };
  for (const name of ['etcd/ca.crt', 'etcd/ca.key']) rmSync(pki(rootfs, name));
  assert.match(await refused('etcd-peer'), /couldn't load CA certificate etcd-ca: open /);
  await make(rootfs, config, 'etcd-ca');
  assert.match(await refused('etcd-peer'), /certificate etcd\/peer not signed by CA certificate etcd\/ca/);
  rmSync(pki(rootfs, 'etcd/peer.crt'));
  assert.match(
    await refused('etcd-peer'),
    /failure loading etcd\/peer certificate: open .*peer\.crt: no such file/,
  );
  rmSync(pki(rootfs, 'etcd/ca.crt'));
  assert.match(await refused('etcd-ca'), /failure loading etcd\/ca certificate: /);
  assert.deepEqual(readFileSync(pki(rootfs, 'etcd/peer.key')), key);
});

test('keys, times and organizations follow the configuration and the release', async () => {
  const rootfs = join(root, 'kinds');
  const cluster =
    'encryptionAlgorithm: ECDSA-P256\ncertificateValidityPeriod: 48h\ncaCertificateValidityPeriod: 96h';
  await make(rootfs, fullConfig(LOCAL, cluster), 'etcd-ca', 'etcd-server');
  assert.match(readFileSync(pki(rootfs, 'etcd/ca.key'), 'utf8'), /^-----BEGIN EC PRIVATE KEY-----/);
  const certificate = new X509Certificate(readFileSync(pki(rootfs, 'etcd/server.crt')));
  const hours = (Date.parse(certificate.validTo) - Date.now()) / 3_600_000;
  assert.ok(hours > 47 && hours < 48.1, `${hours}`);
  const old = join(root, 'old');
  await make(old, fullConfig(LOCAL, '', 'v1.28.3'), 'etcd-ca', 'apiserver-etcd-client');
  const client = new X509Certificate(readFileSync(pki(old, 'apiserver-etcd-client.crt')));
  assert.equal(client.subject, 'O=system:masters\nCN=kube-apiserver-etcd-client');
});

test('nothing is made for an etcd that is somebody else’s, and nothing is changed for show', async () => {
  const rootfs = join(root, 'external');
  const external = fullConfig('  external:\n    endpoints: ["https://10.0.0.9:2379"]');
  assert.equal(
    await make(rootfs, external, 'etcd-ca', 'etcd-server'),
    '[certs] External etcd mode: Skipping etcd/ca certificate authority generation\n[certs] External etcd mode: Skipping etcd/server certificate generation\n',
  );
  const shown = await kubeadm(
    'init',
    'phase',
    'certs',
    'etcd-ca',
    '--dry-run',
    '--rootfs',
    rootfs,
    '--config',
    fullConfig(LOCAL),
  );
  assert.equal(shown.code, 0);
  const made = /What would be made is in "(.*)"/.exec(shown.text)![1]!;
  assert.ok(statSync(join(made, 'etcd/ca.crt')).isFile());
  rmSync(made, { recursive: true });
  assert.throws(() => statSync(rootfs), { code: 'ENOENT' });
});

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number | string; readonly host: string };
}

interface Container {
  readonly command: string[];
  readonly image: string;
  readonly livenessProbe: Probe;
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
}

async function containerOf(config: string): Promise<Container> {
  const { code, text, errors } = await kubeadm(
    'init',
    'phase',
    'etcd',
    'local',
    '--dry-run',
    '--config',
    config,
  );
  assert.equal(code, 0, errors);
  const manifest = text.slice(text.indexOf('apiVersion'));
  return (parse(manifest) as { spec: { containers: Container[] } }).spec.containers[0]!;
}

test('patches of a directory, by flag or by configuration, are in the static pod; one that does not apply leaves nothing', async () => {
  const patches = join(root, 'patches');
  mkdirSync(patches);
  writeFileSync(
    join(patches, 'etcd.yaml'),
    'spec: {containers: [{name: etcd, resources: {requests: {cpu: 2}}, command: [etcd, --name=patched]}]}',
  );
  const local = ['init', 'phase', 'etcd', 'local', '--rootfs', join(root, 'patched')];
  const manifest = join(root, 'patched/etc/kubernetes/manifests/etcd.yaml');
  const byFlag = await kubeadm(...local, '--config', fullConfig(LOCAL), '--patches', patches);
  assert.equal(
    byFlag.text,
    `[etcd] Creating static Pod manifest for local etcd in "/etc/kubernetes/manifests"
[patches] Reading patches from path "${patches}"
[patches] Found the following patch files: [etcd.yaml]
[patches] Applied patch of type "application/strategic-merge-patch+json" to target "etcd"
`,
  );
  const written = readFileSync(manifest, 'utf8');
  const { spec } = parse(written) as { spec: { containers: object[]; volumes: object[] } };
  const [container] = spec.containers as [{ command: string[]; resources: object; image: string }];
  assert.deepEqual(container.command, ['etcd', '--name=patched']);
  assert.deepEqual(container.resources, { requests: { cpu: 2, memory: '100Mi' } });
  assert.match(container.image, /^registry\.k8s\.io\/etcd:/);
  assert.equal(spec.volumes.length, 2);
  const text = readFileSync(fullConfig(LOCAL), 'utf8');
  const config = configFile(text.replace('\n---\n', `\npatches:\n  directory: ${patches}\n---\n`));
  const byFile = await kubeadm(...local, '--config', config);
  assert.equal(byFile.text, byFlag.text);
  assert.equal(readFileSync(manifest, 'utf8'), written);
  writeFileSync(join(patches, 'etcd+json.json'), '[{"op": "remove", "path": "/spec/nothing"}]');
  const fresh = ['init', 'phase', 'etcd', 'local', '--rootfs', join(root, 'unpatched')];
  const refused = await kubeadm(...fresh, '--config', config);
  assert.equal(refused.code, 1);
  assert.match(
    refused.errors,
    /^Error: failed to patch static Pod manifest file for "etcd": could not apply/,
  );
  assert.ok(!existsSync(join(root, 'unpatched')));
});

test('the static pod is that of its release', async () => {
  for (const [version, image, liveness, startup, flags] of [
    ['v1.17.0', 'k8s.gcr.io/etcd:3.4.3-0', '/health', undefined, []],
    ['v1.21.5', 'k8s.gcr.io/etcd:3.4.13-0', '/health', '/health', []],
    [
      'v1.24.0',
      'k8s.gcr.io/etcd:3.5.3-0',
      '/health',
      '/health',
      ['--experimental-initial-corrupt-check=true'],
    ],
    [
      'v1.28.3',
      'registry.k8s.io/etcd:3.5.9-0',
      '/health?exclude=NOSPACE&serializable=true',
      '/health?serializable=false',
      ['--experimental-initial-corrupt-check=true', '--experimental-watch-progress-notify-interval=5s'],
    ],
    [
      'v1.36.0',
      'registry.k8s.io/etcd:3.6.9-0',
      '/livez',
      '/readyz',
      ['--feature-gates=InitialCorruptCheck=true', '--watch-progress-notify-interval=5s'],
    ],
  ] as const) {
    const container = await containerOf(fullConfig('  local: {}', '', version));
    assert.equal(container.image, image);
    assert.equal(container.livenessProbe.httpGet.path, liveness);
    assert.equal(container.startupProbe?.httpGet.path, startup);
    assert.equal(container.readinessProbe !== undefined, version === 'v1.36.0');
    const special = container.command.filter((flag) => /corrupt|feature|progress/i.test(flag));
    assert.deepEqual(special, flags, version);
    assert.equal(container.command[0], 'etcd');
    assert.ok(
      container.command.includes('--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.6:2379'),
    );
  }
});

test('arguments of the configuration stand in the place of defaults, in a map or a list, some of them twice', async () => {
  const list = `  local:
    extraArgs:
    - { name: zzz, value: "1" }
    - { name: listen-metrics-urls, value: "https://[::1]:9999" }
    - { name: aaa, value: "2" }
    - { name: zzz, value: "0" }`;
  const recent = await containerOf(fullConfig(list));
  assert.deepEqual(recent.command.slice(-4), [
    '--zzz=1',
    '--listen-metrics-urls=https://[::1]:9999',
    '--aaa=2',
    '--zzz=0',
  ]);
  assert.equal(recent.command.filter((flag) => flag.startsWith('--listen-metrics-urls=')).length, 1);
  const older = await containerOf(fullConfig(list, '', 'v1.30.0'));
  assert.deepEqual(older.command.slice(1), [...older.command.slice(1)].sort());
  assert.deepEqual(older.livenessProbe.httpGet, {
    host: '::1',
    path: '/health?exclude=NOSPACE&serializable=true',
    port: 9999,
    scheme: 'HTTPS',
  });
});

test('a configuration that is none is refused with its place, and what is not known is told', async () => {
  for (const [text, reason] of [
    ['kind: [', /config-\d+\.yaml:1: /],
    ['a: 1', /kind and apiVersion is mandatory/],
    ['a: *x', /config-\d+\.yaml: Unresolved alias/],
    ['a: &x [*x]', /config-\d+\.yaml: an anchor contains itself/],
    [
      'apiVersion: kubeadm.k8s.io/v1alpha1\nkind: ClusterConfiguration',
      /API spec that is not supported: kubeadm.k8s.io\/v1alpha1/,
    ],
    [
      'apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n---\napiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration',
      /specified twice/,
    ],
    [
      'apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\netcd: {local: {}, external: {}}',
      /mutually exclusive/,
    ],
    [
      'apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nencryptionAlgorithm: ROT13',
      /unknown encryption algorithm/,
    ],
    [
      'apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ncertificateValidityPeriod: soon',
      /certificateValidityPeriod: time: invalid duration "soon"/,
    ],
    [
      'apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: nine',
      /doesn't match patterns/,
    ],
    [
      'apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: nowhere}',
      /ip address is not valid/,
    ],
  ] as const) {
    const { code, errors } = await kubeadm(
      'init',
      'phase',
      'etcd',
      'local',
      '--dry-run',
      '--config',
      configFile(text),
    );
    assert.equal(code, 1, text);
    assert.match(errors, reason);
  }
  const missing = await kubeadm('init', 'phase', 'etcd', 'local', '--config', '/nowhere/x.yaml');
  assert.match(
    missing.errors,
    /unable to read config from "\/nowhere\/x.yaml": open \/nowhere\/x.yaml: no such file/,
  );
  const mixed = await kubeadm('init', 'phase', 'etcd', 'local', '--config', 'x', '--cert-dir', '/y');
  assert.match(mixed.errors, /can not mix '--config' with arguments \[cert-dir\]/);
  const strange = await kubeadm(
    'config',
    'images',
    'list',
    '--config',
    fullConfig('  local: {dataDirectory: /x}\n  remote: {}'),
  );
  assert.equal(strange.code, 0);
  assert.match(strange.errors, /unknown field "etcd.remote"\n.*unknown field "etcd.local.dataDirectory"/);
});

test('images are listed for a release, from a registry of one’s own too', async () => {
  const { text } = await kubeadm('config', 'images', 'list', '--kubernetes-version', 'v1.17.0');
  assert.match(text, /^k8s\.gcr\.io\/kube-apiserver:v1\.17\.0\n/);
  assert.match(text, /^k8s\.gcr\.io\/etcd:3\.4\.3-0$/m);
  const own = await kubeadm('config', 'images', 'list', '--image-repository', 'images.example.org');
  assert.match(own.text, /^images\.example\.org\/etcd:3\.6\.9-0$/m);
  assert.match(own.text, /^images\.example\.org\/coredns:/m);
});

test('images are pulled one after the other, and the first that can not be had ends it with its name', async () => {
  const crictl = join(root, 'crictl');
  writeFileSync(
    crictl,
    '#!/bin/sh\n[ "$4" != bad ] || { echo "pull of $4 at $2: not found" >&2; exit 1; }\n',
    {
      mode: 0o755,
    },
  );
  const lines: string[] = [];
  const pull = (images: readonly string[], program: string): Promise<void> =>
    pullImages(images, 'unix:///cri.sock', (text) => lines.push(text), program);
  await assert.rejects(pull(['good', 'bad', 'other'], crictl), {
    message: 'failed to pull image "bad": pull of bad at unix:///cri.sock: not found',
  });
  assert.deepEqual(lines, ['[config/images] Pulled good']);
  await assert.rejects(
    pull(['good'], join(root, 'absent')),
    /failed to pull image "good": .*absent: no such program/,
  );
});

test('certificates are looked at, and made anew with the same names and another key', async () => {
  const rootfs = join(root, 'renewed');
  const config = fullConfig(LOCAL);
  await make(rootfs, config, 'etcd-ca', 'etcd-server', 'etcd-peer');
  const table = await kubeadm('certs', 'check-expiration', '--config', config, '--rootfs', rootfs);
  assert.match(table.text, /^etcd-server +\w{3} \d\d, \d{4} \d\d:\d\d UTC +364d +etcd-ca +no +$/m);
  assert.match(table.text, /^!MISSING! apiserver-etcd-client +$/m);
  assert.match(table.text, /^etcd-ca +\w{3} .* +9y +no +$/m);
  const before = new X509Certificate(readFileSync(pki(rootfs, 'etcd/server.crt')));
  const renewed = await kubeadm('certs', 'renew', 'etcd-server', '--config', config, '--rootfs', rootfs);
  assert.equal(renewed.code, 0, renewed.errors);
  assert.match(renewed.text, /^certificate for serving etcd renewed\n/);
  const after = new X509Certificate(readFileSync(pki(rootfs, 'etcd/server.crt')));
  assert.notEqual(after.serialNumber, before.serialNumber);
  assert.notEqual(after.fingerprint256, before.fingerprint256);
  assert.equal(after.subject, before.subject);
  assert.equal(after.subjectAltName, before.subjectAltName);
  const missing = await kubeadm('certs', 'renew', 'all', '--config', config, '--rootfs', rootfs);
  assert.equal(missing.code, 1);
  assert.match(missing.errors, /open .*healthcheck-client\.crt: no such file or directory/);
});
