import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { LogFields, Logger } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import { SimClock } from '@etcd/testing';
import { openTokenProvider, type TokenProviderOptions } from './open-token-provider.ts';
import type { TokenProvider } from './token-provider.ts';

class Fixture {
  readonly clock = new SimClock();
  readonly files = new Map<string, Uint8Array>();
  readonly logged: string[] = [];
  readonly waiting: { readonly index: number; readonly done: (isApplied: boolean) => void }[] = [];
  appliedIndex = 10;
  revision = 3;

  provider(authToken: string, options: Partial<TokenProviderOptions> = {}): TokenProvider {
    const provider = openTokenProvider({
      authToken,
      simpleTokenTtlMs: 5000,
      readFile: (path) => {
        const content = this.files.get(path);
        if (content === undefined) throw new Error(`open ${path}: no such file or directory`);
        return content;
      },
      clock: this.clock,
      logger: this.#logger(),
      secret: randomBytes,
      appliedIndex: () => this.appliedIndex,
      whenApplied: (index, done) => {
        if (index <= this.appliedIndex) done(true);
        else this.waiting.push({ index, done });
      },
      ...options,
    });
    provider.enable();
    return provider;
  }

  apply(index: number): void {
    this.appliedIndex = index;
    for (const { index: wanted, done } of this.waiting.splice(0)) {
      if (wanted <= index) done(true);
      else this.waiting.push({ index: wanted, done });
    }
  }

  resolve(provider: TokenProvider, token: string): Promise<Identity | null> {
    return new Promise((resolve) => provider.resolveThen(token, () => this.revision, resolve));
  }

  issue(provider: TokenProvider, name: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const prefix = provider.newPrefix();
      const index = this.appliedIndex - 1;
      provider.register(name, prefix, index);
      provider.issueThen(name, prefix, index, this.revision, (error, token) =>
        error === null ? resolve(token) : reject(new Error(error.message)),
      );
    });
  }

  #logger(): Logger {
    const log = (message: string, fields?: LogFields): void =>
      void this.logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
    return { debug: log, info: log, warn: log, error: log, child: () => this.#logger() } as unknown as Logger;
  }
}

test('a simple token is sixteen letters and an index, and is good for its user at the present revision', async () => {
  const fixture = new Fixture();
  const provider = fixture.provider('simple');
  const token = await fixture.issue(provider, 'u');
  assert.match(token, /^[a-zA-Z]{16}\.9$/);
  assert.deepEqual(
    provider.find(token, () => 3),
    { name: 'u', revision: 3 },
  );
  assert.deepEqual(
    provider.find(token, () => 4),
    { name: 'u', revision: 4 },
  );
  assert.equal(
    provider.find(token, () => 4),
    provider.find(token, () => 4),
    'one object for all requests',
  );
  assert.equal(
    provider.find(`${token}0`, () => 3),
    null,
  );
});

test('a simple token lives as long as it is used', async () => {
  const fixture = new Fixture();
  const provider = fixture.provider('simple');
  const token = await fixture.issue(provider, 'u');
  for (let i = 0; i < 4; i++) {
    fixture.clock.advance(4000);
    assert.notEqual(await fixture.resolve(provider, token), null);
  }
  fixture.clock.advance(5001);
  assert.equal(await fixture.resolve(provider, token), null);
});

test('a simple token that this member is yet to learn of is waited for', async () => {
  const fixture = new Fixture();
  const provider = fixture.provider('simple');
  const answers: (Identity | null)[] = [];
  for (const token of ['abc.12', 'abc.11', 'xyz.12']) {
    provider.resolveThen(
      token,
      () => 3,
      (identity) => answers.push(identity),
    );
  }
  assert.deepEqual(answers, []);
  fixture.apply(12);
  assert.deepEqual(answers, [null], 'what was named by entry 11 would be known by now');
  provider.register('u', 'abc', 12);
  fixture.apply(13);
  assert.deepEqual(answers, [null, { name: 'u', revision: 3 }, null]);
});

test('tokens that are foreign, odd or from the past are nobody’s at once', async () => {
  const fixture = new Fixture();
  const provider = fixture.provider('simple');
  for (const token of [
    '',
    '.',
    'a',
    'a.',
    'a.b',
    'a.1',
    'a.9',
    'a.-1',
    'a.1.2',
    `a.${'9'.repeat(30)}`,
    'a.99999999999999999999',
  ]) {
    assert.equal(await fixture.resolve(provider, token), null, token);
  }
  assert.equal(fixture.waiting.length, 0);
});

