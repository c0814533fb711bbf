/** Members that register at another etcd and found a cluster when all are there (v3 discovery), members of real etcd among them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import type { Kind } from '../../support/cluster.ts';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, PEERS_DIR, peer, SUBJECT } from '../../support/programs.ts';
import { run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { foundTogether, launchFounder, planFounders } from './founders.ts';

const REGISTRY = '/_etcd/registry';

/** The service; what is put into it, and what members are told of it. */
class Service {
  readonly server: EtcdServer;
  readonly rpc: EtcdRpc;

  private constructor(server: EtcdServer) {
    this.server = server;
    this.rpc = new EtcdRpc(server.address);
  }

  static async start(program: string = SUBJECT): Promise<Service> {
    return new Service(await EtcdServer.start({ program, flags: FAST_ELECTION }));
  }

  put(key: string, value: string): Promise<unknown> {
    return this.rpc.call('KV.Put', { key: REGISTRY + key, value });
  }

  flags(token: string): string[] {
    return [`--discovery-token=${token}`, `--discovery-endpoints=${this.server.clientUrl}`];
  }

  async stop(): Promise<void> {
    this.rpc.close();
    await this.server.kill();
  }
}

const MIXES: readonly { kinds: readonly Kind[]; service: string }[] = [
  { kinds: ['ours', 'ours', 'ours'], service: peer('3.7', 'etcd') },
  { kinds: ['ours', '3.6', '3.7'], service: peer('3.5', 'etcd') },
  { kinds: ['3.7', 'ours', '3.7'], service: SUBJECT },
];

for (const { kinds, service: program } of MIXES) {
  test(
    `${kinds.join(', ')} found a cluster at ${program === SUBJECT ? 'ours' : program.split('/').at(-2)}`,
    needs('etcd 3.5', 'etcd 3.6', 'etcd 3.7'),
    async () => {
      const service = await Service.start(program);
      try {
        await service.put('/T/_config/size', String(kinds.length));
        const founders = await planFounders(kinds);
        await foundTogether(
          founders,
          () => ({ flags: service.flags('T') }),
          async (servers) => {
            // Nobody finds room any more; nor does a member that has lost its directory found the cluster again.
            const [late] = await planFounders(['ours']);
            const refused = await launchFounder({ ...late!, name: 'late' }, { flags: service.flags('T') });
            assert.match(
              (await refused.ended).stderr,
              /failed to join discovery cluster \(discovery: cluster is full\)/,
            );
            await servers[0]!.kill();
            const lost = await launchFounder(
              { ...founders[0]!, kind: 'ours' },
              { flags: service.flags('T') },
            );
            const { code, stderr } = await lost.ended;
            assert.match(stderr, /member [0-9a-f]+ has already been bootstrapped/);
            assert.equal(code, 1);
          },
        );
      } finally {
        await service.stop();
      }
    },
  );
}

test(
  'a member waits for the others, and for a service that is not there yet',
  needs('etcd 3.7'),
  async () => {
    const service = await Service.start(peer('3.7', 'etcd'));
    await service.put('/T/_config/size', '2');
    const flags = [...service.flags('T'), '--discovery-request-timeout=1s'];
    await service.stop();
    const [first, second] = await planFounders(['ours', 'ours']);
    const early = await launchFounder(first!, { flags });
    await early.waitForLog('retry connecting to discovery service');
    const again = await service.server.restart();
    await early.waitForLog('waiting for peers from discovery service');
    const other = await launchFounder(second!, { flags });
    await Promise.all([early.ready(), other.ready()]);
    await Promise.all([early.kill(), other.kill(), again.kill()]);
  },
);

/** Sizes that are none, in the words of real etcd. */
const SIZES: readonly [string | null, string][] = [
  [null, 'discovery: size key not found'],
  ['', 'discovery: size key is bad'],
  ['three', 'discovery: size key is bad'],
  ['0', 'discovery: size key is bad'],
  ['-3', 'discovery: size key is bad'],
];

test('a size that is missing or none ends the start, in the same words', needs('etcd 3.7'), async () => {
  const service = await Service.start();
  try {
    for (const [i, [size, words]] of SIZES.entries()) {
      if (size !== null) await service.put(`/T${i}/_config/size`, size);
      for (const kind of ['ours', '3.7'] as const) {
        const [founder] = await planFounders([kind]);
        const member = await launchFounder(founder!, { flags: service.flags(`T${i}`) });
        const { code, stderr } = await member.ended;
        assert.ok(
          stderr.includes(`failed to join discovery cluster (${words})`),
          `${kind} ${size}: ${stderr}`,
        );
        assert.equal(code, 1);
      }
    }
  } finally {
    await service.stop();
  }
});

test('over TLS, as a user with a password, and refused without either', needs('etcd 3.7'), async () => {
  const directory = temporaryDirectory();
  const authority = await TestAuthority.create(directory);
  const server = await authority.issue('server', { hosts: ['127.0.0.1'] });
  const client = await authority.issue('client', { commonName: 'nobody' });
  const program = peer('3.7', 'etcd');
  const service = await EtcdServer.start({
    program,
    clientScheme: 'https',
    flags: [
      ...FAST_ELECTION,
      `--cert-file=${server.certFile}`,
      `--key-file=${server.keyFile}`,
      `--trusted-ca-file=${authority.caFile}`,
      '--client-cert-auth',
    ],
  });
  const tls = { cert: client.certFile, key: client.keyFile, cacert: authority.caFile };
  const ctl = async (...args: string[]): Promise<void> => {
    const flags = Object.entries(tls).map(([name, file]) => `--${name}=${file}`);
    const { code, stderr } = await run(`${PEERS_DIR}/3.7/etcdctl`, [
      `--endpoints=${service.clientUrl}`,
      ...flags,
      ...args,
    ]);
    assert.equal(code, 0, stderr);
  };
  try {
    await ctl('put', `${REGISTRY}/T/_config/size`, '2');
    await ctl('user', 'add', 'root:r');
    await ctl('user', 'add', 'finder:secret');
    await ctl('role', 'add', 'finder');
    await ctl('role', 'grant-permission', 'finder', 'readwrite', `${REGISTRY}/`, '--prefix');
    await ctl('user', 'grant-role', 'root', 'root');
    await ctl('user', 'grant-role', 'finder', 'finder');
    await ctl('auth', 'enable');
    const flags = [
      '--discovery-token=T',
      `--discovery-endpoints=${service.clientUrl}`,
      '--discovery-insecure-transport=false',
      ...Object.entries(tls).map(([name, file]) => `--discovery-${name}=${file}`),
    ];
    const user = ['--discovery-user=finder', '--discovery-password=secret'];
    const [wrong] = await planFounders(['ours']);
    for (const credentials of [['--discovery-user=finder', '--discovery-password=wrong'], []]) {
      const member = await launchFounder(wrong!, { flags: [...flags, ...credentials] });
      const { code, stderr } = await member.ended;
      assert.match(
        stderr,
        /failed to join discovery cluster \(etcdserver: (authentication failed|user name is empty|permission denied)/,
      );
      assert.equal(stderr.includes('wrong'), false, 'S09 the password is in no line');
      assert.equal(code, 1);
    }
    await foundTogether(await planFounders(['ours', '3.7']), () => ({ flags: [...flags, ...user] }));
  } finally {
    await service.kill();
  }
});
