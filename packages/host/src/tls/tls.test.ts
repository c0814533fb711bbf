import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import type { Clock, LogFields, Logger } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { protocolProblem } from './cipher-suites.ts';
import { originProblem } from './peer-certificate.ts';
import { selfSignedFiles } from './self-signed.ts';
import {
  type CertificateOptions,
  type IssuedCertificate,
  type KeyKind,
  TestAuthority,
} from './testing/certificates.ts';
import { TlsAcceptor } from './tls-acceptor.ts';
import { connectTls } from './tls-connect.ts';
import { NO_TLS_FILES, type TlsFiles } from './tls-files.ts';
import { TlsSide } from './tls-side.ts';

const DAY_MS = 86_400_000;
const PROTOCOL = { cipherSuites: [], minVersion: 'TLS1.2', maxVersion: '' } as const;
const clock = new NodeClock();

/** However long a test takes, for what is counted by the minute no time passes. */
class StoppedClock extends NodeClock {
  override now(): number {
    return 0;
  }
}

const directory = mkdtempSync(join(tmpdir(), 'tls-'));
let authority: TestAuthority;
let stranger: TestAuthority;
let server: IssuedCertificate;

before(async () => {
  authority = await TestAuthority.create(directory);
  stranger = await TestAuthority.create(join(directory, 'stranger'), 'stranger');
  server = await authority.issue('server', { hosts: ['127.0.0.1', 'localhost'] });
});
after(() => rmSync(directory, { recursive: true }));

/** Notes what is logged. */
class Lines implements Logger {
  readonly lines: [level: string, message: string, fields: LogFields | undefined][] = [];
  enabled = (): boolean => true;
  debug = (message: string, fields?: LogFields): void => void this.lines.push(['debug', message, fields]);
  info = (message: string, fields?: LogFields): void => void this.lines.push(['info', message, fields]);
  warn = (message: string, fields?: LogFields): void => void this.lines.push(['warn', message, fields]);
  error = (message: string, fields?: LogFields): void => void this.lines.push(['error', message, fields]);
  fatal = (message: string, fields?: LogFields): void => void this.lines.push(['fatal', message, fields]);
  child = (): Logger => this;

  of(message: string): (LogFields | undefined)[] {
    return this.lines.filter(([, text]) => text === message).map(([, , fields]) => fields);
  }
}

function openSide(files: Partial<TlsFiles>, logger: Logger = new Lines()): Promise<TlsSide> {
  return TlsSide.open({ files: { ...NO_TLS_FILES, ...files }, protocol: PROTOCOL, clock, logger });
}

interface Served {
  readonly port: number;
  readonly side: TlsSide;
  readonly lines: Lines;
  readonly rejectedCount: () => number;
}

/** A server that echoes. */
async function serve(
  t: { after: (done: () => void) => void },
  files: Partial<TlsFiles>,
  names: Readonly<Record<string, readonly string[]>> = {},
  ticking: Clock = clock,
): Promise<Served> {
  const lines = new Lines();
  const side = await openSide({ ...server, ...files }, lines);
  let rejected = 0;
  const lookup = (name: string): Promise<readonly string[]> =>
    name in names ? Promise.resolve(names[name]!) : Promise.reject(new Error(`lookup ${name}: no such host`));
  const acceptor = new TlsAcceptor({
    side,
    clock: ticking,
    logger: lines,
    protocols: ['h2', 'http/1.1'],
    rejectedMessage: 'rejected connection on client endpoint',
    hosts: { reverse: lookup, lookup },
    onSecure: (socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => socket.write(chunk));
    },
    onRejected: () => rejected++,
  });
  const sockets = new Set<net.Socket>();
  const listener = net.createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    acceptor.accept(socket);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
    side.stop();
  });
  const { port } = listener.address() as net.AddressInfo;
  return { port, side, lines, rejectedCount: () => rejected };
}

/** What comes back, or why nothing does. */
function echo(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('data', (chunk) => {
      resolve(chunk.toString());
      socket.destroy();
    });
    socket.on('error', (error) => resolve(`error: ${error.message}`));
    socket.on('close', () => resolve('closed'));
    socket.write('hello');
  });
}

