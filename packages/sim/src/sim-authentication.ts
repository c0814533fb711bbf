/** Tokens and passwords of a simulated member: no threads, and secrets that every run draws alike. */
import { createHash } from 'node:crypto';
import type { Clock, Logger } from '@etcd/base';
import { SeededRandom } from '@etcd/base';
import { Authentication, type Bcrypt, type Config } from '@etcd/server';

/** As long as a real check takes, roughly. */
const HASH_MS = 50;

export function simAuthentication(options: { config: Config; clock: Clock; logger: Logger }): Authentication {
  const { config, clock, logger } = options;
  // Tokens differ from run to run of a member, as those of real ones do.
  const random = new SeededRandom(Math.floor(clock.wallNow()) >>> 0);
  const secret = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => random.below(256));
  return new Authentication({ ...config, clock, logger, secret, bcrypt: simBcrypt(clock) });
}

/** A different hash each time, as a salt makes it. */
function simBcrypt(clock: Clock): Bcrypt {
  let count = 0;
  return {
    hashThen: (password, _cost, done) =>
      void clock.setTimer(HASH_MS, () => done(null, simHash(password, String(count++)))),
    compareThen: (password, hash, done) =>
      void clock.setTimer(HASH_MS, () => done(null, hash === simHash(password, hash.split('$')[0]!))),
    hashNow: (password, _cost, salt) => simHash(password, Buffer.from(salt).toString('hex')),
    stop: () => {},
  };
}

/** What a simulated member keeps of a password. */
export function simHash(password: string, salt: string): string {
  return `${salt}$${createHash('sha256').update(`${salt} ${password}`).digest('hex')}`;
}
