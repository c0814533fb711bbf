import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WholeHead, type WholeRequest } from '@etcd/host/net';
import type { HttpExchange } from '@etcd/transport';
import { AccessControl, type AccessRules } from './access-control.ts';
import { ClientFront } from './client-front.ts';
import type { Gateway } from './gateway.ts';
import type { AnswerHeaders } from './http-call.ts';

interface Asked {
  readonly method?: string;
  readonly host?: string;
  readonly origin?: string;
  readonly isSecure?: boolean;
  readonly commonName?: string;
}

/** What a front with these rules does with a request. */
class Front {
  readonly warnings: string[] = [];
  readonly asked: string[] = [];
  loads = 0;
  /** How many loads fail. */
  failures = 0;
  certificatesAreRefused = false;
  readonly #front: ClientFront;

  constructor(rules: Partial<AccessRules> = {}, hasGateway = true) {
    const access = new AccessControl({ cors: ['*'], hostWhitelist: ['*'], ...rules }, (message) =>
      this.warnings.push(message),
    );
    const gateway = {
      answer: (path, call) => {
        this.asked.push(`gateway ${path}`);
        call.respond(200, [], Buffer.from('{}'));
      },
    } as Pick<Gateway, 'answer'> as Gateway;
    const load = (): Promise<Gateway> => {
      this.loads++;
      if (this.loads <= this.failures) return Promise.reject(new Error('too many open files'));
      return Promise.resolve(gateway);
    };
    const pages = {
      onHttp1: () => assert.fail('no HTTP/1 here'),
      onHttp2: (exchange: HttpExchange, headers: AnswerHeaders = []) => {
        this.asked.push(`page ${exchange.path}`);
        exchange.respond(200, headers, Buffer.from('page'));
      },
    };
    const refusesCertificates = (): boolean => this.certificatesAreRefused;
    this.#front = new ClientFront(access, hasGateway ? load : null, pages, { refusesCertificates });
  }

  async ask(
    path: string,
    { method = 'POST', host = 'localhost:2379', origin, isSecure = false, commonName = '' }: Asked = {},
  ): Promise<{ status: number; headers: Record<string, string>; body: string }> {
    return await new Promise((resolve) => {
      const exchange = {
        method,
        path,
        authority: host,
        info: { isSecure, commonName },
        header: (name: string) => (name === 'origin' ? (origin ?? null) : null),
        body: new Uint8Array(0),
        respond: (status: number, headers: AnswerHeaders, body: Uint8Array) =>
          resolve({ status, headers: Object.fromEntries(headers), body: Buffer.from(body).toString() }),
      };
      this.#front.onHttp2(exchange as unknown as HttpExchange);
    });
  }

  takesWhole(target: string): boolean {
    return this.#front.takesWhole(target);
  }

  /** Whether a request that comes whole would be taken, and what it is answered. */
  async askWhole(
    target: string,
    { host = 'localhost:2379', origin, isSecure = false, commonName = '' }: Asked = {},
  ): Promise<{ isTaken: boolean; status: number; headers: Record<string, string> }> {
    const named = { host, ...(origin === undefined ? {} : { origin }) };
    const isTaken = this.#front.takesWhole(target);
    return await new Promise((resolve) => {
      const request = {
        head: new WholeHead(target, 0, new Map(Object.entries(named))),
        body: new Uint8Array(0),
        info: { isSecure, commonName },
        respond: (status: number, headers: AnswerHeaders, more: AnswerHeaders) =>
          resolve({ isTaken, status, headers: Object.fromEntries([...headers, ...more]) }),
      };
      this.#front.onWhole(request as unknown as WholeRequest);
    });
  }
}

test('paths of the gateway, today and before 3.4, are its own; all others are pages', async () => {
  const front = new Front();
  for (const path of ['/v3/kv/put?a=b', '/v3beta/kv/put', '/health', '/v3alpha/kv/put'])
    await front.ask(path);
  assert.deepEqual(front.asked, [
    'gateway /v3/kv/put',
    'gateway /v3/kv/put',
    'page /health',
    'page /v3alpha/kv/put',
  ]);
  assert.equal(front.loads, 1);
  const { status, headers } = await front.ask('/v3?a=b');
  assert.deepEqual([status, headers['location']], [307, '/v3/?a=b']);
});

test('a gateway that can not be loaded fails its requests, not the member, and is tried again', async () => {
  const front = new Front();
  front.failures = 1;
  const { status, body } = await front.ask('/v3/kv/put');
  assert.deepEqual([status, body], [503, 'the gateway can not be loaded\n']);
  assert.equal((await front.ask('/v3/kv/put')).status, 200);
  assert.equal(front.loads, 2);
});

test('without a gateway its paths are nothing special', async () => {
  const front = new Front({}, false);
  await front.ask('/v3/kv/put');
  assert.deepEqual(front.asked, ['page /v3/kv/put']);
});

