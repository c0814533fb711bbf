/** Tokens and passwords for tests: no threads, and secrets that are the same in each run. */
import { type Clock, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { Authentication } from '../authentication.ts';

export function testAuthentication(clock: Clock): Authentication {
  const random = new SeededRandom(1);
  return new Authentication({
    authToken: 'simple',
    authTokenTtlMs: 300_000,
    bcryptCost: 4,
    clock,
    logger: SILENT_LOGGER,
    secret: (count) => Uint8Array.from({ length: count }, () => random.below(256)),
    bcrypt: {
      hashThen: (password, _cost, done) => done(null, `hash of ${password}`),
      compareThen: (password, hash, done) => done(null, hash === `hash of ${password}`),
      hashNow: (password) => `hash of ${password}`,
      stop: () => {},
    },
  });
}
