/**
 * Users whose name is in their certificate: etcdctl without a password, tokens beside certificates, and the gateway, which takes no name
 * from a certificate. Real etcd is asked the same, and gives the same verdicts in the same words.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type IssuedCertificate, TestAuthority } from '@etcd/host/testing';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, type PeerVersion, peer, SUBJECT, tool } from '../../support/programs.ts';
import { run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** Names of certificates; `unnamed` has no common name, `nobody` is no user, `gone` is one that is deleted. */
const CLIENTS = ['root', 'u', 'nobody', 'gone', 'unnamed'] as const;
type Client = (typeof CLIENTS)[number];

const directory = temporaryDirectory();
let authority: TestAuthority;
let serverPair: IssuedCertificate;
const pairs = new Map<Client, IssuedCertificate>();

before(async () => {
  authority = await TestAuthority.create(directory);
  serverPair = await authority.issue('server', { hosts: ['127.0.0.1'], commonName: 'root' });
  for (const name of CLIENTS) {
    pairs.set(name, await authority.issue(name, { commonName: name === 'unnamed' ? '' : name }));
  }
});

after(() => pairs.clear());

/** A server that knows its clients by their certificates, and who asks it. */
class Asked {
  readonly server: EtcdServer;
  readonly told: string[] = [];

  constructor(server: EtcdServer) {
    this.server = server;
  }

  static async start(program: string): Promise<Asked> {
    const flags = [
      ...FAST_ELECTION,
      `--cert-file=${serverPair.certFile}`,
      `--key-file=${serverPair.keyFile}`,
      `--trusted-ca-file=${authority.caFile}`,
      '--client-cert-auth',
    ];
    return new Asked(await EtcdServer.start({ program, clientScheme: 'https', flags }));
  }

  /** Runs etcdctl with a certificate, and notes what it printed. */
  async ctl(release: PeerVersion, client: Client, ...args: string[]): Promise<void> {
    const { certFile, keyFile } = pairs.get(client)!;
    const ended = await run(peer(release, 'etcdctl'), [
      `--endpoints=https://${this.server.address}`,
      `--cacert=${authority.caFile}`,
      `--cert=${certFile}`,
      `--key=${keyFile}`,
      ...args,
    ]);
    const error = /Error: .*|"error":"[^"]*"/.exec(ended.stderr)?.[0] ?? '';
    const said = error.replaceAll(this.server.address, '<address>');
    this.told.push(`${client}: ${args.join(' ')}: ${ended.code} ${JSON.stringify(ended.stdout)} ${said}`);
  }

  /** A call with a certificate and metadata of the caller's choice. */
  async call(client: Client, metadata: Readonly<Record<string, string>>, key: string): Promise<void> {
    const rpc = this.#rpc(client, metadata);
    const outcome = await rpc.outcome('KV.Put', { key, value: '1' });
    rpc.close();
    const said = outcome.ok ? 'OK' : `${outcome.code} ${outcome.details}`;
    this.told.push(`${client} with ${Object.keys(metadata).join()}: put ${key}: ${said}`);
  }

  async token(name: string, password: string): Promise<string> {
    const rpc = this.#rpc('unnamed', {});
    const { token } = await rpc.call('Auth.Authenticate', { name, password });
    rpc.close();
    return token;
  }

  /** A request to the gateway over TLS. */
  async post(client: Client, path: string, body: object, ...more: string[]): Promise<void> {
    const { certFile, keyFile } = pairs.get(client)!;
    for (const version of ['--http1.1', '--http2']) {
      const { stdout } = await run(tool('curl'), [
        '-s',
        version,
        ...['--cacert', authority.caFile, '--cert', certFile, '--key', keyFile],
        ...['-d', JSON.stringify(body), '-w', '\n%{http_code}', ...more],
        `https://${this.server.address}${path}`,
      ]);
      const [answer, status] = stdout.split(/\n(?=\d+$)/);
      const said = answer!.startsWith('{') ? (JSON.parse(answer!)['message'] ?? 'OK') : answer!.trim();
      this.told.push(
        `${client}: ${version} ${path} ${more.length > 0 ? 'with a token' : ''}: ${status} ${said}`,
      );
    }
  }

  #rpc(client: Client, metadata: Readonly<Record<string, string>>): EtcdRpc {
    const files = { ...pairs.get(client)!, caFile: authority.caFile };
    return new EtcdRpc(this.server.address, metadata, files);
  }
}

const KEY = Buffer.from('u/1').toString('base64');
const PUT = { key: KEY, value: KEY };

