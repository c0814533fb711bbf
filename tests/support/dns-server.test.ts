/** The name server is asked by three resolvers: Node's own, the C library's, and those of programs in a mount namespace. */
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { test } from 'node:test';
import { DnsServer, needsNameServer } from './dns-server.ts';
import { run } from './run.ts';

const ZONE = {
  a: { 'm1.example.test': ['127.0.0.1'], 'm2.example.test': ['127.0.0.2', '127.0.0.3'] },
  srv: {
    '_etcd-server._tcp.example.test': [
      { target: 'm1.example.test', port: 2380 },
      { target: 'm2.example.test', port: 12380, priority: 3, weight: 7 },
    ],
  },
  broken: ['_etcd-client._tcp.example.test'],
};

test('records are answered as they are written', needsNameServer(), async () => {
  const server = await DnsServer.start(ZONE);
  try {
    const resolver = new Resolver();
    resolver.setServers([server.address]);
    assert.deepEqual((await resolver.resolve4('m2.example.test')).sort(), ['127.0.0.2', '127.0.0.3']);
    const records = await resolver.resolveSrv('_etcd-server._tcp.example.test');
    assert.deepEqual(
      records.map(({ name, port, priority, weight }) => [name, port, priority, weight]),
      [
        ['m1.example.test', 2380, 0, 0],
        ['m2.example.test', 12380, 3, 7],
      ],
    );
    await assert.rejects(resolver.resolveSrv('m1.example.test'), { code: 'ENODATA' });
    await assert.rejects(resolver.resolveSrv('_nobody._tcp.example.test'), { code: 'ENOTFOUND' });
    await assert.rejects(resolver.resolveSrv('_etcd-client._tcp.example.test'), { code: 'ESERVFAIL' });
    assert.deepEqual(server.questions.at(-1)!.name, '_etcd-client._tcp.example.test');
  } finally {
    await server.stop();
  }
});

test('a program that is started with the launcher asks this server', needsNameServer(), async () => {
  const server = await DnsServer.start(ZONE);
  try {
    const [command, ...args] = [...server.launcher, 'getent', 'ahostsv4', 'm1.example.test'];
    const { stdout, code } = await run(command!, args);
    assert.equal(code, 0);
    assert.match(stdout, /^127\.0\.0\.1 /);
    assert.deepEqual(server.questions[0], { name: 'm1.example.test', type: 1 });
  } finally {
    await server.stop();
  }
});
