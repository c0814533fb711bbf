/** `etcd grpc-proxy`: clients and tools of real etcd through it to members of either program, and through that of real etcd to ours. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { connect } from '@etcd/client/node';
import { TestAuthority } from '@etcd/host/testing';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, REFERENCE, SUBJECT } from '../../support/programs.ts';
import { endProxies, ProxyProcess } from '../../support/proxy.ts';
import { type Ended, eventually, Running, run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';
import { checkVerdicts, makeUsers, UserRpc } from '../auth/users.ts';

const GO = peer('3.7', 'etcd');

afterEach(endProxies);

function etcdctl(version: '3.5' | '3.7', endpoint: string, ...args: string[]): Promise<Ended> {
  return run(peer(version, 'etcdctl'), [`--endpoints=${endpoint}`, ...args]);
}

/** What is said of a store that two command lines have been carried out on, with what chance has chosen masked. */
function masked({ code, stdout, stderr }: Ended): object {
  const hide = (text: string): string =>
    text
      .replace(/"ts":"[^"]*"/g, '"ts":""')
      .replace(/(cluster_id|member_id|raft_term)":\d+/g, '$1":0')
      .replace(/\b[0-9a-f]{15,16}\b/g, 'ID')
      .replace(/127\.0\.0\.1:\d+/g, 'ADDRESS')
      .replace(/logger\.go:\d+/g, 'logger.go')
      .replace(/target":"[^"]*"/g, 'target":""');
  return { code, stdout: hide(stdout), stderr: hide(stderr) };
}

const COMMAND_LINES: readonly (readonly string[])[] = [
  ['put', 'a', '1', '-w', 'json'],
  ['put', 'a', '2', '--prev-kv'],
  ['get', 'a', '-w', 'json'],
  ['get', 'a', '--consistency=s'],
  ['get', 'a', '--consistency=s'],
  ['put', 'b', '3'],
  ['get', 'a', 'z', '--consistency=s', '-w', 'json'],
  ['get', '', '--prefix', '--keys-only'],
  ['get', 'a', '--rev=2'],
  ['get', 'a', '--rev=99'],
  ['put', 'c', 'x', '--lease=1234'],
  ['lease', 'grant', '600'],
  ['lease', 'revoke', '1234'],
  ['lease', 'timetolive', '1234'],
  ['lease', 'keep-alive', '--once', '1234'],
  ['del', 'b', '--prev-kv'],
  ['get', 'b', '--consistency=s'],
  ['compaction', '3'],
  ['get', 'a', '--rev=2'],
  ['compaction', '3'],
  ['endpoint', 'health'],
  ['alarm', 'list'],
  ['user', 'add', 'u:p'],
  ['role', 'add', 'r'],
  ['role', 'grant-permission', 'r', 'readwrite', 'k'],
  ['user', 'grant-role', 'u', 'r'],
  ['user', 'get', 'u'],
  ['user', 'list'],
  ['auth', 'status'],
  ['defrag'],
  ['check', 'nonsense'],
];

for (const [what, proxyProgram, serverProgram] of [
  ['our proxy before our member', SUBJECT, SUBJECT],
  ['our proxy before a member of etcd 3.5', SUBJECT, REFERENCE],
  ['our proxy before a member of etcd 3.7', SUBJECT, GO],
  ["Go's proxy before our member", GO, SUBJECT],
] as const) {
  test(`${what}: etcdctl says the same with it and without`, needs('etcd 3.5', 'etcd 3.7'), async () => {
    const [proxied, direct] = await Promise.all([
      EtcdServer.start({ program: serverProgram, flags: FAST_ELECTION }),
      EtcdServer.start({ program: serverProgram, flags: FAST_ELECTION }),
    ]);
    const proxy = await ProxyProcess.start('grpc-proxy', {
      program: proxyProgram,
      endpoints: [proxied.address],
    });
    for (const [i, args] of COMMAND_LINES.entries()) {
      const version = i % 2 === 0 ? '3.7' : '3.5';
      const [with_, without] = await Promise.all([
        etcdctl(version, proxy.address, ...args),
        etcdctl(version, direct.address, ...args),
      ]);
      // How long it took is part of the answer of some commands.
      const isGo = proxyProgram === GO;
      const clean = (ended: Ended): object =>
        masked({
          ...ended,
          stdout: ended.stdout.replace(/took = .*/, ''),
          // Go's proxy makes other codes of some errors, which only show in the log of its client.
          stderr: ended.stderr.replace(isGo ? /took = .*|^\{"level.*\n/gm : /took = .*/, ''),
        });
      assert.deepEqual(clean(with_), clean(without), args.join(' '));
    }
    await proxy.stop();
    await Promise.all([proxied.stop(), direct.stop()]);
  });
}

test('a snapshot, a transaction, a lock and a watch go through', needs('etcd 3.7'), async () => {
  const server = await EtcdServer.start({ program: GO, flags: FAST_ELECTION });
  const proxy = await ProxyProcess.start('grpc-proxy', { endpoints: [server.address] });
  const file = join(temporaryDirectory(), 'db');
  assert.equal((await etcdctl('3.7', proxy.address, 'snapshot', 'save', file)).code, 0);
  assert.ok(statSync(file).size > 10_000);
  const txn = 'value("a") = "0"\n\nput a 1\n\nput a 0\n\n';
  const ended = await run(peer('3.7', 'etcdctl'), [`--endpoints=${proxy.address}`, 'txn'], { stdin: txn });
  assert.equal(ended.stdout, 'FAILURE\n\nOK\n');
  const locked = await etcdctl('3.7', proxy.address, 'lock', 'name', 'echo', 'mine');
  assert.equal(locked.stdout, 'mine\n');
  const watch = new Running(peer('3.7', 'etcdctl'), [
    `--endpoints=${proxy.address}`,
    'watch',
    'a',
    '--rev=1',
  ]);
  await etcdctl('3.7', proxy.address, 'put', 'a', '2');
  await watch.waitForStdout((text) => text === 'PUT\na\n0\nPUT\na\n2\n');
  watch.kill();
  // Services that the members offer and this program's own may not: passed on all the same.
  const rpc = new EtcdRpc(proxy.address);
  const elected = await rpc.outcome('KV.Range', { key: 'a' });
  assert.equal(elected.ok, true);
  rpc.close();
  await proxy.stop();
  await server.stop();
});

test(
  'members come and go: calls are answered by another, watches lose nothing and repeat nothing',
  needs('etcd 3.7'),
  async () => {
    const names = ['a', 'b', 'c'];
    const ports = await Promise.all(
      names.map(async () => ({ client: await freePort(), peer: await freePort() })),
    );
    const initialCluster = names.map((name, i) => `${name}=http://127.0.0.1:${ports[i]!.peer}`).join(',');
    const servers = await Promise.all(
      names.map((name, i) =>
        EtcdServer.launch({
          program: i === 0 ? GO : SUBJECT,
          name,
          clientPort: ports[i]!.client,
          peerPort: ports[i]!.peer,
          initialCluster,
          flags: ['--heartbeat-interval=50', '--election-timeout=500'],
        }),
      ),
    );
    await Promise.all(servers.map((server) => server.ready()));
    const proxy = await ProxyProcess.start('grpc-proxy', {
      endpoints: servers.map(({ address }) => address),
    });
    const client = connect({ endpoints: [proxy.address] });
    const readers = Array.from({ length: 10 }, () => {
      const seen: string[] = [];
      const watch = client.watch('k/', { prefix: true });
      void (async () => {
        for await (const { kv } of watch.events()) seen.push(Buffer.from(kv!.value).toString());
      })().catch(() => {});
      return { seen, ready: watch.ready() };
    });
    await Promise.all(readers.map(({ ready }) => ready));
    const written: string[] = [];
    for (let round = 0; round < 3; round++) {
      const down = servers[round]!;
      await down.kill();
      for (let i = 0; i < 20; i++) {
        const value = `${round}.${i}`;
        // A write that may or may not have happened is no part of this: each is tried under a key of its own until it is there.
        for (let done = false; !done; ) {
          done = await client.kv.put(`k/${value}`, value, { timeoutMs: 5_000 }).then(
            () => true,
            async () => (await client.kv.get(`k/${value}`, { timeoutMs: 30_000 })).kvs.length > 0,
          );
        }
        written.push(value);
      }
      servers[round] = await down.restart();
    }
    await eventually('all watchers have seen everything', () =>
      readers.every(({ seen }) => new Set(seen).size === written.length),
    );
    for (const { seen } of readers) assert.deepEqual(seen, written);
    client.close();
    await proxy.stop();
    await Promise.all(servers.map((server) => server.stop()));
  },
);

for (const [what, program] of [
  ['our member', SUBJECT],
  ['a member of Go', GO],
] as const) {
  test(`S13 through a proxy before ${what} everybody has his own rights`, needs('etcd 3.7'), async () => {
    const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
    const proxy = await ProxyProcess.start('grpc-proxy', { endpoints: [server.address] });
    const anyone = new EtcdRpc(proxy.address);
    await makeUsers(anyone);
    await anyone.call('KV.Put', { key: 'x', value: 'secret' });
    // Remembered, and watched, before there are users.
    await anyone.call('KV.Range', { key: 'x', serializable: true });
    await anyone.call('Auth.AuthEnable', {});
    await checkVerdicts(proxy.address);
    const read = { key: 'x', serializable: true };
    const outcome = await anyone.outcome('KV.Range', read);
    assert.deepEqual(outcome.ok ? '' : outcome.details, 'etcdserver: user name is empty');
    const root = new UserRpc(proxy.address, 'root', 'pw');
    const user = new UserRpc(proxy.address, 'u', 'secret');
    await Promise.all([root.login(), user.login()]);
    for (let i = 0; i < 3; i++) {
      assert.equal(await root.try('KV.Range', read), 'ok');
      assert.equal(await user.try('KV.Range', read), 'etcdserver: permission denied');
    }
    const watching = connect({
      endpoints: [proxy.address],
      credentials: { username: 'root', password: 'pw' },
    });
    const allowed = watching.watch('x');
    await allowed.ready();
    const curious = connect({
      endpoints: [proxy.address],
      credentials: { username: 'u', password: 'secret' },
    });
    await assert.rejects(curious.watch('x').ready(), /permission denied/);
    const nobody = connect({ endpoints: [proxy.address] });
    await assert.rejects(nobody.watch('x').ready());
    await root.call('KV.Put', { key: 'x', value: 'new' });
    const { value } = await allowed.next();
    assert.equal(Buffer.from(value!.events[0]!.kv!.value).toString(), 'new');
    // Rights that are taken away are gone with the next question.
    await root.call('Auth.RoleGrantPermission', { name: 'r', perm: { permType: 'READ', key: 'x' } });
    assert.equal(await user.try('KV.Range', read), 'ok');
    await root.call('Auth.RoleRevokePermission', { role: 'r', key: 'x' });
    assert.equal(await user.try('KV.Range', read), 'etcdserver: permission denied');
    for (const client of [watching, curious, nobody]) client.close();
    for (const rpc of [anyone, root, user]) rpc.close();
    await proxy.stop();
    await server.stop();
  });
}

test('S13 a proxy whose endpoint leads to itself says so, and goes on', needs('etcd 3.7'), async () => {
  const port = await freePort();
  const proxy = await ProxyProcess.start('grpc-proxy', { port, endpoints: [`127.0.0.1:${port}`] });
  for (const args of [
    ['get', 'a'],
    ['put', 'a', 'b'],
  ]) {
    const { code, stderr } = await etcdctl('3.7', proxy.address, ...args);
    assert.equal(code, 1);
    assert.match(stderr, /etcd grpc-proxy: an endpoint leads back to this proxy/);
  }
  await proxy.waitForLog('an endpoint leads back to this proxy');
  await proxy.stop();
});

test(
  'a namespace is a store of its own, the same by our proxy and by that of Go',
  needs('etcd 3.7'),
  async () => {
    const server = await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION });
    const start = (program: string): Promise<ProxyProcess> =>
      ProxyProcess.start('grpc-proxy', { program, endpoints: [server.address], flags: ['--namespace=ns/'] });
    const [ours, theirs] = [await start(SUBJECT), await start(GO)];
    for (const key of ['a', 'ns/b', 'nt']) await etcdctl('3.7', server.address, 'put', key, 'outside');
    for (const proxy of [ours, theirs]) {
      await etcdctl('3.7', proxy.address, 'put', 'k', proxy === ours ? 'ours' : 'theirs');
      for (const args of [
        ['get', '', '--prefix'],
        ['get', 'a', '--from-key'],
        ['get', 'a', 'z', '--keys-only'],
      ]) {
        const { stdout } = await etcdctl('3.7', proxy.address, ...args);
        assert.equal(stdout.includes('nt'), false, args.join(' '));
        assert.ok(stdout.startsWith('b\n'), args.join(' '));
      }
    }
    assert.equal((await etcdctl('3.7', ours.address, 'get', 'k')).stdout, 'k\ntheirs\n');
    assert.equal((await etcdctl('3.7', server.address, 'get', 'ns/k')).stdout, 'ns/k\ntheirs\n');
    await etcdctl('3.7', ours.address, 'del', '', '--prefix');
    const left = await etcdctl('3.7', server.address, 'get', '', '--prefix', '--keys-only');
    assert.deepEqual(
      left.stdout.split('\n').filter((line) => line !== ''),
      ['a', 'nt'],
    );
    await Promise.all([ours.stop(), theirs.stop()]);
    await server.stop();
  },
);

test(
  'proxies that share a prefix tell clients of each other, those of Go too',
  needs('etcd 3.7'),
  async () => {
    const server = await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION });
    const flags = ['--resolver-prefix=proxies', '--resolver-ttl=5'];
    const proxies = [
      await ProxyProcess.start('grpc-proxy', { endpoints: [server.address], flags }),
      await ProxyProcess.start('grpc-proxy', { program: GO, endpoints: [server.address], flags }),
    ];
    const addresses = proxies.map(({ address }) => address).toSorted();
    const listed = async (proxy: ProxyProcess): Promise<string[]> => {
      const { stdout } = await etcdctl('3.7', proxy.address, 'member', 'list');
      const lines = stdout.trim().split('\n');
      for (const line of lines) assert.ok(line.includes(`, ${hostname()}, `), line);
      return lines.map((line) => line.split(', ')[4]!).toSorted();
    };
    for (const proxy of proxies) {
      await eventually('both are listed', async () => (await listed(proxy)).join() === addresses.join());
    }
    await proxies[0]!.stop();
    await eventually('the one that is gone is not', async () => (await listed(proxies[1]!)).length === 1);
    await proxies[1]!.stop();
    await server.stop();
  },
);

