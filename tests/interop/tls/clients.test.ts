/**
 * Clients over TLS: etcdctl of real etcd against a member, with every combination of certificates that is right and of those that are not.
 * What is refused costs nobody else anything, and is logged with where it came from.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { type IssuedCertificate, TestAuthority } from '@etcd/host/testing';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { foundedAt, needs, peer, REFERENCE, SUBJECT, tool } from '../../support/programs.ts';
import { type Ended, eventually, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const DAY_MS = 86_400_000;
const directory = temporaryDirectory();
let authority: TestAuthority;
let stranger: TestAuthority;
let crlFile: string;
const pairs = new Map<string, IssuedCertificate>();

before(async () => {
  authority = await TestAuthority.create(directory);
  stranger = await TestAuthority.create(`${directory}/stranger`, 'stranger');
  const past = new Date(Date.now() - DAY_MS);
  const made: [string, Promise<IssuedCertificate>][] = [
    ['server', authority.issue('server', { hosts: ['127.0.0.1', 'localhost'] })],
    ['elsewhere', authority.issue('elsewhere', { hosts: ['10.1.2.3'] })],
    ['client', authority.issue('client', { commonName: 'client', hosts: ['app.example'] })],
    ['other', authority.issue('other', { commonName: 'other', hosts: ['other.example'] })],
    ['revoked', authority.issue('revoked')],
    ['expired', authority.issue('expired', { notAfter: past })],
    ['serverOnly', authority.issue('server-only', { usages: ['server'] })],
    ['foreign', stranger.issue('foreign')],
  ];
  for (const [name, pair] of made) pairs.set(name, await pair);
  crlFile = await authority.revoke([pairs.get('revoked')!.serialNumber]);
});

interface Setting {
  readonly what: string;
  readonly flags: () => readonly string[];
  readonly accepted: readonly string[];
  readonly refused: readonly string[];
}

const cert = (name: string, prefix = ''): string[] => [
  `--${prefix}cert-file=${pairs.get(name)!.certFile}`,
  `--${prefix}key-file=${pairs.get(name)!.keyFile}`,
];

const SETTINGS: readonly Setting[] = [
  {
    what: 'a certificate alone',
    flags: () => cert('server'),
    accepted: ['', 'client', 'foreign'],
    refused: [],
  },
  {
    what: 'an authority of clients',
    flags: () => [...cert('server'), `--trusted-ca-file=${authority.caFile}`, '--client-cert-auth'],
    accepted: ['client', 'other', 'revoked'],
    refused: ['', 'foreign', 'expired', 'serverOnly'],
  },
  {
    what: 'an authority and revocations',
    flags: () => [
      ...cert('server'),
      `--trusted-ca-file=${authority.caFile}`,
      '--client-cert-auth',
      `--client-crl-file=${crlFile}`,
    ],
    accepted: ['client'],
    refused: ['', 'foreign', 'revoked'],
  },
  {
    what: 'allowed host names',
    flags: () => [
      ...cert('server'),
      `--trusted-ca-file=${authority.caFile}`,
      '--client-cert-auth',
      '--client-cert-allowed-hostname=app.example',
    ],
    accepted: ['client'],
    refused: ['other'],
  },
  {
    what: 'the certificate of another host',
    flags: () => cert('elsewhere'),
    accepted: [],
    refused: ['', 'client'],
  },
  {
    what: 'only TLS 1.3',
    flags: () => [...cert('server'), '--tls-min-version=TLS1.3'],
    accepted: ['', 'client'],
    refused: [],
  },
  {
    what: 'one suite of TLS 1.2',
    flags: () => [
      ...cert('server'),
      '--tls-max-version=TLS1.2',
      '--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
    ],
    accepted: ['', 'client'],
    refused: [],
  },
];

const VERSIONS = ['3.4', '3.5', '3.7'] as const;
/** Whoever is refused tries until then. */
const REFUSED_AFTER = '1500ms';

function ctl(
  version: (typeof VERSIONS)[number],
  server: EtcdServer,
  client: string,
  args: readonly string[],
  timeout = '30s',
): Promise<Ended> {
  const pair = pairs.get(client);
  const credentials = pair === undefined ? [] : [`--cert=${pair.certFile}`, `--key=${pair.keyFile}`];
  return run(
    peer(version, 'etcdctl'),
    [
      `--endpoints=https://${server.address}`,
      `--cacert=${authority.caFile}`,
      `--command-timeout=${timeout}`,
      `--dial-timeout=${timeout}`,
      ...credentials,
      ...args,
    ],
    { env: { ETCDCTL_API: '3' } },
  );
}

