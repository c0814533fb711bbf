/** Proxies that find the members by the SRV records of a domain: ours as those of Go do. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { DnsServer, needsNameServer } from '../../support/dns-server.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { peer, SUBJECT } from '../../support/programs.ts';
import { endProxies, ProxyProcess } from '../../support/proxy.ts';
import { run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const GO = peer('3.7', 'etcd');
const DOMAIN = 'example.test';

afterEach(endProxies);

async function who(endpoint: string, ...flags: string[]): Promise<string> {
  const args = [`--endpoints=${endpoint}`, ...flags, 'get', 'who', '--print-value-only'];
  const { stdout, stderr, code } = await run(peer('3.7', 'etcdctl'), args);
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

for (const kind of ['gateway', 'grpc-proxy'] as const) {
  for (const program of [SUBJECT, GO]) {
    const whose = program === SUBJECT ? 'our' : "Go's";
    test(`${whose} ${kind} finds members without TLS only if it may`, needsNameServer(), async () => {
      const member = await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION });
      const other = await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION });
      for (const [server, name] of [
        [member, 'discovered'],
        [other, 'given'],
      ] as const) {
        await run(peer('3.7', 'etcdctl'), [`--endpoints=${server.address}`, 'put', 'who', name]);
      }
      const dns = await DnsServer.start({
        a: { [`m.${DOMAIN}`]: ['127.0.0.1'] },
        srv: { [`_etcd-client._tcp.${DOMAIN}`]: [{ target: `m.${DOMAIN}`, port: member.clientPort }] },
      });
      const start = (...flags: string[]): Promise<ProxyProcess> =>
        ProxyProcess.start(kind, {
          program,
          endpoints: [other.address],
          launcher: dns.launcher,
          flags: [`--discovery-srv=${DOMAIN}`, ...flags],
        });
      const open = await start('--insecure-discovery');
      assert.equal(await who(open.address), 'discovered');
      const strict = await start();
      assert.equal(await who(strict.address), 'given');
      for (const proxy of [open, strict]) await proxy.stop('SIGKILL');
      await dns.stop();
      await Promise.all([member.stop(), other.stop()]);
    });
  }
}

test(
  'S13 of the members that a domain names, a gateway uses those with a certificate for it',
  needsNameServer(),
  async () => {
    const directory = temporaryDirectory();
    const authority = await TestAuthority.create(directory);
    const stranger = await TestAuthority.create(`${directory}/stranger`, 'stranger');
    const servers: EtcdServer[] = [];
    for (const [i, one] of [stranger, authority].entries()) {
      const pair = await one.issue('server', { hosts: [DOMAIN, '127.0.0.1'] });
      const flags = [...FAST_ELECTION, `--cert-file=${pair.certFile}`, `--key-file=${pair.keyFile}`];
      const server = await EtcdServer.start({ program: SUBJECT, clientScheme: 'https', flags });
      const args = [`--endpoints=${server.clientUrl}`, '--insecure-skip-tls-verify', 'put', 'who', `${i}`];
      await run(peer('3.7', 'etcdctl'), args);
      servers.push(server);
    }
    const dns = await DnsServer.start({
      a: { [`m.${DOMAIN}`]: ['127.0.0.1'] },
      srv: {
        [`_etcd-client-ssl._tcp.${DOMAIN}`]: servers.map(({ clientPort: port }) => ({
          target: `m.${DOMAIN}`,
          port,
        })),
      },
    });
    const gateway = await ProxyProcess.start('gateway', {
      endpoints: ['127.0.0.1:1'],
      launcher: dns.launcher,
      flags: [`--discovery-srv=${DOMAIN}`, `--trusted-ca-file=${authority.caFile}`],
    });
    await gateway.waitForLog('deactivated endpoint');
    for (let i = 0; i < 4; i++) {
      assert.equal(await who(`https://${gateway.address}`, `--cacert=${authority.caFile}`), '1');
    }
    await gateway.stop();
    await dns.stop();
    await Promise.all(servers.map((server) => server.stop()));
  },
);
