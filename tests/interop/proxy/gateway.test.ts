/** `etcd gateway`: clients of real etcd through it to members of either program, and through that of real etcd to ours. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { endProxies, ProxyProcess } from '../../support/proxy.ts';
import { run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

const GO = peer('3.7', 'etcd');

afterEach(endProxies);

async function etcdctl(version: '3.5' | '3.7', endpoint: string, ...args: string[]): Promise<string> {
  const ended = await run(peer(version, 'etcdctl'), [`--endpoints=${endpoint}`, ...args]);
  assert.equal(ended.code, 0, ended.stderr);
  return ended.stdout;
}

for (const [what, gatewayProgram, serverProgram] of [
  ['our gateway before our member', SUBJECT, SUBJECT],
  ['our gateway before a member of Go', SUBJECT, GO],
  ["Go's gateway before our member", GO, SUBJECT],
] as const) {
  test(`${what} passes on what clients of 3.5 and 3.7 say`, needs('etcd 3.5', 'etcd 3.7'), async () => {
    const server = await EtcdServer.start({ program: serverProgram, flags: FAST_ELECTION });
    const gateway = await ProxyProcess.start('gateway', {
      program: gatewayProgram,
      endpoints: [server.clientUrl],
    });
    for (const version of ['3.5', '3.7'] as const) {
      assert.equal(await etcdctl(version, gateway.address, 'put', `k${version}`, 'v'), 'OK\n');
      assert.equal(await etcdctl(version, server.address, 'get', `k${version}`), `k${version}\nv\n`);
    }
    await gateway.stop();
    await server.stop();
  });
}

test('a member that is killed is left out, and used again when it is back', needs('etcd 3.7'), async () => {
  const servers = [
    await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION }),
    await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION }),
  ];
  for (const [i, server] of servers.entries()) await etcdctl('3.7', server.address, 'put', 'who', `${i}`);
  const gateway = await ProxyProcess.start('gateway', {
    endpoints: servers.map(({ address }) => address),
    flags: ['--retry-delay=100ms'],
  });
  const who = async (): Promise<string> =>
    (await etcdctl('3.7', gateway.address, 'get', 'who', '--print-value-only')).trim();
  assert.deepEqual([await who(), await who()].sort(), ['0', '1']);
  await servers[0]!.kill();
  assert.deepEqual([await who(), await who()], ['1', '1']);
  await gateway.waitForLog('deactivated endpoint');
  const back = await servers[0]!.restart();
  await gateway.waitForLog('"activated"');
  assert.deepEqual([await who(), await who()].sort(), ['0', '1']);
  await gateway.stop();
  for (const server of [back, servers[1]!]) await server.stop();
});

test('S13 with an authority, only members with its certificates are used', needs('etcd 3.7'), async () => {
  const directory = temporaryDirectory();
  const authority = await TestAuthority.create(directory);
  const stranger = await TestAuthority.create(`${directory}/stranger`, 'stranger');
  const servers = [];
  for (const [i, one] of [authority, stranger].entries()) {
    const pair = await one.issue('server', { hosts: ['127.0.0.1'] });
    const flags = [...FAST_ELECTION, `--cert-file=${pair.certFile}`, `--key-file=${pair.keyFile}`];
    const server = await EtcdServer.start({ program: SUBJECT, clientScheme: 'https', flags });
    await etcdctl('3.7', server.clientUrl, '--insecure-skip-tls-verify', 'put', 'who', `${i}`);
    servers.push(server);
  }
  const gateway = await ProxyProcess.start('gateway', {
    endpoints: servers.map(({ clientUrl }) => clientUrl),
    flags: [`--trusted-ca-file=${authority.caFile}`],
  });
  await gateway.waitForLog('deactivated endpoint');
  for (let i = 0; i < 4; i++) {
    const url = `https://${gateway.address}`;
    assert.equal(await etcdctl('3.7', url, `--cacert=${authority.caFile}`, 'get', 'who'), 'who\n0\n');
  }
  await gateway.stop();
  for (const server of servers) await server.stop();
});

test('the refusals of the command line are those of etcd', needs('etcd 3.7'), async () => {
  const port = await freePort();
  for (const args of [
    [`--listen-addr=127.0.0.1:${port}`, `--endpoints=localhost:${port}`],
    [`--listen-addr=127.0.0.1:${port}`, `--endpoints=http://127.0.0.1:${port}`],
    ['--endpoints=nonsense'],
    ['--endpoints=no.such.invalid:1'],
    ['--endpoints='],
    ['--listen-addr=nonsense'],
    ['--listen-addr=no.such.invalid:1'],
  ]) {
    const [ours, theirs] = await Promise.all(
      [SUBJECT, GO].map((program) => run(program, ['gateway', 'start', ...args])),
    );
    assert.deepEqual([ours!.code, ours!.stdout], [theirs!.code, theirs!.stdout], args.join(' '));
  }
});