function connectAs(
  port: number,
  pair: Pick<IssuedCertificate, 'certFile' | 'keyFile'> | null,
  caFile: string,
): tls.TLSSocket {
  return tls.connect({
    host: '127.0.0.1',
    port,
    ca: readFileSync(caFile),
    ...(pair === null ? {} : { cert: readFileSync(pair.certFile), key: readFileSync(pair.keyFile) }),
  });
}

test('without client certificates anybody is served, encrypted', async (t) => {
  const { port, rejectedCount } = await serve(t, {});
  assert.equal(await echo(connectAs(port, null, authority.caFile)), 'hello');
  assert.equal(rejectedCount(), 0);
});

test('protocols: h2 is chosen when it is offered, http/1.1 otherwise', async (t) => {
  const { port } = await serve(t, {});
  for (const [offered, chosen] of [
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http/1.1'],
  ] as const) {
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      ca: readFileSync(authority.caFile),
      ALPNProtocols: [...offered],
    });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    assert.equal(socket.alpnProtocol, chosen);
    socket.destroy();
  }
});

for (const [kind, form] of [
  ['ec', 'pkcs8'],
  ['ec', 'sec1'],
  ['rsa', 'pkcs8'],
  ['rsa', 'pkcs1'],
  ['ed25519', 'pkcs8'],
] as const) {
  test(`keys of the kind ${kind} in the form ${form} are used on both sides`, async (t) => {
    const pair = await authority.issue(`${kind}-${form}`, {
      hosts: ['127.0.0.1'],
      keyKind: kind as KeyKind,
      keyForm: form,
    });
    const { port } = await serve(t, { ...pair, trustedCaFile: authority.caFile });
    const client = await openSide({ ...pair, trustedCaFile: authority.caFile });
    assert.equal(await echo(connectTls(client, { host: '127.0.0.1', port }, clock)), 'hello');
  });
}

test('dumps before a certificate, parameters before a key and chains behind a leaf are read', async (t) => {
  const pair = await authority.issue('chain', { hosts: ['127.0.0.1'], keyForm: 'sec1' });
  const certFile = join(directory, 'chain-full.pem');
  const keyFile = join(directory, 'chain-full-key.pem');
  const text = `Certificate:\n    Data: 1\n${readFileSync(pair.certFile)}\nBag Attributes\n${readFileSync(authority.caFile)}`;
  writeFileSync(certFile, text);
  const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
  writeFileSync(keyFile, parameters + readFileSync(pair.keyFile), { mode: 0o600 });
  const caFile = join(directory, 'several.pem');
  writeFileSync(caFile, `${readFileSync(stranger.caFile)}${readFileSync(authority.caFile)}`);
  const { port } = await serve(t, { certFile, keyFile, trustedCaFile: caFile });
  const client = await openSide({ certFile, keyFile, trustedCaFile: caFile });
  assert.equal(await echo(connectTls(client, { host: '127.0.0.1', port }, clock)), 'hello');
});

interface Refusal {
  readonly what: string;
  readonly options?: CertificateOptions;
  readonly isStranger?: boolean;
  readonly error: RegExp;
}

const REFUSALS: readonly Refusal[] = [
  { what: 'of another authority', isStranger: true, error: /signed by unknown authority/ },
  { what: 'that has expired', options: { notAfter: new Date(Date.now() - DAY_MS) }, error: /has expired/ },
  {
    what: 'that is not yet valid',
    options: { notBefore: new Date(Date.now() + DAY_MS) },
    error: /not yet valid/,
  },
  { what: 'that is for servers alone', options: { usages: ['server'] }, error: /incompatible key usage/ },
];

for (const { what, options = {}, isStranger = false, error } of REFUSALS) {
  test(`a client with a certificate ${what} is refused, logged once with its address, and counted`, async (t) => {
    const served = await serve(t, { trustedCaFile: authority.caFile });
    const pair = await (isStranger ? stranger : authority).issue(`bad-${what.replaceAll(' ', '-')}`, options);
    assert.notEqual(await echo(connectAs(served.port, pair, authority.caFile)), 'hello');
    const lines = served.lines.of('rejected connection on client endpoint');
    assert.equal(lines.length, 1);
    assert.match(String(lines[0]!['remote-addr']), /^127\.0\.0\.1:\d+$/);
    assert.match(String(lines[0]!['error']), error);
    assert.equal(served.rejectedCount(), 1);
  });
}

