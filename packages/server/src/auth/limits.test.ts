import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { InvariantError, SILENT_LOGGER } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import { SimClock } from '@etcd/testing';
import { type AuthenticatedMember, Authentication } from './authentication.ts';
import { BcryptPool } from './bcrypt-pool.ts';
import { openTokenProvider } from './open-token-provider.ts';
import { type Bcrypt, Passwords } from './passwords.ts';
import { SimpleTokens, type SimpleTokensOptions } from './simple-tokens.ts';
import { testAuthentication } from './testing/test-authentication.ts';
import { noTokens } from './token-provider.ts';
import { VoidedUsers } from './voided-users.ts';

const TTL_MS = 5000;

function simpleTokens(options: Partial<SimpleTokensOptions> = {}) {
  const clock = new SimClock();
  const tokens = new SimpleTokens({
    clock,
    logger: SILENT_LOGGER,
    ttlMs: TTL_MS,
    secret: randomBytes,
    appliedIndex: () => 10,
    whenApplied: (_index, done) => done(true),
    ...options,
  });
  tokens.enable();
  const find = (token: string): Identity | null => tokens.find(token, () => 3);
  return { clock, tokens, find };
}

test('letters of a token are drawn evenly: bytes that would favour some are drawn again', () => {
  const draws = [[...new Uint8Array(10).fill(255), 0, 1, 51, 52, 103, 207], new Array<number>(16).fill(0)];
  const { tokens } = simpleTokens({ secret: () => Uint8Array.from(draws.shift()!) });
  assert.equal(tokens.newPrefix(), `abZaZZ${'a'.repeat(10)}`);
  const real = simpleTokens().tokens;
  const prefixes = new Set(Array.from({ length: 1000 }, () => real.newPrefix()));
  assert.equal(prefixes.size, 1000);
  assert.equal(new Set([...prefixes].join('')).size, 52);
});

test('tokens that nobody uses are swept away, and the sweeping ends with the last of them', () => {
  const { clock, tokens, find } = simpleTokens();
  tokens.register('u', 'a', 1);
  clock.advance(TTL_MS - 1000);
  tokens.register('v', 'b', 2);
  clock.advance(2000);
  assert.deepEqual([find('a.1'), find('b.2')?.name], [null, 'v']);
  clock.advance(10 * TTL_MS);
  assert.equal(clock.step(), false, 'no timer is left');
  assert.equal(find('b.2'), null);
});

test('S20 tokens are bounded: the oldest goes first', () => {
  const { tokens, find } = simpleTokens();
  for (let i = 0; i <= 500_000; i++) tokens.register('u', 'a', i);
  assert.deepEqual([find('a.0'), find('a.1')?.name, find('a.500000')?.name], [null, 'u', 'u']);
});

test('S20 users whose signed tokens are void are bounded: with the oldest goes whatever is as old', () => {
  const voided = new VoidedUsers();
  for (let i = 1; i <= 10_000; i++) voided.add(`u${i}`, i);
  const isVoid = (name: string, revision: number): boolean => voided.has({ name, revision });
  assert.deepEqual([isVoid('u5', 4), isVoid('u5', 5), isVoid('v', 0)], [true, false, false]);
  voided.add('w', 20_000);
  assert.deepEqual([isVoid('u1', 0), isVoid('v', 0), isVoid('v', 1)], [true, true, false]);
  assert.deepEqual([isVoid('w', 19_999), isVoid('w', 20_000)], [true, false]);
});

test('without authentication no token is kept and none waited for', () => {
  const asked: number[] = [];
  const { tokens, find } = simpleTokens({ whenApplied: (index) => void asked.push(index) });
  tokens.disable();
  tokens.register('u', 'a', 1);
  assert.equal(find('a.1'), null);
  const answers: (Identity | null)[] = [];
  tokens.resolveThen(
    'a.50',
    () => 3,
    (identity) => answers.push(identity),
  );
  assert.deepEqual([answers, asked], [[null], []]);
});

