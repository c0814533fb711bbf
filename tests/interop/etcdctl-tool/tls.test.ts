/** `bin/etcdctl` over TLS, against real etcd and ours: what Go's tool reaches it reaches, and what is refused there is refused here. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type IssuedCertificate, TestAuthority } from '@etcd/host/testing';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, ROOT, SUBJECT } from '../../support/programs.ts';
import { type Ended, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const directory = temporaryDirectory();
let authority: TestAuthority;
let stranger: TestAuthority;
let serverPair: IssuedCertificate;
let clientPair: IssuedCertificate;
let foreignPair: IssuedCertificate;

before(async () => {
  authority = await TestAuthority.create(directory);
  stranger = await TestAuthority.create(`${directory}/stranger`, 'stranger');
  serverPair = await authority.issue('server', { hosts: ['127.0.0.1', 'localhost'] });
  clientPair = await authority.issue('client', { commonName: 'client' });
  foreignPair = await stranger.issue('foreign');
});

interface Case {
  readonly what: string;
  /** Of the endpoint; a bare address leaves it to the flags. */
  readonly scheme: string;
  readonly flags: () => readonly string[];
}

const CASES: readonly Case[] = [
  {
    what: 'authority and certificate',
    scheme: 'https://',
    flags: () => [
      `--cacert=${authority.caFile}`,
      `--cert=${clientPair.certFile}`,
      `--key=${clientPair.keyFile}`,
    ],
  },
  {
    what: 'the flags alone ask for TLS',
    scheme: '',
    flags: () => [
      `--cacert=${authority.caFile}`,
      `--cert=${clientPair.certFile}`,
      `--key=${clientPair.keyFile}`,
    ],
  },
  {
    what: 'a server that is taken as it is',
    scheme: 'https://',
    flags: () => [
      '--insecure-skip-tls-verify',
      `--cert=${clientPair.certFile}`,
      `--key=${clientPair.keyFile}`,
    ],
  },
  { what: 'no certificate', scheme: 'https://', flags: () => [`--cacert=${authority.caFile}`] },
  {
    what: 'a certificate of another authority',
    scheme: 'https://',
    flags: () => [
      `--cacert=${authority.caFile}`,
      `--cert=${foreignPair.certFile}`,
      `--key=${foreignPair.keyFile}`,
    ],
  },
  {
    what: 'a server of another authority',
    scheme: 'https://',
    flags: () => [
      `--cacert=${stranger.caFile}`,
      `--cert=${clientPair.certFile}`,
      `--key=${clientPair.keyFile}`,
    ],
  },
  {
    what: 'no authority',
    scheme: 'https://',
    flags: () => [`--cert=${clientPair.certFile}`, `--key=${clientPair.keyFile}`],
  },
  { what: 'no TLS', scheme: 'http://', flags: () => [] },
];

describe('etcdctl over TLS', needs('etcd 3.7'), () => {
  for (const [name, program] of [
    ['etcd 3.7', peer('3.7', 'etcd')],
    ['this etcd', SUBJECT],
  ] as const) {
    describe(`to ${name}`, () => {
      let server: EtcdServer;
      before(async () => {
        server = await EtcdServer.start({
          program,
          clientScheme: 'https',
          flags: [
            ...FAST_ELECTION,
            `--cert-file=${serverPair.certFile}`,
            `--key-file=${serverPair.keyFile}`,
            `--trusted-ca-file=${authority.caFile}`,
            '--client-cert-auth',
          ],
        });
      });
      after(() => server.stop());

      const put = (tool: string, { scheme, flags }: Case): Promise<Ended> =>
        run(tool, [
          `--endpoints=${scheme}${server.address}`,
          '--command-timeout=1s',
          ...flags(),
          'put',
          'k',
          'v',
        ]);
      for (const each of CASES) {
        test(each.what, async () => {
          const ours = await put(`${ROOT}bin/etcdctl`, each);
          const theirs = await put(peer('3.7', 'etcdctl'), each);
          assert.deepEqual(
            [ours.code, ours.stdout],
            [theirs.code, theirs.stdout],
            `${ours.stderr}\n${theirs.stderr}`,
          );
        });
      }
    });
  }
});