test('S20 those who wait for tokens that never come are bounded', () => {
  const fixture = new Fixture();
  const provider = fixture.provider('simple');
  let refused = 0;
  for (let i = 0; i < 1500; i++)
    provider.resolveThen(
      `a${i}.50`,
      () => 3,
      () => refused++,
    );
  assert.deepEqual([fixture.waiting.length, refused], [1000, 500]);
});

test('S08 tokens end with their user’s password, with their user, with authentication', async () => {
  const fixture = new Fixture();
  const provider = fixture.provider('simple');
  const [first, second] = [await fixture.issue(provider, 'u'), await fixture.issue(provider, 'v')];
  provider.invalidateUser('u', 4);
  assert.equal(await fixture.resolve(provider, first), null);
  assert.notEqual(await fixture.resolve(provider, second), null);
  provider.disable();
  assert.equal(await fixture.resolve(provider, second), null);
});

test('S08 tokens end when nobody can say what has become of their users', async () => {
  const fixture = new Fixture();
  const provider = fixture.provider('simple');
  const token = await fixture.issue(provider, 'u');
  provider.invalidateAll(4);
  assert.equal(await fixture.resolve(provider, token), null);
  assert.notEqual(await fixture.resolve(provider, await fixture.issue(provider, 'u')), null);
});

test('S08 a JWT ends with its user’s password, with its user, and when nobody can say what has become of it', async () => {
  const fixture = new Fixture();
  fixture.files.set('/a', randomBytes(64));
  const provider = fixture.provider('jwt,sign-method=HS256,priv-key=/a,ttl=1h');
  const [known, other] = [await fixture.issue(provider, 'u'), await fixture.issue(provider, 'v')];
  assert.notEqual(await fixture.resolve(provider, known), null);
  const unknown = await fixture.issue(provider, 'u');
  fixture.revision = 4;
  provider.invalidateUser('u', 4);
  assert.equal(
    provider.find(known, () => 4),
    null,
  );
  assert.equal(await fixture.resolve(provider, known), null, 'one that was verified before');
  assert.equal(await fixture.resolve(provider, unknown), null, 'and one that was not');
  assert.notEqual(await fixture.resolve(provider, other), null);
  const again = await fixture.issue(provider, 'u');
  assert.notEqual(await fixture.resolve(provider, again), null, 'who logs in again gets another');
  provider.invalidateAll(5);
  for (const token of [again, other]) assert.equal(await fixture.resolve(provider, token), null);
});

const pem = (key: KeyObject): Uint8Array =>
  Buffer.from(key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' }) as string);

const PAIRS: Readonly<Record<string, () => { privateKey: KeyObject; publicKey: KeyObject }>> = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS384: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES512: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};

for (const [method, newPair] of Object.entries(PAIRS)) {
  test(`a JWT signed with ${method} carries name and revision, and a member with the public key alone reads it`, async () => {
    const fixture = new Fixture();
    const { privateKey, publicKey } = newPair();
    fixture.files.set('/priv', pem(privateKey)).set('/pub', pem(publicKey));
    const signer = fixture.provider(`jwt,sign-method=${method},priv-key=/priv,pub-key=/pub,ttl=2m`);
    const verifier = fixture.provider(`jwt,sign-method=${method},pub-key=/pub`);
    const token = await fixture.issue(signer, 'u');
    for (const provider of [signer, verifier]) {
      assert.equal(
        provider.find(token, () => 9),
        null,
        'not verified yet',
      );
      assert.deepEqual(await fixture.resolve(provider, token), { name: 'u', revision: 3 });
      assert.deepEqual(
        provider.find(token, () => 9),
        { name: 'u', revision: 3 },
      );
    }
    await assert.rejects(fixture.issue(verifier, 'u'), {
      message: 'auth: token signing attempted with verify-only key',
    });
    fixture.clock.advance(121_000);
    for (const provider of [signer, verifier]) {
      assert.equal(
        provider.find(token, () => 3),
        null,
      );
      assert.equal(await fixture.resolve(provider, token), null, 'expired');
    }
  });
}