test('health and metrics are served as by etcd', needs('etcd 3.7'), async () => {
  const server = await EtcdServer.start({ program: GO, flags: FAST_ELECTION });
  const metricsPort = await freePort();
  const proxy = await ProxyProcess.start('grpc-proxy', {
    endpoints: [server.address],
    flags: [`--metrics-addr=http://127.0.0.1:${metricsPort}`],
  });
  const page = async (port: number, path: string): Promise<string> =>
    (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  for (let i = 0; i < 2; i++) await etcdctl('3.7', proxy.address, 'get', 'a', '--consistency=s');
  for (const port of [proxy.port, metricsPort]) {
    assert.equal(await page(port, '/health'), '{"health":"true","reason":""}');
    assert.equal(await page(port, '/proxy/health'), '{"health":"true","reason":""}');
    assert.match(await page(port, '/metrics'), /^etcd_server_has_leader 1$/m);
    const own = await page(port, '/proxy/metrics');
    for (const line of [
      'etcd_grpc_proxy_cache_hits_total 1',
      'etcd_grpc_proxy_cache_keys_total 1',
      'etcd_grpc_proxy_cache_misses_total 1',
      'etcd_grpc_proxy_events_coalescing_total 0',
      'etcd_grpc_proxy_watchers_coalescing_total 0',
    ]) {
      assert.ok(own.split('\n').includes(line), line);
    }
    assert.match(own, /^grpc_server_started_total\{grpc_method="Range",.*\} \d+$/m);
  }
  await server.kill();
  const sick = await fetch(`http://127.0.0.1:${proxy.port}/health`);
  assert.equal(sick.status, 503);
  assert.match(await sick.text(), /^\{"health":"false","reason":"GET ERROR:/);
  await proxy.stop();
});

test(
  'S13 TLS on both sides: certificates of members and of clients are checked',
  needs('etcd 3.7'),
  async () => {
    const directory = temporaryDirectory();
    const authority = await TestAuthority.create(directory);
    const stranger = await TestAuthority.create(`${directory}/stranger`, 'stranger');
    const own = await authority.issue('server', { hosts: ['127.0.0.1'] });
    const client = await authority.issue('client', { commonName: '' });
    const named = await authority.issue('named', { commonName: 'root' });
    const server = await EtcdServer.start({
      program: GO,
      clientScheme: 'https',
      flags: [
        ...FAST_ELECTION,
        `--cert-file=${own.certFile}`,
        `--key-file=${own.keyFile}`,
        `--trusted-ca-file=${authority.caFile}`,
        '--client-cert-auth',
      ],
    });
    const toMembers = [
      `--cacert=${authority.caFile}`,
      `--cert=${client.certFile}`,
      `--key=${client.keyFile}`,
    ];
    const toClients = [
      `--cert-file=${own.certFile}`,
      `--key-file=${own.keyFile}`,
      `--trusted-ca-file=${authority.caFile}`,
    ];
    const endpoints = [server.clientUrl];
    const proxy = await ProxyProcess.start('grpc-proxy', { endpoints, flags: [...toMembers, ...toClients] });
    const ask = (...files: string[]): Promise<Ended> =>
      etcdctl('3.7', `https://${proxy.address}`, ...files, 'put', 'a', 'b');
    const certified = [
      `--cacert=${authority.caFile}`,
      `--cert=${client.certFile}`,
      `--key=${client.keyFile}`,
    ];
    assert.equal((await ask(...certified)).stdout, 'OK\n');
    assert.equal((await ask(`--cacert=${authority.caFile}`)).code, 1);
    assert.equal((await ask(`--cacert=${stranger.caFile}`, ...certified.slice(1))).code, 1);
    const page = await run('curl', [
      '-s',
      '--cacert',
      authority.caFile,
      '--cert',
      client.certFile,
      '--key',
      client.keyFile,
      `https://${proxy.address}/metrics`,
    ]);
    assert.match(page.stdout, /^etcd_server_has_leader 1$/m);
    await proxy.stop();
    // Members of another authority are not believed.
    const distrusting = await ProxyProcess.start('grpc-proxy', {
      endpoints,
      flags: [`--cacert=${stranger.caFile}`, ...toMembers.slice(1)],
    });
    assert.equal((await etcdctl('3.7', distrusting.address, '--command-timeout=2s', 'get', 'a')).code, 1);
    await distrusting.stop();
    // Every client would be the user whose name it is.
    const refused = await run(SUBJECT, [
      'grpc-proxy',
      'start',
      `--endpoints=${server.clientUrl}`,
      `--cacert=${authority.caFile}`,
      `--cert=${named.certFile}`,
      `--key=${named.keyFile}`,
      `--listen-addr=127.0.0.1:${await freePort()}`,
    ]);
    assert.equal(refused.code, 1);
    assert.ok(refused.stderr.includes(`cert has non empty Common Name (root): ${named.certFile}`));
    const made = await ProxyProcess.start('grpc-proxy', { endpoints, flags: [...toMembers, '--auto-tls'] });
    const anyone = ['--insecure-skip-tls-verify', 'get', 'a'];
    assert.equal((await etcdctl('3.7', `https://${made.address}`, ...anyone)).stdout, 'a\nb\n');
    await made.stop();
    await server.stop();
  },
);

test('the refusals of the command line are those of etcd', needs('etcd 3.7'), async () => {
  for (const args of [
    ['--resolver-prefix=a'],
    ['--resolver-ttl=3'],
    ['--auto-tls', '--self-signed-cert-validity=0'],
    ['--tls-min-version=TLS1.1'],
    ['--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2'],
    ['--tls-min-version=TLS1.3', '--listen-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
  ]) {
    const [ours, theirs] = await Promise.all(
      [SUBJECT, GO].map((program) =>
        run(program, ['grpc-proxy', 'start', ...args], { cwd: temporaryDirectory() }),
      ),
    );
    const last = ({ code, stderr }: Ended): object => ({ code, line: stderr.trim().split('\n').at(-1) });
    assert.deepEqual(last(ours!), last(theirs!), args.join(' '));
  }
});
