/**
 * Clients that must not be let in, one of each kind, while good ones go on: each is refused alone, told of in one line with where it came from,
 * and counted.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { type IssuedCertificate, TestAuthority } from '@etcd/host/testing';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION, type LogLine } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const DAY_MS = 86_400_000;
const REJECTED = 'rejected connection on client endpoint';

interface Bad {
  readonly what: string;
  readonly error: RegExp;
  readonly pair?: IssuedCertificate;
  readonly versions?: { readonly maxVersion: 'TLSv1.1'; readonly minVersion: 'TLSv1' };
}

interface World {
  readonly flags: readonly string[];
  readonly authority: TestAuthority;
  readonly good: IssuedCertificate;
  readonly bad: readonly Bad[];
}

async function makeWorld(): Promise<World> {
  const directory = temporaryDirectory();
  const authority = await TestAuthority.create(directory);
  const stranger = await TestAuthority.create(`${directory}/stranger`, 'stranger');
  const server = await authority.issue('server', { hosts: ['127.0.0.1'] });
  const hosts = ['app.example'];
  const revoked = await authority.issue('revoked', { hosts });
  const crlFile = await authority.revoke([revoked.serialNumber]);
  const yesterday = new Date(Date.now() - DAY_MS);
  const tomorrow = new Date(Date.now() + DAY_MS);
  const unknown = /signed by unknown authority/;
  const dates = /expired or is not yet valid/;
  return {
    authority,
    good: await authority.issue('good', { hosts }),
    bad: [
      { what: 'no certificate', error: /client didn't provide a certificate/ },
      { what: 'another authority', error: unknown, pair: await stranger.issue('foreign', { hosts }) },
      { what: 'expired', error: dates, pair: await authority.issue('late', { hosts, notAfter: yesterday }) },
      { what: 'not yet', error: dates, pair: await authority.issue('early', { hosts, notBefore: tomorrow }) },
      { what: 'revoked', error: /certificate serial [0-9a-f]+ revoked/, pair: revoked },
      {
        what: 'another name',
        error: /client certificate authentication failed/,
        pair: await authority.issue('other', { hosts: ['other.example'] }),
      },
      {
        what: 'for servers alone',
        error: /incompatible key usage/,
        pair: await authority.issue('server-only', { hosts, usages: ['server'] }),
      },
      {
        what: 'an old version',
        error: /offered only unsupported versions/,
        versions: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' },
      },
    ],
    flags: [
      ...FAST_ELECTION,
      `--cert-file=${server.certFile}`,
      `--key-file=${server.keyFile}`,
      `--trusted-ca-file=${authority.caFile}`,
      '--client-cert-auth',
      `--client-crl-file=${crlFile}`,
      '--client-cert-allowed-hostname=app.example',
    ],
  };
}

/** Says hello over TLS; resolves when the connection is over, with whether anything was answered. */
function attempt(server: EtcdServer, { authority }: World, { pair, versions }: Bad): Promise<boolean> {
  return new Promise((resolve) => {
    let isAnswered = false;
    const socket = connect({
      host: server.host,
      port: server.clientPort,
      ca: readFileSync(authority.caFile),
      ...(pair === undefined ? {} : { cert: readFileSync(pair.certFile), key: readFileSync(pair.keyFile) }),
      ...(versions === undefined ? {} : { ...versions, ciphers: 'DEFAULT:@SECLEVEL=0' }),
    });
    socket.on('data', () => {
      isAnswered = true;
      socket.destroy();
    });
    socket.on('error', () => {}).on('close', () => resolve(isAnswered));
    socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
  });
}

const linesOf = (server: EtcdServer): LogLine[] => server.log.filter(({ msg }) => msg === REJECTED);

async function rejectedCount(url: string, files: World): Promise<number> {
  const { authority, good } = files;
  const { hostname, port } = new URL(url);
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect({
      host: hostname,
      port: Number(port),
      ca: readFileSync(authority.caFile),
      cert: readFileSync(good.certFile),
      key: readFileSync(good.keyFile),
    });
    let got = '';
    socket
      .on('data', (chunk) => (got += chunk))
      .on('error', reject)
      .on('close', () => resolve(got));
    socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  });
  return Number(/^etcd_network_rejected_connections_total\{endpoint="client"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

test('S06 S14 each client that must not be let in is refused, told of once with its address and counted; good ones go on', async () => {
  const world = await makeWorld();
  const server = await EtcdServer.start({ clientScheme: 'https', flags: world.flags });
  const rpc = new EtcdRpc(server.address, {}, { ...world.good, caFile: world.authority.caFile });
  try {
    let isOver = false;
    const good = (async () => {
      for (let i = 0; !isOver; i++) await rpc.call('KV.Put', { key: 'k', value: `${i}` });
    })();
    let expected = 0;
    for (const bad of world.bad) {
      assert.equal(await attempt(server, world, bad), false, bad.what);
      expected++;
      await eventually(`a line about ${bad.what}`, () => linesOf(server).length >= expected);
      const line = linesOf(server).at(-1)!;
      assert.match(String(line.fields['error']), bad.error, bad.what);
      assert.match(String(line.fields['remote-addr']), /^127\.0\.0\.1:\d+$/);
    }
    const plain = connectPlain(server.clientPort, server.host);
    plain.on('error', () => {}).write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
    await new Promise((resolve) => plain.once('close', resolve));
    expected++;
    await eventually('a line about plain text', () => linesOf(server).length >= expected);
    assert.equal(await rejectedCount(server.clientUrl, world), expected);
    assert.equal(linesOf(server).length, expected, 'each is told once');
    isOver = true;
    await good;
  } finally {
    rpc.close();
    await server.kill();
  }
});

test('S14 a client that speaks TLS to a plain port is refused, told of once with its address and counted', async () => {
  const world = await makeWorld();
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  try {
    assert.equal(await attempt(server, world, { what: 'TLS', error: /./ }), false);
    const line = await server.waitForLog(REJECTED);
    assert.equal(line.fields['error'], 'tls: a client began a TLS handshake where plain text is spoken');
    assert.match(String(line.fields['remote-addr']), /^127\.0\.0\.1:\d+$/);
    const metrics = await (await fetch(`${server.clientUrl}/metrics`)).text();
    assert.match(metrics, /^etcd_network_rejected_connections_total\{endpoint="client"\} 1$/m);
    assert.equal(linesOf(server).length, 1);
  } finally {
    await server.kill();
  }
});

test(
  'a certificate of an authority that it shows for itself is taken or refused as by etcd',
  needs('etcd 3.7'),
  async () => {
    const world = await makeWorld();
    const issued = await world.authority.issue('sub-authority', {
      isAuthority: true,
      hosts: ['app.example'],
    });
    const verdicts = [];
    for (const program of [SUBJECT, peer('3.7', 'etcd')]) {
      const server = await EtcdServer.start({ program, clientScheme: 'https', flags: world.flags });
      verdicts.push(await attempt(server, world, { what: 'an authority', error: /./, pair: issued }));
      await server.kill();
    }
    assert.equal(verdicts[0], verdicts[1]);
  },
);