for (const { what, flags, accepted, refused } of SETTINGS) {
  for (const [name, program] of [
    ['ours', SUBJECT],
    ['real etcd', REFERENCE],
  ] as const) {
    test(
      `S06 ${name} with ${what}: who is served and who is not`,
      needs('etcd 3.4', 'etcd 3.5', 'etcd 3.7'),
      async () => {
        const server = await EtcdServer.start({
          program,
          clientScheme: 'https',
          flags: [...FAST_ELECTION, ...flags()],
        });
        const clients = [...accepted, ...refused].flatMap((client) =>
          VERSIONS.map((version) => ({ version, client })),
        );
        const outcomes = await Promise.all(
          clients.map(async ({ version, client }) => {
            const timeout = refused.includes(client) ? REFUSED_AFTER : undefined;
            const { code, stdout } = await ctl(version, server, client, ['put', 'a', 'b'], timeout);
            return { version, client, isServed: code === 0 && stdout === 'OK\n' };
          }),
        );
        const expected = clients.map((each) => ({ ...each, isServed: accepted.includes(each.client) }));
        assert.deepEqual(outcomes, expected);
        await server.kill();
      },
    );
  }
}

test(
  'gRPC, JSON-less HTTP/1.1 and HTTP/2 share the TLS port; metrics have one of their own',
  needs('curl'),
  async () => {
    const flags = [...FAST_ELECTION, ...cert('server')];
    const server = await EtcdServer.start({ clientScheme: 'https', flags });
    for (const version of ['--http1.1', '--http2']) {
      const { stdout } = await run(tool('curl'), [
        '-s',
        version,
        '--cacert',
        authority.caFile,
        `https://${server.address}/health`,
      ]);
      assert.match(stdout, /"health":"true"/, version);
    }
    await server.kill();
  },
);

test(
  'plain text on a TLS port and TLS on a plain port end that connection alone',
  needs('curl'),
  async () => {
    const server = await EtcdServer.start({
      clientScheme: 'https',
      flags: [...FAST_ELECTION, ...cert('server')],
    });
    const plain = await run(tool('curl'), ['-s', `http://${server.address}/health`]);
    assert.notEqual(plain.code, 0);
    const line = await server.waitForLog('rejected connection on client endpoint');
    assert.equal(line.fields['error'], 'tls: first record does not look like a TLS handshake');
    assert.equal((await ctl('3.5', server, '', ['put', 'a', 'b'])).code, 0);
    await server.kill();

    const clear = await EtcdServer.start({ flags: FAST_ELECTION });
    const secure = await run(tool('curl'), ['-s', '-k', `https://${clear.address}/health`]);
    assert.notEqual(secure.code, 0);
    const { stdout } = await run(tool('curl'), ['-s', `http://${clear.address}/health`]);
    assert.match(stdout, /true/);
    await clear.kill();
  },
);

function metricsOf(server: EtcdServer): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(`${server.clientUrl}/metrics`, { ca: readFileSync(authority.caFile) }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text));
    });
    request.on('error', reject);
  });
}

test('S15 a handshake that stalls ends at its deadline, and holds up nobody', async () => {
  const server = await EtcdServer.start({
    clientScheme: 'https',
    flags: [...FAST_ELECTION, ...cert('server')],
  });
  const stalled = connect(server.clientPort, server.host);
  // The beginning of a ClientHello whose rest never comes.
  stalled.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]));
  stalled.on('error', () => {});
  assert.equal((await ctl('3.5', server, '', ['put', 'a', 'b'])).code, 0);
  await eventually('it is closed', () => stalled.closed);
  const line = await server.waitForLog('rejected connection on client endpoint');
  assert.equal(line.fields['error'], 'i/o timeout');
  assert.match(String(line.fields['remote-addr']), /^127\.0\.0\.1:\d+$/);
  const count = /^etcd_network_rejected_connections_total\{endpoint="client"\} (\d+)$/m;
  assert.equal(count.exec(await metricsOf(server))?.[1], '1');
  await server.kill();
});

test('a certificate that the member makes for itself', needs('etcd 3.5'), async () => {
  const flags = [...FAST_ELECTION, '--auto-tls'];
  const server = await EtcdServer.start({ clientScheme: 'https', flags: [...flags, ...foundedAt('3.5')] });
  const args = [
    `--endpoints=https://${server.address}`,
    '--insecure-skip-tls-verify',
    '--insecure-transport=false',
    'put',
    'a',
    'b',
  ];
  const { code } = await run(peer('3.5', 'etcdctl'), args);
  assert.equal(code, 0);
  // It is used again, also by real etcd.
  await server.stop();
  const again = await server.restart({ program: REFERENCE, flags });
  const { stdout } = await run(peer('3.5', 'etcdctl'), [...args.slice(0, 3), 'get', 'a']);
  assert.equal(stdout, 'a\nb\n');
  await again.kill();
});

after(() => pairs.clear());