async function makeUsers(asked: Asked, release: PeerVersion): Promise<void> {
  const setUp = [
    ['user', 'add', 'root', '--no-password'],
    ['user', 'grant-role', 'root', 'root'],
    ['role', 'add', 'r'],
    ['role', 'grant-permission', 'r', 'readwrite', 'u/', '--prefix'],
    ['user', 'add', 'u:secret'],
    ['user', 'grant-role', 'u', 'r'],
    ['user', 'add', 'gone:secret'],
    ['user', 'grant-role', 'gone', 'r'],
    ['user', 'add', 'boss:secret'],
    ['user', 'grant-role', 'boss', 'root'],
  ];
  for (const args of setUp) await asked.ctl(release, 'nobody', ...args);
  await asked.post('root', '/v3/kv/put', PUT);
  await asked.ctl(release, 'unnamed', 'auth', 'enable');
}

/** Certificates alone. */
async function useCertificates(asked: Asked, release: PeerVersion): Promise<void> {
  for (const client of CLIENTS) {
    const ctl = (...args: string[]): Promise<void> => asked.ctl(release, client, ...args);
    await ctl('put', 'u/1', client);
    await ctl('get', 'u/1', '--print-value-only');
    await ctl('put', 'v', '1');
    await ctl('get', 'u/', '--prefix', '--keys-only');
    await ctl('get', '', '--from-key', '--keys-only');
    await ctl('user', 'list');
    await ctl('user', 'get', 'u');
    await ctl('role', 'get', 'r');
    // Real etcd tells even those who have no name that there is no such lease.
    if (client !== 'unnamed') await ctl('lease', 'revoke', '1234');
    await ctl('compaction', '1');
  }
  await asked.ctl(release, 'root', 'user', 'delete', 'gone');
  await asked.ctl(release, 'gone', 'put', 'u/1', '1');
  await asked.ctl(release, 'gone', 'get', 'u/1');
  await asked.ctl(release, 'gone', 'user', 'list');
}

/** A token says who calls, whatever the certificate says. */
async function useTokens(asked: Asked, release: PeerVersion): Promise<void> {
  await asked.ctl(release, 'u', '--user=boss:secret', 'put', 'v', '1');
  await asked.ctl(release, 'root', '--user=u:secret', 'put', 'v', '1');
  await asked.ctl(release, 'root', '--user=u:secret', 'put', 'u/1', '1');
  await asked.ctl(release, 'root', '--user=u:wrong', 'put', 'u/1', '1');
  await asked.ctl(release, 'root', '--user=root:secret', 'put', 'u/1', '1');
  await asked.ctl(release, 'unnamed', '--user=u:secret', 'put', 'u/1', '1');
  const token = await asked.token('u', 'secret');
  await asked.call('root', {}, 'v');
  await asked.call('root', { token }, 'v');
  await asked.call('root', { token }, 'u/1');
  await asked.call('root', { token: 'forged.1' }, 'v');
  await asked.call('root', { token: '' }, 'v');
  await asked.call('root', { authorization: token }, 'v');
  // Whoever claims to come from the gateway has no name by its certificate.
  await asked.call('root', { 'grpcgateway-accept': '*/*' }, 'v');
  await asked.call('root', { 'grpcgateway-accept': '*/*', token }, 'u/1');
}

async function useGateway(asked: Asked): Promise<void> {
  const token = await asked.token('u', 'secret');
  for (const client of ['root', 'u', 'nobody', 'unnamed'] as const) {
    await asked.post(client, '/v3/kv/put', PUT);
    await asked.post(client, '/v3beta/kv/put', PUT);
    await asked.post(client, '/v3/kv/put', PUT, '-H', `Authorization: ${token}`);
    await asked.post(client, '/v3/auth/user/list', {});
  }
}

async function verdicts(program: string, release: PeerVersion): Promise<string[]> {
  const asked = await Asked.start(program);
  try {
    await makeUsers(asked, release);
    await useCertificates(asked, release);
    await useTokens(asked, release);
    await useGateway(asked);
    return asked.told;
  } finally {
    await asked.server.kill();
  }
}

for (const release of ['3.5', '3.7'] as const) {
  test(
    `S07 etcdctl ${release} with certificates for names: the verdicts of etcd ${release}`,
    needs('etcd 3.5', 'etcd 3.7', 'curl'),
    async () => {
      const [ours, theirs] = await Promise.all([
        verdicts(SUBJECT, release),
        verdicts(peer(release, 'etcd'), release),
      ]);
      if (process.env['ETCD_TEST_PRINT'] !== undefined) process.stdout.write(`${theirs.join('\n')}\n`);
      assert.deepEqual(ours, theirs);
    },
  );
}
