/** `bin/etcdctl` finds endpoints by SRV records as the tool of etcd 3.7 does; both ask a name server of the test's own. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { DnsServer, needsNameServer } from '../../support/dns-server.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, ROOT } from '../../support/programs.ts';
import { type Ended, run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

const DOMAIN = 'example.test';

describe('etcdctl --discovery-srv', { ...needs('etcd 3.7'), ...needsNameServer() }, () => {
  let plain: EtcdServer;
  let secure: EtcdServer;
  let names: DnsServer;
  let caFile: string;

  before(async () => {
    const authority = await TestAuthority.create(temporaryDirectory());
    ({ caFile } = authority);
    const pair = await authority.issue('server', { hosts: [DOMAIN, `m1.${DOMAIN}`, '127.0.0.1'] });
    plain = await EtcdServer.start({ flags: FAST_ELECTION });
    secure = await EtcdServer.start({
      clientScheme: 'https',
      flags: [...FAST_ELECTION, `--cert-file=${pair.certFile}`, `--key-file=${pair.keyFile}`],
    });
    const nobody = await freePort();
    const target = `m1.${DOMAIN}`;
    names = await DnsServer.start({
      a: { [target]: ['127.0.0.1'] },
      srv: {
        [`_etcd-client._tcp.${DOMAIN}`]: [{ target, port: plain.clientPort }],
        [`_etcd-client-blue._tcp.${DOMAIN}`]: [
          { target, port: nobody, priority: 1 },
          { target, port: plain.clientPort, priority: 2 },
        ],
        [`_etcd-client-ssl-green._tcp.${DOMAIN}`]: [{ target, port: secure.clientPort }],
      },
    });
  });
  after(async () => {
    await Promise.all([plain.stop(), secure.stop(), names.stop()]);
  });

  async function both(...args: string[]): Promise<[ours: Ended, theirs: Ended]> {
    const [command = '', ...before] = names.launcher;
    const [ours, theirs] = await Promise.all(
      [`${ROOT}bin/etcdctl`, peer('3.7', 'etcdctl')].map((program) =>
        run(command, [...before, program, ...args, '--command-timeout=5s']),
      ),
    );
    assert.ok(ours !== undefined && theirs !== undefined);
    return [ours, theirs];
  }

  test('the records of a domain, and those of a name within it, lead to the members', async () => {
    for (const [i, flags] of [
      ['-d', DOMAIN],
      [`--discovery-srv=${DOMAIN}`, '--discovery-srv-name=blue'],
    ].entries()) {
      const [ours, theirs] = await both(...flags, '--insecure-transport=true', 'put', 'k', String(i));
      assert.deepEqual([ours.code, ours.stdout], [0, 'OK\n'], ours.stderr);
      assert.equal(theirs.stdout, ours.stdout, theirs.stderr);
    }
    const [ours, theirs] = await both('-d', DOMAIN, 'endpoint', 'status', '-w', 'fields');
    assert.equal(
      /"Endpoint" : "(.*)"/.exec(ours.stdout)?.[1],
      /"Endpoint" : "(.*)"/.exec(theirs.stdout)?.[1],
    );
  });

  test('members with TLS show a certificate for the domain', async () => {
    const [ours, theirs] = await both(
      '-d',
      DOMAIN,
      '--discovery-srv-name=green',
      `--cacert=${caFile}`,
      'put',
      'k',
      'v',
    );
    assert.deepEqual(
      [ours.code, ours.stdout],
      [theirs.code, theirs.stdout],
      `${ours.stderr}\n${theirs.stderr}`,
    );
    assert.equal(ours.stdout, 'OK\n', ours.stderr);
  });

  test('records without TLS are left out where they are not to be trusted', async () => {
    const [ours, theirs] = await both('-d', DOMAIN, '--insecure-discovery=false', 'get', 'k');
    assert.notEqual(ours.code, 0);
    assert.notEqual(theirs.code, 0);
    assert.match(ours.stderr, /ignoring discovered insecure endpoint "http:\/\/m1\.example\.test:\d+"/);
  });

  test('etcd-defrag and etcdadm find members by them too', async () => {
    const [command = '', ...before] = names.launcher;
    const found = `http://m1.${DOMAIN}:${plain.clientPort}`;
    const dry = await run(command, [...before, `${ROOT}bin/etcd-defrag`, '-d', DOMAIN, '--dry-run']);
    assert.equal(dry.code, 0, dry.stderr);
    assert.ok(dry.stderr.includes(` endpoint: ${found}, dbSize: `), dry.stderr);
    const store = ['--store', join(temporaryDirectory(), 'store'), '--unencrypted'];
    const made = await run(command, [...before, `${ROOT}bin/etcdadm`, 'backup', ...store, '-d', DOMAIN]);
    assert.equal(made.code, 0, made.stderr);
    assert.ok(made.stdout.includes(` of ${found}: revision `), made.stdout);
  });
});