test('S12 a host that is not ours is refused in plain text, with what to do, and passes over TLS', async () => {
  const front = new Front({ hostWhitelist: ['localhost', '::1'] });
  for (const [host, status] of [
    ['localhost:2379', 200],
    ['localhost', 200],
    ['[::1]:2379', 200],
    ['evil.example:2379', 421],
    ['localhost.evil.example', 421],
    ['', 421],
  ] as const) {
    assert.equal((await front.ask('/v3/kv/put', { host })).status, status, host);
  }
  const { body } = await front.ask('/health', { host: 'evil.example' });
  assert.match(body, /etcd --host-whitelist "evil.example"/);
  assert.equal(front.warnings[0], 'rejecting HTTP request to prevent DNS rebinding attacks');
  assert.equal((await front.ask('/v3/kv/put', { host: 'evil.example', isSecure: true })).status, 200);
});

test('S12 answers are shown to the origins that are allowed, and to no other', async () => {
  const front = new Front({ cors: ['https://a.example'] });
  for (const path of ['/v3/kv/put', '/health']) {
    const allowed = await front.ask(path, { origin: 'https://a.example' });
    assert.equal(allowed.headers['access-control-allow-origin'], 'https://a.example', path);
    const other = await front.ask(path, { origin: 'https://b.example' });
    assert.equal(other.headers['access-control-allow-origin'], undefined, path);
  }
  const everybody = await new Front().ask('/health', { origin: 'https://b.example' });
  assert.equal(everybody.headers['access-control-allow-origin'], '*');
});

test('S12 a POST that another site makes a browser send changes nothing where origins are listed', async () => {
  const front = new Front({ cors: ['https://a.example'] });
  for (const [origin, status] of [
    ['https://a.example', 200],
    // Of a page of the member itself, of a program, and of a script without an origin.
    ['http://localhost:2379', 200],
    [undefined, 200],
    ['https://b.example', 403],
    ['http://localhost:8080', 403],
    ['https://a.example.evil.example', 403],
    ['null', 403],
  ] as const) {
    front.asked.length = 0;
    const answer = await front.ask('/v3/kv/put', origin === undefined ? {} : { origin });
    assert.equal(answer.status, status, origin);
    assert.equal(front.asked.length, status === 200 ? 1 : 0, origin);
    assert.equal((await front.ask('/health', { method: 'GET', origin: origin ?? '' })).status, 200);
  }
  assert.equal(front.warnings[0], 'rejecting HTTP request of an origin that is not allowed');
  assert.equal(
    (await new Front().ask('/v3/kv/put', { origin: 'https://b.example' })).status,
    200,
    'as in etcd',
  );
});

test('a browser that asks what it may do is answered, and nothing happens', async () => {
  const front = new Front();
  const { status, headers } = await front.ask('/v3/kv/put', { method: 'OPTIONS' });
  assert.equal(status, 200);
  assert.equal(headers['access-control-allow-headers'], 'accept, content-type, authorization');
  assert.deepEqual(front.asked, []);
});

test('S07 while certificates name users, the gateway, which could not pass one on, refuses those that have a name', async () => {
  const front = new Front();
  const certified = { isSecure: true, commonName: 'root' };
  assert.equal((await front.ask('/v3/kv/put', certified)).status, 200);
  front.certificatesAreRefused = true;
  const { status, body } = await front.ask('/v3/kv/put', certified);
  assert.equal(status, 400);
  assert.match(body, /^CommonName of client sending a request against gateway will be ignored/);
  assert.equal((await front.ask('/health', certified)).status, 200);
  assert.equal((await front.ask('/v3/kv/put', { isSecure: true })).status, 200);
});

test('S12 S07 requests that come whole are judged as all others are', async () => {
  const front = new Front({ cors: ['https://a.example'], hostWhitelist: ['localhost'] });
  const put = '/v3/kv/put';
  const allowed = await front.askWhole(put, { origin: 'https://a.example' });
  assert.deepEqual([allowed.isTaken, allowed.status], [true, 200]);
  assert.equal(allowed.headers['access-control-allow-origin'], 'https://a.example');
  assert.equal((await front.askWhole(put, { origin: 'https://b.example' })).status, 403);
  assert.equal((await front.askWhole(put, { host: 'evil.example' })).status, 421);
  front.certificatesAreRefused = true;
  assert.equal((await front.askWhole(put, { commonName: 'cn', isSecure: true })).status, 400);
  assert.deepEqual(front.asked, [`gateway ${put}`]);
});

test('only methods with one request and one answer are asked whole, by their paths of today, of a gateway', async () => {
  const front = new Front();
  for (const target of [
    '/v3/watch',
    '/v3/maintenance/snapshot',
    '/v3beta/kv/put',
    '/v3/kv/put?a=b',
    '/health',
  ]) {
    assert.equal((await front.askWhole(target)).isTaken, false, target);
  }
  assert.equal(front.loads, 1);
  assert.equal((await new Front().askWhole('/v3/kv/txn')).isTaken, true);
  assert.equal(new Front({}, false).takesWhole('/v3/kv/put'), false);
});
