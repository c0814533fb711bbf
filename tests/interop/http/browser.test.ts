/** The gateway from a page of another origin, in a browser: what it may do, and what it may not. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT, tool } from '../../support/programs.ts';
import { adopt } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

type Report = Readonly<Record<string, unknown>>;

const PAGE = readFileSync(new URL('page.html', import.meta.url));
let pages: Server;
let onReport: (report: Report) => void = () => {};

before(async () => {
  pages = createServer((request, response) => {
    if (request.method !== 'POST') {
      response.setHeader('content-type', 'text/html');
      response.end(request.url?.startsWith('/page') ? PAGE : '');
      return;
    }
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      response.end();
      onReport(JSON.parse(body) as Report);
    });
  });
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
});
after(() => {
  pages.closeAllConnections();
  pages.close();
});

const origin = (): string => `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;

/** What a page finds that a new browser opens. */
async function visit(server: EtcdServer): Promise<Report> {
  const told = new Promise<Report>((resolve) => {
    onReport = resolve;
  });
  const browser: ChildProcess = spawn(
    tool('chromium'),
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--ignore-certificate-errors',
      `--user-data-dir=${temporaryDirectory()}`,
      `${origin()}/page?etcd=${server.clientUrl}`,
    ],
    { stdio: 'ignore', detached: true },
  );
  adopt(browser);
  const ended = new Promise<void>((resolve) => browser.once('close', () => resolve()));
  const early = ended.then((): never => assert.fail('the browser has ended'));
  try {
    return await Promise.race([told, early]);
  } finally {
    early.catch(() => {});
    // Its processes are a group of their own.
    if (browser.pid !== undefined) process.kill(-browser.pid, 'SIGKILL');
    await ended;
  }
}

const ALL_IS_WELL = {
  'asked first': 200,
  'with a token': 200,
  read: 'v',
  'web socket': 'a,b  true',
  'web socket with a token': 'a,b Bearer true',
};

test(
  'a page of any origin may do everything where no origins are given, as with real etcd',
  needs('chromium', 'etcd 3.7'),
  async () => {
    for (const [program, events] of [
      [SUBJECT, 'a,b true'],
      [peer('3.7', 'etcd'), 'failed: Error'],
    ] as const) {
      const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
      assert.deepEqual(await visit(server), { ...ALL_IS_WELL, events }, program);
      await server.kill();
    }
  },
);

test('the same over TLS', needs('chromium'), async () => {
  const authority = await TestAuthority.create(temporaryDirectory());
  const { certFile, keyFile } = await authority.issue('server', { hosts: ['127.0.0.1'] });
  const flags = [...FAST_ELECTION, `--cert-file=${certFile}`, `--key-file=${keyFile}`];
  const server = await EtcdServer.start({ clientScheme: 'https', flags });
  assert.deepEqual(await visit(server), { ...ALL_IS_WELL, events: 'a,b true' });
  await server.kill();
});

test(
  'S12 a page whose origin is not in the list can read nothing and watch nothing',
  needs('chromium'),
  async () => {
    const server = await EtcdServer.start({ flags: [...FAST_ELECTION, '--cors=http://other.example:80'] });
    assert.deepEqual(await visit(server), {
      'asked first': 'failed: TypeError',
      'with a token': 'failed: TypeError',
      read: 'failed: TypeError',
      'web socket': 'failed: Error',
      'web socket with a token': 'failed: Error',
      events: 'failed: Error',
    });
    await server.kill();
  },
);

test('a page whose origin is in the list may do everything', needs('chromium'), async () => {
  const server = await EtcdServer.start({ flags: [...FAST_ELECTION, `--cors=${origin()}`] });
  assert.deepEqual(await visit(server), { ...ALL_IS_WELL, events: 'a,b true' });
  await server.kill();
});