test('a wait for a token that takes too long is over at once, not after the next entry', () => {
  const asked: number[] = [];
  const { tokens } = simpleTokens({
    whenApplied: (index, done) => {
      asked.push(index);
      done(false);
    },
  });
  const answers: (Identity | null)[] = [];
  tokens.resolveThen(
    'a.50',
    () => 3,
    (identity) => answers.push(identity),
  );
  assert.deepEqual([answers, asked], [[null], [50]]);
});

test('S20 signatures that are being checked are bounded, and so is the length of what is checked', async () => {
  const provider = openTokenProvider({
    authToken: 'jwt,sign-method=HS256,priv-key=/k',
    simpleTokenTtlMs: 0,
    readFile: () => Buffer.alloc(64, 'k'),
    clock: new SimClock(),
    logger: SILENT_LOGGER,
    secret: randomBytes,
    appliedIndex: () => 0,
    whenApplied: (_index, done) => done(true),
  });
  const resolved = (token: string): { isOver: boolean; done: Promise<Identity | null> } => {
    const state = { isOver: false, done: Promise.resolve<Identity | null>(null) };
    state.done = new Promise((resolve) =>
      provider.resolveThen(
        token,
        () => 3,
        (identity) => {
          state.isOver = true;
          resolve(identity);
        },
      ),
    );
    return state;
  };
  assert.equal(resolved('x'.repeat(8193)).isOver, true, 'too long to be one of ours');
  const calls = Array.from({ length: 1100 }, () => resolved('x.y.z'));
  assert.equal(calls.filter(({ isOver }) => isOver).length, 100);
  assert.ok((await Promise.all(calls.map(({ done }) => done))).every((identity) => identity === null));
  assert.equal(resolved('x.y.z').isOver, false, 'there is room again');
  provider.stop();
});

test('without tokens nobody is known, and nobody gets one', () => {
  const { ErrAuthFailed } = INTERNAL_ERRORS.auth;
  const provider = noTokens(ErrAuthFailed);
  provider.enable();
  provider.register('u', provider.newPrefix(), 1);
  const answers: unknown[] = [provider.find('.1', () => 1)];
  provider.issueThen('u', '', 1, 1, (error, token) => answers.push(error, token));
  provider.resolveThen(
    '.1',
    () => 1,
    (identity) => answers.push(identity),
  );
  assert.deepEqual(answers, [null, ErrAuthFailed, '', null]);
});

// --- passwords

test('S20 passwords that are remembered are bounded: who has not logged in for longest goes first', () => {
  let compared = 0;
  const bcrypt: Bcrypt = {
    hashThen: (_password, _cost, done) => done(null, 'h'),
    compareThen: (_password, _hash, done) => {
      compared++;
      done(null, true);
    },
    hashNow: () => 'h',
    stop: () => {},
  };
  const passwords = new Passwords({ bcrypt, cost: 4, secret: randomBytes });
  const login = (name: string): number => {
    const before = compared;
    passwords.verifyThen(name, 'p', 'h', () => {});
    return compared - before;
  };
  for (let i = 0; i < 10_000; i++) login(`u${i}`);
  assert.deepEqual([login('u0'), login('u9999')], [0, 0]);
  login('one more');
  assert.deepEqual([login('u9999'), login('u0')], [0, 1]);
  passwords.stop();
  assert.equal(login('u9999'), 1, 'nothing is left of it');
});

test('S20 passwords that wait for a thread are bounded, and all hear of the end', () => {
  const pool = new BcryptPool({ clock: new SimClock(), secret: randomBytes, maxThreads: 1 });
  const errors: string[] = [];
  for (let i = 0; i < 1005; i++) {
    pool.compareThen('p', 'no hash', (error, isEqual) => errors.push(`${error?.message} ${isEqual}`));
  }
  assert.deepEqual(new Set(errors), new Set(['too many passwords are being checked false']));
  assert.equal(errors.length, 4, 'one is being checked, a thousand wait');
  pool.stop();
  assert.equal(errors.length, 1005);
  assert.equal(errors.filter((text) => text === 'stopped false').length, 1001);
  pool.hashThen('p', 4, (error) => errors.push(String(error?.message)));
  assert.equal(errors.at(-1), 'too many passwords are being checked');
});