test('a JWT signed with a shared secret is good, one of another method, key or form is not', async () => {
  const fixture = new Fixture();
  fixture.files
    .set('/a', Buffer.from('a secret of many letters, a secret of many letters'))
    .set('/b', randomBytes(64));
  const provider = fixture.provider('jwt,sign-method=HS256,priv-key=/a');
  const token = await fixture.issue(provider, 'u');
  assert.deepEqual(await fixture.resolve(provider, token), { name: 'u', revision: 3 });
  const [head, body] = token.split('.');
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`;
  const others = [
    unsigned,
    `${head}.${body}.`,
    'x',
    await fixture.issue(fixture.provider('jwt,sign-method=HS256,priv-key=/b'), 'u'),
    await fixture.issue(fixture.provider('jwt,sign-method=HS512,priv-key=/a'), 'u'),
    'x'.repeat(100_000),
  ];
  for (const other of others) assert.equal(await fixture.resolve(provider, other), null, other.slice(0, 40));
});

test('another key takes effect without a restart and voids what the old one signed; a broken file changes nothing', async () => {
  const fixture = new Fixture();
  fixture.files.set('/a', randomBytes(64));
  const provider = fixture.provider('jwt,sign-method=HS256,priv-key=/a');
  const token = await fixture.issue(provider, 'u');
  assert.notEqual(await fixture.resolve(provider, token), null);
  const content = fixture.files.get('/a')!;
  fixture.files.delete('/a');
  fixture.clock.advance(10_000);
  assert.notEqual(await fixture.resolve(provider, token), null);
  fixture.files.set('/a', content);
  fixture.clock.advance(10_000);
  assert.notEqual(await fixture.resolve(provider, token), null);
  fixture.files.set('/a', randomBytes(64));
  fixture.clock.advance(10_000);
  assert.equal(await fixture.resolve(provider, token), null);
});

test('S09 a token that is refused is named by its fingerprint', async () => {
  const fixture = new Fixture();
  fixture.files.set('/a', randomBytes(64));
  const provider = fixture.provider('jwt,sign-method=HS256,priv-key=/a');
  const token = await fixture.issue(provider, 'u');
  fixture.clock.advance(3_600_000);
  assert.equal(await fixture.resolve(provider, token), null);
  const lines = fixture.logged.join('\n');
  assert.match(lines, /"token-fingerprint":"[0-9a-f]{12}"/);
  for (const part of token.split('.')) assert.ok(!lines.includes(part));
});

test('options that can not be are refused with a reason', () => {
  const fixture = new Fixture();
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
  fixture.files
    .set('/priv', pem(privateKey))
    .set('/pub', pem(publicKey))
    .set('/other', pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey))
    .set('/weak', pem(weak.privateKey));
  const refusals: Readonly<Record<string, RegExp>> = {
    other: /^auth: invalid auth options$/,
    'simple,a': /^auth: invalid auth options$/,
    'jwt,ttl=1=2': /^auth: invalid auth options$/,
    'jwt,ttl=2m,ttl=2m,sign-method=ES256': /^auth: invalid auth options$/,
    'jwt,sign-method=ES256,pub-key=/pub,ttl=soon': /^auth: invalid auth options$/,
    jwt: /^auth: invalid auth signature method$/,
    'jwt,sign-method=none': /^auth: invalid auth signature method$/,
    'jwt,sign-method=ES256': /^auth: missing key data$/,
    'jwt,sign-method=HS256': /^auth: missing key data$/,
    'jwt,sign-method=ES256,priv-key=/priv,pub-key=/other': /^auth: public and private keys don't match$/,
    'jwt,sign-method=RS256,pub-key=/pub': /another kind of key/,
    'jwt,sign-method=ES384,pub-key=/pub': /curve secp384r1/,
    'jwt,sign-method=RS256,priv-key=/weak': /1024 bits is too weak/,
    'jwt,sign-method=RS256,priv-key=/missing': /no such file/,
  };
  for (const [authToken, message] of Object.entries(refusals)) {
    assert.throws(() => fixture.provider(authToken), { message }, authToken);
  }
});

test('without a kind of token nobody gets one', async () => {
  const fixture = new Fixture();
  const provider = fixture.provider('');
  await assert.rejects(fixture.issue(provider, 'u'), { message: /authentication failed/ });
  assert.equal(await fixture.resolve(provider, 'a.1'), null);
});
