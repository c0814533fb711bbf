import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runProgram } from '@etcd/host/cli';
import { ETCDADM } from '../root.ts';
import { NotingIo } from '../testing/noting-io.ts';

const root = mkdtempSync(join(tmpdir(), 'certs-'));
after(() => rmSync(root, { recursive: true }));

async function certs(...words: string[]): Promise<{ code: number; text: string; errors: string }> {
  const io = new NotingIo({});
  const code = await runProgram(ETCDADM, ['certs', ...words], io);
  return { code, text: io.text, errors: io.errors };
}

async function refused(pattern: RegExp, ...words: string[]): Promise<void> {
  const { code, errors } = await certs(...words);
  assert.equal(code, 1);
  assert.match(errors, pattern);
  assert.equal(errors.split('\n').length, 2, errors);
}

test('the sample script’s certificates are made for all members, OpenSSL verifies them, and a second run keeps them', async () => {
  const directory = join(root, 'sample');
  const words = [
    'make',
    '--names=infra0,infra1',
    '--hosts=10.0.0.1,10.0.0.2,etcd.example.org',
    `--dir=${directory}`,
    '--key-type=ECDSA-P256',
  ];
  const made = await certs(...words);
  assert.equal(made.code, 0, made.errors);
  const bases = ['ca', 'client', 'infra0', 'infra1', 'peer-infra0', 'peer-infra1'];
  assert.deepEqual(
    readdirSync(directory),
    bases.flatMap((base) => [`${base}-key.pem`, `${base}.pem`]).sort(),
  );
  for (const base of bases) {
    assert.equal(statSync(join(directory, `${base}-key.pem`)).mode & 0o777, 0o600);
    const certificate = new X509Certificate(readFileSync(join(directory, `${base}.pem`)));
    const years = (Date.parse(certificate.validTo) - Date.now()) / (365 * 86_400_000);
    assert.ok(years > 99 && years < 101, `${years}`);
    if (base === 'ca') continue;
    const hosts = ['10.0.0.1', '127.0.0.1'].filter((host) => certificate.checkIP(host) !== undefined).length;
    assert.equal(hosts, base === 'client' ? 0 : 2);
    const purposes = base === 'client' ? ['sslclient'] : ['sslclient', 'sslserver'];
    for (const purpose of purposes) {
      const verified = spawnSync('openssl', [
        'verify',
        '-purpose',
        purpose,
        '-CAfile',
        join(directory, 'ca.pem'),
        join(directory, `${base}.pem`),
      ]);
      assert.equal(verified.status, 0, String(verified.stderr));
    }
  }
  const before = readFileSync(join(directory, 'peer-infra1.pem'));
  assert.doesNotMatch((await certs(...words)).text, /Made/);
  assert.deepEqual(readFileSync(join(directory, 'peer-infra1.pem')), before);
  writeFileSync(join(directory, 'infra0-key.pem'), readFileSync(join(directory, 'infra1-key.pem')));
  await refused(/infra0\.pem can not be used: .* is another's key/, ...words);
  rmSync(join(directory, 'ca-key.pem'));
  await refused(/ca\.pem without its key .*ca-key\.pem/, ...words);
  rmSync(join(directory, 'ca.pem'));
  rmSync(join(directory, 'infra0-key.pem'));
  await refused(/infra0\.pem is not signed by .*ca\.pem/, ...words);
});

test('certificates of a host are listed and renewed for the same names', async () => {
  const rootfs = join(root, 'host');
  const directory = join(rootfs, 'etc/etcd/pki');
  const io = new NotingIo({});
  const words = [
    'init',
    'phase',
    'certificates',
    `--rootfs=${rootfs}`,
    '--name=a',
    '--bind-address=127.0.0.1',
  ];
  assert.equal(await runProgram(ETCDADM, words, io), 0, io.errors);
  const listed = await certs('list', `--certs-dir=${directory}`);
  assert.match(
    listed.text,
    /ca\.crt {2}until .* 36(49|50) days left\n.*server\.crt {2}until .* 36[45] days left\n/,
  );
  const read = (name: string): X509Certificate =>
    new X509Certificate(readFileSync(join(directory, `${name}.crt`)));
  const old = read('server');
  const renewed = await certs('renew', 'server', `--certs-dir=${directory}`);
  assert.equal(renewed.code, 0, renewed.errors);
  assert.notEqual(read('server').serialNumber, old.serialNumber);
  assert.equal(read('server').subjectAltName, old.subjectAltName);
  assert.equal(read('server').subject, old.subject);
  assert.ok(read('server').verify(read('ca').publicKey));
  await refused(
    /there is no certificate nonsense; there are server, peer/,
    'renew',
    'nonsense',
    `--certs-dir=${directory}`,
  );
  rmSync(join(directory, 'ca.key'));
  await refused(
    /server can not be made: there is no key of the authority/,
    'renew',
    'server',
    `--certs-dir=${directory}`,
  );
  await refused(/there are no certificates in/, 'list', `--certs-dir=${join(root, 'nowhere')}`);
  for (const mistake of [
    ['--names=../a'],
    ['--names=ca'],
    ['--names=a', '--hosts=a b'],
    ['--names=a', '--key-type=DSA'],
    ['--names=a', '--validity=-1h'],
  ]) {
    await refused(/^Error: /, 'make', `--dir=${join(root, 'never')}`, ...mistake);
  }
});
