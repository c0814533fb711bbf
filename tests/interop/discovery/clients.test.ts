/** Tools that find the members by the SRV records of a domain: ours as real etcd's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DnsServer, needsNameServer } from '../../support/dns-server.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { peer, ROOT } from '../../support/programs.ts';
import { type Ended, run } from '../../support/run.ts';

const DOMAIN = 'example.test';

for (const service of ['etcd-client', 'etcd-client-blue']) {
  test(`etcdctl finds the members of ${service}`, needsNameServer(), async () => {
    const server = await EtcdServer.start({ flags: FAST_ELECTION });
    const dns = await DnsServer.start({
      a: { [`m1.${DOMAIN}`]: ['127.0.0.1'] },
      srv: { [`_${service}._tcp.${DOMAIN}`]: [{ target: `m1.${DOMAIN}`, port: server.clientPort }] },
    });
    const suffix = service === 'etcd-client' ? [] : ['--discovery-srv-name=blue'];
    const ask = (program: string, ...args: string[]): Promise<Ended> => {
      const flags = [`--discovery-srv=${DOMAIN}`, ...suffix, '--insecure-discovery'];
      const [command, ...rest] = [...dns.launcher, program, ...flags, ...args];
      return run(command!, rest);
    };
    try {
      for (const program of [`${ROOT}bin/etcdctl`, peer('3.5', 'etcdctl'), peer('3.7', 'etcdctl')]) {
        const put = await ask(program, 'put', 'k', program);
        assert.deepEqual([put.code, put.stdout], [0, 'OK\n'], put.stderr);
        const got = await ask(program, 'get', 'k', '--print-value-only');
        assert.deepEqual([got.code, got.stdout], [0, `${program}\n`], got.stderr);
      }
    } finally {
      await dns.stop();
      await server.kill();
    }
  });
}