test('a client without a certificate is refused where one is required', async (t) => {
  const { port, lines } = await serve(t, { trustedCaFile: authority.caFile });
  assert.notEqual(await echo(connectAs(port, null, authority.caFile)), 'hello');
  const [fields] = lines.of('rejected connection on client endpoint');
  assert.equal(fields!['error'], "tls: client didn't provide a certificate");
});

test('S06 a revoked certificate is refused, also when it resumes a session from before', async (t) => {
  const revoked = await authority.issue('revoked');
  const fine = await authority.issue('fine');
  const crlFile = await authority.revoke([]);
  const { port, side } = await serve(t, { trustedCaFile: authority.caFile, crlFile });
  const first = connectAs(port, revoked, authority.caFile);
  const session = new Promise<Buffer>((resolve) => first.once('session', resolve));
  assert.equal(await Promise.race([echo(first), session.then(() => 'hello')]), 'hello');
  await authority.revoke([revoked.serialNumber]);
  await side.reload();
  assert.notEqual(await echo(connectAs(port, revoked, authority.caFile)), 'hello');
  const resumed = tls.connect({
    host: '127.0.0.1',
    port,
    ca: readFileSync(authority.caFile),
    cert: readFileSync(revoked.certFile),
    key: readFileSync(revoked.keyFile),
    session: await session,
  });
  assert.notEqual(await echo(resumed), 'hello');
  assert.equal(await echo(connectAs(port, fine, authority.caFile)), 'hello');
});

test('only clients with an allowed common name, or an allowed host, are served', async (t) => {
  const alice = await authority.issue('alice', { commonName: 'alice', hosts: ['alice.example'] });
  const bob = await authority.issue('bob', { commonName: 'bob', hosts: ['bob.example'] });
  for (const rules of [{ allowedCommonNames: ['carol', 'alice'] }, { allowedHostnames: ['alice.example'] }]) {
    const { port, lines } = await serve(t, { trustedCaFile: authority.caFile, ...rules });
    assert.equal(await echo(connectAs(port, alice, authority.caFile)), 'hello');
    assert.notEqual(await echo(connectAs(port, bob, authority.caFile)), 'hello');
    const [fields] = lines.of('rejected connection on client endpoint');
    assert.equal(fields!['error'], 'client certificate authentication failed');
  }
});

test('a peer is accepted from the addresses and hosts that its certificate names, and from no others', async (t) => {
  const names = {
    '127.0.0.1': ['member.example.'],
    'other.example': ['10.0.0.1'],
    'here.example': ['127.0.0.1'],
  };
  const served = await serve(t, { trustedCaFile: authority.caFile, checksClientSan: true }, names);
  for (const [hosts, isAccepted] of [
    [[], true],
    [['127.0.0.1'], true],
    [['10.0.0.9'], false],
    [['10.0.0.9', 'member.example'], true],
    [['*.example'], true],
    [['here.example'], true],
    [['other.example'], false],
    [['unknown.example'], false],
  ] as const) {
    const pair = await authority.issue('peer', { hosts });
    const answer = await echo(connectAs(served.port, pair, authority.caFile));
    assert.equal(answer === 'hello', isAccepted, `${hosts.join()}: ${answer}`);
  }
  const errors = served.lines.of('rejected connection on client endpoint').map((fields) => fields!['error']);
  assert.equal(errors[0], 'x509: certificate is valid for 10.0.0.9, not 127.0.0.1');
  assert.equal(errors[1], 'tls: "127.0.0.1" does not match any of DNSNames ["other.example"]');
  assert.match(String(errors[2]), /DNSNames \["unknown.example"\] \(lookup unknown.example: no such host\)$/);
});

test('an address on a link is that of a certificate, whatever the link is called', async () => {
  const pair = await authority.issue('linked', { hosts: ['fe80::1', '127.0.0.1'] });
  const leaf = new X509Certificate(readFileSync(pair.certFile));
  const nobody = { reverse: () => Promise.resolve([]), lookup: () => Promise.resolve([]) };
  assert.equal(await originProblem(leaf, 'fe80::1%eth0', nobody), null);
  assert.match(
    String(await originProblem(leaf, 'fe80::2%eth0', nobody)),
    /certificate is valid for .*, not fe80::2%eth0/,
  );
});

