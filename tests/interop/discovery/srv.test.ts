/** Members that find each other by the SRV records of a domain, members of real etcd among them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import type { Kind } from '../../support/cluster.ts';
import { DnsServer, needsNameServer, type Zone } from '../../support/dns-server.ts';
import type { EtcdServer } from '../../support/etcd-server.ts';
import { peer, SUBJECT } from '../../support/programs.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { type Founder, foundTogether, launchFounder, planFounders } from './founders.ts';

const DOMAIN = 'example.test';

/** A record of the service and an address for each of them. */
function zoneOf(founders: readonly Founder[], service = 'etcd-server'): Zone {
  return {
    a: Object.fromEntries(founders.map(({ name }) => [`${name}.${DOMAIN}`, ['127.0.0.1']])),
    srv: {
      [`_${service}._tcp.${DOMAIN}`]: founders.map(({ name, peerPort: port }) => ({
        target: `${name}.${DOMAIN}`,
        port,
      })),
    },
  };
}

/** By name: the listener's address is what the name stands for. */
const advertised = ({ name, peerPort }: Founder): string => `http://${name}.${DOMAIN}:${peerPort}`;

const MIXES: readonly (readonly Kind[])[] = [
  ['ours', 'ours', 'ours'],
  ['ours', '3.5', '3.6'],
  ['3.7', 'ours', '3.6'],
];

for (const kinds of MIXES) {
  test(`${kinds.join(', ')} found a cluster by the records of a domain`, needsNameServer(), async () => {
    const founders = await planFounders(kinds);
    const server = await DnsServer.start(zoneOf(founders));
    try {
      const options = (founder: Founder) => ({
        advertisedPeerUrl: advertised(founder),
        launcher: server.launcher,
        flags: [`--discovery-srv=${DOMAIN}`],
      });
      await foundTogether(founders, options);
      const asked = new Set(server.questions.map(({ name }) => name));
      assert.ok(asked.has(`_etcd-server-ssl._tcp.${DOMAIN}`), 'members with TLS are looked for too');
    } finally {
      await server.stop();
    }
  });
}

test('a name of the service tells clusters of a domain apart', needsNameServer(), async () => {
  const founders = await planFounders(['ours', '3.5']);
  const others = await planFounders(['ours']);
  const zone = zoneOf(founders, 'etcd-server-blue');
  const server = await DnsServer.start({ a: zone.a!, srv: { ...zoneOf(others).srv, ...zone.srv } });
  try {
    await foundTogether(founders, (founder) => ({
      advertisedPeerUrl: advertised(founder),
      launcher: server.launcher,
      flags: [`--discovery-srv=${DOMAIN}`, '--discovery-srv-name=blue'],
    }));
  } finally {
    await server.stop();
  }
});

/** What both say about a start that ends: their words, apart from what stands around them. */
const REFUSALS: readonly { what: string; zone: (founder: Founder) => Zone; words: RegExp }[] = [
  {
    what: 'a domain without records',
    zone: (founder) => ({ a: zoneOf([founder]).a! }),
    words:
      /error querying DNS SRV records for _etcd-server-ssl lookup _etcd-server-ssl\._tcp\.example\.test on [\d.:]+: no such host/,
  },
  {
    what: 'a name server that fails',
    zone: (founder) => ({
      a: zoneOf([founder]).a!,
      broken: [`_etcd-server-ssl._tcp.${DOMAIN}`, `_etcd-server._tcp.${DOMAIN}`],
    }),
    words: /error querying DNS SRV records for _etcd-server-ssl lookup [^ ]+ on [\d.:]+: server misbehaving/,
  },
  {
    what: 'records of others only',
    zone: (founder) => {
      const { a, srv } = zoneOf([{ ...founder, name: 'other', peerPort: founder.peerPort + 1 }]);
      return { a: { ...a, [`${founder.name}.${DOMAIN}`]: ['127.0.0.1'] }, srv: srv! };
    },
    words: /cannot find local etcd member \\"m1\\" in SRV records/,
  },
  {
    what: 'a record for TLS of a member without',
    zone: (founder) => zoneOf([founder], 'etcd-server-ssl'),
    words: /has scheme mismatch with expected peer http:\/\/m1\.example\.test:\d+/,
  },
];

for (const { what, zone, words } of REFUSALS) {
  test(`refused in the same words: ${what}`, needsNameServer(), async () => {
    for (const program of [SUBJECT, peer('3.7', 'etcd')]) {
      const [founder] = await planFounders(['ours']);
      const server = await DnsServer.start(zone(founder!));
      try {
        const member = await launchFounder(founder!, {
          program,
          advertisedPeerUrl: advertised(founder!),
          launcher: server.launcher,
          flags: [`--discovery-srv=${DOMAIN}`],
        });
        const { code, stderr } = await member.ended;
        assert.match(stderr, words, program);
        assert.equal(code, 1);
      } finally {
        await server.stop();
      }
    }
  });
}

test('a member that has a log starts without its name server', needsNameServer(), async () => {
  const [founder] = await planFounders(['ours']);
  const server = await DnsServer.start(zoneOf([founder!]));
  const options = {
    advertisedPeerUrl: advertised(founder!),
    launcher: server.launcher,
    flags: [`--discovery-srv=${DOMAIN}`],
  };
  const member = await launchFounder(founder!, options);
  await member.ready();
  await member.stop();
  await server.stop();
  const again: EtcdServer = await member.restart();
  await again.kill();
});

/** What each member needs to speak TLS with the others, with a certificate for these names. */
async function peerTls(hosts: readonly string[], withAuthority: boolean) {
  const authority = await TestAuthority.create(temporaryDirectory());
  const { certFile, keyFile } = await authority.issue('member', { hosts });
  const flags = [`--peer-cert-file=${certFile}`, `--peer-key-file=${keyFile}`];
  const { caFile } = authority;
  // Where no authority is given it is one of the machine's: both runtimes take this file for them.
  return withAuthority
    ? { flags: [...flags, `--peer-trusted-ca-file=${caFile}`, '--peer-client-cert-auth'], env: {} }
    : { flags, env: { SSL_CERT_FILE: caFile } };
}

for (const { what, hosts, withAuthority } of [
  {
    what: 'certificates for each host, an authority of their own',
    hosts: [`*.${DOMAIN}`, '127.0.0.1'],
    withAuthority: true,
  },
  { what: 'certificates for the domain, an authority of the machine', hosts: [DOMAIN], withAuthority: false },
]) {
  test(`members with TLS: ${what}`, needsNameServer(), async () => {
    const founders = await planFounders(['ours', '3.6', 'ours']);
    const server = await DnsServer.start(zoneOf(founders, 'etcd-server-ssl'));
    const { flags, env } = await peerTls(hosts, withAuthority);
    try {
      await foundTogether(founders, (founder) => ({
        peerScheme: 'https',
        advertisedPeerUrl: advertised(founder).replace('http:', 'https:'),
        launcher: server.launcher,
        flags: [`--discovery-srv=${DOMAIN}`, ...flags],
        env,
      }));
    } finally {
      await server.stop();
    }
  });
}
