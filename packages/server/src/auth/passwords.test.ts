import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { NodeClock } from '@etcd/base/node';
import { compareSync } from 'bcryptjs';
import { BcryptPool } from './bcrypt-pool.ts';
import { type Bcrypt, Passwords, readPart } from './passwords.ts';

const pool = new BcryptPool({ clock: new NodeClock(), secret: randomBytes, maxThreads: 1 });
after(() => pool.stop());

/** As Go's bcrypt wrote it, of `secret` at cost 4. */
function hash(passwords: Passwords, password: string): Promise<string> {
  return new Promise((resolve, reject) =>
    passwords.hashThen(password, (error, text) => (error === null ? resolve(text) : reject(error))),
  );
}

function verify(passwords: Passwords, name: string, password: string, stored: string): Promise<boolean> {
  return new Promise((resolve, reject) =>
    passwords.verifyThen(name, password, stored, (error, isRight) =>
      error === null ? resolve(isRight) : reject(error),
    ),
  );
}

/** Counts what is really compared; every hash is `hash of <password>`. */
function countingBcrypt(): Bcrypt & { compared: number } {
  return {
    compared: 0,
    hashThen: (password, _cost, done) => done(null, `hash of ${password}`),
    compareThen(password, stored, done) {
      this.compared++;
      done(null, stored === `hash of ${password}`);
    },
    hashNow: (password, cost, salt) => `${password} ${cost} ${Buffer.from(salt).toString('hex')}`,
    stop: () => {},
  };
}

test('a password is hashed at the cost that was asked for, as Go writes it, and verified again', async () => {
  const passwords = new Passwords({ bcrypt: pool, cost: 4, secret: randomBytes });
  const stored = await hash(passwords, 'pässword');
  assert.match(stored, /^\$2a\$04\$.{53}$/);
  assert.equal(compareSync('pässword', stored), true);
  assert.equal(await verify(passwords, 'u', 'pässword', stored), true);
  assert.equal(await verify(passwords, 'u', 'password', stored), false);
  assert.notEqual(await hash(passwords, 'pässword'), stored, 'the salt is another');
});

test('what is stored and no hash is nobody’s password', async () => {
  const passwords = new Passwords({ bcrypt: pool, cost: 4, secret: randomBytes });
  for (const stored of ['', 'x', `$2a$99$${'.'.repeat(53)}`, `$9x$04$${'.'.repeat(53)}`]) {
    assert.equal(await verify(passwords, 'u', '', stored), false, stored);
  }
});

test('many passwords at a time are checked one after the other, none is lost', async () => {
  const passwords = new Passwords({ bcrypt: pool, cost: 4, secret: randomBytes });
  const stored = await hash(passwords, 'right');
  const checks = Array.from({ length: 20 }, (_, i) =>
    verify(passwords, `u${i}`, i % 2 === 0 ? 'right' : 'wrong', stored),
  );
  assert.deepEqual(
    await Promise.all(checks),
    checks.map((_, i) => i % 2 === 0),
  );
});

test('a password that was verified is not hashed again, another one or another hash is', async () => {
  const bcrypt = countingBcrypt();
  const passwords = new Passwords({ bcrypt, cost: 4, secret: randomBytes });
  for (let i = 0; i < 3; i++) assert.equal(await verify(passwords, 'u', 'p', 'hash of p'), true);
  assert.equal(bcrypt.compared, 1);
  assert.equal(await verify(passwords, 'u', 'q', 'hash of p'), false);
  assert.equal(await verify(passwords, 'u', 'p', 'hash of q'), false, 'the password was changed');
  assert.equal(await verify(passwords, 'v', 'p', 'hash of p'), true, 'another user');
  assert.equal(bcrypt.compared, 4);
});

test('S09 what is remembered of a password is of no use without the key of this process', async () => {
  const digests = [0, 1].map((key) => {
    const passwords = new Passwords({
      bcrypt: countingBcrypt(),
      cost: 4,
      secret: (count) => new Uint8Array(count).fill(key),
    });
    return JSON.stringify(passwords);
  });
  assert.deepEqual(digests, ['{"cost":4}', '{"cost":4}'], 'nothing of it can be printed');
});

test('S11 a password longer than bcrypt reads is refused, not cut', async () => {
  const passwords = new Passwords({ bcrypt: pool, cost: 4, secret: randomBytes });
  await assert.rejects(hash(passwords, 'ä'.repeat(37)), {
    message: 'bcrypt: password length exceeds 72 bytes',
  });
  assert.match(await hash(passwords, 'ä'.repeat(36)), /^\$2a\$04/);
});

test('S20 of a password only what bcrypt reads is kept and compared, however long it is', async () => {
  const passwords = new Passwords({ bcrypt: pool, cost: 4, secret: randomBytes });
  for (const exact of ['p'.repeat(72), `${'p'.repeat(69)}€`, `${'é'.repeat(36)}`, `${'p'.repeat(68)}🔑`]) {
    assert.equal(Buffer.byteLength(exact), 72);
    const stored = await hash(passwords, exact);
    assert.equal(await verify(passwords, 'u', exact, stored), true);
    assert.equal(await verify(passwords, 'u', exact + 'x'.repeat(1_000_000), stored), true, 'as in etcd');
    assert.equal(await verify(passwords, 'u', `x${exact.slice(1)}`, stored), false);
  }
  assert.ok(readPart('p'.repeat(1_000_000)).length <= 73);
  const cut = `${'p'.repeat(71)}🔑`;
  assert.equal(readPart(`${cut} and more`), cut, 'no character is cut');
});

test('a cost that can not be becomes the usual one', () => {
  for (const cost of [0, 3, 32, 1000]) {
    assert.equal(new Passwords({ bcrypt: countingBcrypt(), cost, secret: randomBytes }).cost, 10);
  }
});

test('a password in an old entry gets the same hash on every member', () => {
  const members = [1, 2].map(
    (key) =>
      new Passwords({
        bcrypt: countingBcrypt(),
        cost: 4,
        secret: (count) => new Uint8Array(count).fill(key),
      }),
  );
  const hashes = members.map((member) => Buffer.from(member.hashOfOldEntry('p', 'u', 7)).toString());
  assert.equal(hashes[0], hashes[1]);
  assert.match(hashes[0]!, /^p 10 [0-9a-f]{32}$/);
});