test('whoever is dialled has to be who was dialled, by its alternative names alone', async (t) => {
  const { port } = await serve(
    t,
    await authority.issue('elsewhere', { commonName: '127.0.0.1', hosts: ['10.0.0.1'] }),
  );
  const client = await openSide({ trustedCaFile: authority.caFile });
  const answer = await echo(connectTls(client, { host: '127.0.0.1', port }, clock));
  assert.match(answer, /certificate is valid for 10\.0\.0\.1, not 127\.0\.0\.1/);
  const named = await openSide({ trustedCaFile: authority.caFile, serverName: '10.0.0.1' });
  assert.equal(await echo(connectTls(named, { host: '127.0.0.1', port }, clock)), 'hello');
});

test('plain text on a TLS port ends that connection alone', async (t) => {
  const { port, lines } = await serve(t, {});
  const healthy = connectAs(port, null, authority.caFile);
  const plain = net.connect(port, '127.0.0.1');
  plain.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
  await new Promise((resolve) => plain.on('error', () => {}).on('close', resolve));
  const [fields] = lines.of('rejected connection on client endpoint');
  assert.equal(fields!['error'], 'tls: first record does not look like a TLS handshake');
  assert.match(String(fields!['remote-addr']), /^127\.0\.0\.1:\d+$/);
  assert.equal(await echo(healthy), 'hello');
});

test('S20 whoever is refused again and again fills no log, nor does a certificate with many names; all are counted', async (t) => {
  const { port, lines, rejectedCount } = await serve(
    t,
    { trustedCaFile: authority.caFile },
    {},
    new StoppedClock(),
  );
  const hosts = Array.from({ length: 50 }, (_, i) => `host-${i}.example`);
  const pair = await stranger.issue('many-names', { hosts });
  assert.notEqual(await echo(connectAs(port, pair, authority.caFile)), 'hello');
  for (let i = 0; i < 120; i++) {
    const plain = net.connect(port, '127.0.0.1');
    plain.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
    await new Promise((resolve) => plain.on('error', () => {}).on('close', resolve));
  }
  const told = lines.of('rejected connection on client endpoint');
  assert.deepEqual([told.length, rejectedCount()], [100, 121]);
  assert.deepEqual(told[0]!['dns-names'], hosts.slice(0, 20));
});