test('threads that have had nothing to do for a minute end, and others are started when there is work', async () => {
  const clock = new SimClock();
  const pool = new BcryptPool({ clock, secret: randomBytes, maxThreads: 2 });
  const hash = (): Promise<string> =>
    new Promise((resolve) => pool.hashThen('p', 4, (_error, text) => resolve(text)));
  assert.match(await hash(), /^\$2a\$04\$/);
  clock.advance(60_000);
  assert.equal(clock.step(), false, 'no timer without a thread');
  assert.match(await hash(), /^\$2a\$04\$/);
  pool.stop();
});

test('a salt that is none is a bug, not a weak password', () => {
  const pool = new BcryptPool({ clock: new SimClock(), secret: () => new Uint8Array(8) });
  assert.throws(() => pool.hashNow('p', 4, new Uint8Array(15)), InvariantError);
  assert.throws(() => pool.hashThen('p', 4, () => {}), InvariantError);
  assert.match(pool.hashNow('p', 4, new Uint8Array(16)), /^\$2a\$04\$\.{21}/);
  pool.stop();
});

// --- all of it together

function member(appliedIndex: number): AuthenticatedMember & { readonly asked: [number, number][] } {
  const asked: [number, number][] = [];
  const whenApplied = (index: number, timeoutMs: number, done: (isApplied: boolean) => void): void => {
    asked.push([index, timeoutMs]);
    done(true);
  };
  return { appliedIndex, requestTimeoutMs: 7000, whenApplied, asked };
}

test('a token is waited for as long as a request of the member may take; before there is a member, not at all', () => {
  const authentication = testAuthentication(new SimClock());
  authentication.onEnabled();
  const resolve = (token: string): Identity | null | undefined => {
    let found: Identity | null | undefined;
    authentication.tokens.resolveThen(
      token,
      () => 3,
      (identity) => {
        found = identity;
      },
    );
    return found;
  };
  assert.equal(resolve('a.5'), null);
  const attached = member(4);
  authentication.attach(attached);
  authentication.tokens.register('u', 'a', 6);
  assert.equal(resolve('b.5'), null);
  assert.deepEqual(attached.asked, [
    [5, 7000],
    [6, 7000],
  ]);
  assert.equal(resolve('b.3'), null);
  assert.equal(attached.asked.length, 2, 'what is applied need not be waited for');
});

test('what changes in the auth store reaches tokens and whoever asked to be told', () => {
  const authentication = testAuthentication(new SimClock());
  const told: string[] = [];
  authentication.whenChanged((revision) => told.push(`first ${revision}`));
  authentication.whenChanged((revision) => told.push(`second ${revision}`));
  authentication.onRevision(5);
  assert.deepEqual(told, ['first 5', 'second 5']);
  const { tokens } = authentication;
  const names = (): (string | undefined)[] =>
    ['a.1', 'b.1'].map((token) => tokens.find(token, () => 5)?.name);
  authentication.onEnabled();
  tokens.register('u', 'a', 1);
  tokens.register('v', 'b', 1);
  assert.deepEqual(names(), ['u', 'v']);
  authentication.onUserInvalidated('u', 6);
  assert.deepEqual(names(), [undefined, 'v']);
  authentication.onDisabled();
  assert.deepEqual(names(), [undefined, undefined]);
  authentication.stop();
});

test('an option of the flag that can not be ends the start with its reason', () => {
  for (const authToken of ['other', 'simple,x', 'jwt,sign-method=NONE']) {
    const options = {
      authToken,
      authTokenTtlMs: 0,
      bcryptCost: 4,
      clock: new SimClock(),
      logger: SILENT_LOGGER,
    };
    assert.throws(() => new Authentication(options), /^Error: auth: invalid auth/);
  }
});