test('whoever only opens a connection is no warning', async (t) => {
  const { port, lines, rejectedCount } = await serve(t, {});
  const probe = net.connect(port, '127.0.0.1');
  await new Promise((resolve) => probe.once('connect', resolve));
  probe.destroy();
  while (rejectedCount() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(
    lines.lines.filter(([, message]) => message.startsWith('rejected')).map(([level]) => level),
    ['debug'],
  );
});

test('certificates and authorities are replaced under open connections; what does not fit changes nothing', async (t) => {
  const next = await TestAuthority.create(join(directory, 'next'), 'next');
  const own = await authority.issue('own', { hosts: ['127.0.0.1'] });
  const replacement = await next.issue('replacement', { hosts: ['127.0.0.1'] });
  const certFile = join(directory, 'live.pem');
  const keyFile = join(directory, 'live-key.pem');
  const trustedCaFile = join(directory, 'live-ca.pem');
  copyFileSync(own.certFile, certFile);
  copyFileSync(own.keyFile, keyFile);
  copyFileSync(authority.caFile, trustedCaFile);
  const { port, side, lines } = await serve(t, { certFile, keyFile, trustedCaFile });
  const old = connectAs(port, own, authority.caFile);
  await new Promise((resolve) => old.once('secureConnect', resolve));

  copyFileSync(replacement.certFile, certFile);
  await side.reload();
  assert.match(
    String(lines.of('failed to reload certificates; those in use stay')[0]!['error']),
    /does not match/,
  );
  assert.equal(await echo(connectAs(port, own, authority.caFile)), 'hello');

  copyFileSync(replacement.keyFile, keyFile);
  copyFileSync(next.caFile, trustedCaFile);
  await side.reload();
  assert.equal(await echo(connectAs(port, replacement, next.caFile)), 'hello');
  assert.notEqual(await echo(connectAs(port, own, next.caFile)), 'hello');
  assert.equal(await echo(old), 'hello');
});

test('files that change are noticed', async (t) => {
  const pair = await authority.issue('watched', { hosts: ['127.0.0.1'] });
  const { side, lines } = await serve(t, pair);
  side.start();
  const reloaded = new Promise<void>((resolve) => side.onReload(resolve));
  await authority.issue('watched', { hosts: ['127.0.0.1'] });
  await reloaded;
  assert.equal(lines.of('reloaded certificates').length, 1);
});

/** A copy of a file of certificates with something behind them that looks like another. */
function withJunk(certFile: string): string {
  const path = join(directory, 'junk.pem');
  const junk = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  writeFileSync(path, `${readFileSync(certFile, 'utf8')}${junk}`);
  return path;
}

test('files that only OpenSSL finds fault with end no program that reads them again: what was in use stays', async (t) => {
  const pair = await authority.issue('reloaded', { hosts: ['127.0.0.1'] });
  const { port, side, lines } = await serve(t, { ...pair, trustedCaFile: authority.caFile });
  const good = readFileSync(pair.certFile);
  copyFileSync(withJunk(pair.certFile), pair.certFile);
  await side.reload();
  const [fields] = lines.of('failed to reload certificates; those in use stay');
  assert.match(String(fields?.['error']), /can't be used/);
  assert.equal(await echo(connectAs(port, server, authority.caFile)), 'hello');
  writeFileSync(pair.certFile, good);
  await side.reload();
  assert.equal(lines.of('reloaded certificates').length, 1);
  assert.equal(await echo(connectAs(port, server, authority.caFile)), 'hello');
});

const refused: readonly [what: string, files: () => Promise<Partial<TlsFiles>>, error: RegExp][] = [
  [
    'a missing certificate',
    async () => ({ certFile: '/gone', keyFile: server.keyFile }),
    /open \/gone: no such file or directory/,
  ],
  [
    'a certificate without a key',
    async () => ({ certFile: server.certFile }),
    /KeyFile and CertFile must both be present/,
  ],
  [
    'a client certificate without a key',
    async () => ({ ...server, clientCertFile: 'x' }),
    /ClientKeyFile and ClientCertFile must both be/,
  ],
  [
    'the key of another certificate',
    async () => ({ certFile: server.certFile, keyFile: (await authority.issue('other')).keyFile }),
    /tls: private key does not match public key/,
  ],
  [
    'a key for a certificate',
    async () => ({ certFile: server.keyFile, keyFile: server.keyFile }),
    /find any PEM data in certificate/,
  ],
  [
    'a certificate for a key',
    async () => ({ certFile: server.certFile, keyFile: server.certFile }),
    /find any PEM data in key/,
  ],
  [
    'authorities that are none',
    async () => ({ ...server, trustedCaFile: server.keyFile }),
    /no certificate of an authority/,
  ],
  [
    'a list of revocations that is none',
    async () => ({ ...server, crlFile: server.certFile }),
    /x509: malformed crl/,
  ],
  [
    'a chain that OpenSSL can not read behind a good leaf',
    async () => ({ ...server, certFile: withJunk(server.certFile) }),
    /can't be used/,
  ],
  [
    'a chain that OpenSSL can not read, to be shown where this side connects',
    async () => ({ ...server, clientCertFile: withJunk(server.certFile), clientKeyFile: server.keyFile }),
    /can't be used/,
  ],
  [
    'both kinds of allowed names',
    async () => ({ ...server, allowedCommonNames: ['a'], allowedHostnames: ['b'] }),
    /AllowedCNs and AllowedHostnames are mutually exclusive \(cns=\["a"\], hostnames=\["b"\]\)/,
  ],
];

for (const [what, files, error] of refused) {
  test(`${what} ends the start with one line`, async () => {
    await assert.rejects(
      async () => openSide(await files()),
      (thrown: Error) => {
        assert.equal(thrown.name, 'TlsError');
        assert.match(thrown.message, error);
        assert.equal(thrown.message.split('\n').length, 1);
        return true;
      },
    );
  });
}

test('a key that everybody can read, and certificates that end, are said at the start', async () => {
  const lines = new Lines();
  const soon = await authority.issue('soon', { notAfter: new Date(Date.now() + 10 * DAY_MS) });
  const late = await authority.issue('late', { notAfter: new Date(Date.now() - DAY_MS) });
  chmodSync(soon.keyFile, 0o644);
  await openSide({ ...soon, clientCertFile: late.certFile, clientKeyFile: late.keyFile }, lines);
  assert.equal(lines.of('private key file can be read by everybody on this machine')[0]!['mode'], '644');
  assert.equal(lines.of('certificate expires soon')[0]!['days-left'], 9);
  assert.equal(lines.of('certificate has expired')[0]!['path'], late.certFile);
});

test('S14 weak suites and old versions are refused by name', () => {
  const problem = (cipherSuites: readonly string[], minVersion = 'TLS1.2', maxVersion = ''): string | null =>
    protocolProblem({ cipherSuites, minVersion, maxVersion });
  assert.equal(problem(['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256']), null);
  assert.equal(
    problem(['TLS_RSA_WITH_RC4_128_SHA']),
    'weak TLS cipher suite "TLS_RSA_WITH_RC4_128_SHA" is refused',
  );
  assert.equal(problem(['TLS_RSA_WITH_3DES_EDE_CBC_SHA'])?.startsWith('weak'), true);
  assert.equal(problem(['WRONG']), 'unexpected TLS cipher suite "WRONG"');
  assert.equal(problem([], 'TLS1.1'), 'unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)');
  assert.equal(problem([], 'TLS1.3', 'TLS1.2'), 'min version (TLS1.3) is greater than max version (TLS1.2)');
  const suites = ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'];
  assert.equal(problem(suites, 'TLS1.3'), 'cipher suites cannot be configured when only TLS1.3 is enabled');
});

test('certificates that a member makes for itself are kept, private, and encrypt between such members', async (t) => {
  const own = join(directory, 'fixtures');
  const options = {
    directory: own,
    hosts: ['127.0.0.1', 'localhost'],
    validityYears: 1,
    clock,
    logger: new Lines(),
  };
  const files = await selfSignedFiles(options);
  assert.equal(statSync(files.keyFile).mode & 0o777, 0o600);
  assert.match(readFileSync(files.keyFile, 'utf8'), /^-----BEGIN EC PRIVATE KEY-----/);
  const before = readFileSync(files.certFile, 'utf8');
  await selfSignedFiles(options);
  assert.equal(readFileSync(files.certFile, 'utf8'), before);
  await assert.rejects(
    selfSignedFiles({ ...options, validityYears: 0 }),
    /selfSignedCertValidity is invalid/,
  );
  const { port } = await serve(t, files);
  assert.equal(await echo(connectTls(await openSide(files), { host: '127.0.0.1', port }, clock)), 'hello');
});

test('S22 certificates of which a cut of power left empty files are made anew', async () => {
  const own = join(directory, 'cut-off');
  const options = { directory: own, hosts: ['localhost'], validityYears: 1, clock, logger: new Lines() };
  const { certFile, keyFile } = await selfSignedFiles(options);
  for (const path of [certFile, keyFile]) {
    const before = readFileSync(certFile, 'utf8');
    writeFileSync(path, '');
    await openSide(await selfSignedFiles(options));
    assert.notEqual(readFileSync(certFile, 'utf8'), before);
  }
  assert.deepEqual(readdirSync(own).sort(), ['cert.pem', 'key.pem']);
});

test('S06 a session from before an authority was exchanged stands for nobody', async (t) => {
  const next = await TestAuthority.create(join(directory, 'exchanged'), 'exchanged');
  const client = await authority.issue('exchanged-client');
  const trustedCaFile = join(directory, 'exchanged-ca.pem');
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    copyFileSync(authority.caFile, trustedCaFile);
    const { port, side } = await serve(t, { trustedCaFile });
    const options = { host: '127.0.0.1', port, ca: readFileSync(authority.caFile), maxVersion };
    const pair = { cert: readFileSync(client.certFile), key: readFileSync(client.keyFile) };
    const sessionOf = (): Promise<Buffer> =>
      new Promise((resolve) => tls.connect({ ...options, ...pair }).once('session', resolve));
    // It needs no certificate: the session stands for the one that was shown.
    assert.equal(await echo(tls.connect({ ...options, session: await sessionOf() })), 'hello', maxVersion);
    const session = await sessionOf();
    copyFileSync(next.caFile, trustedCaFile);
    await side.reload();
    assert.notEqual(await echo(tls.connect({ ...options, session })), 'hello', maxVersion);
  }
});
