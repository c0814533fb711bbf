/** A thread that hashes: it takes one {@link BcryptJob} at a time and answers with its result. Started by the pool. */
import { parentPort } from 'node:worker_threads';
import { compareSync, hashSync } from 'bcryptjs';

/** `salt` is a whole bcrypt salt, or `hash` something to compare with. */
export interface BcryptJob {
  readonly password: string;
  readonly salt: string | null;
  readonly hash: string | null;
}

parentPort?.on('message', ({ password, salt, hash }: BcryptJob) => {
  parentPort!.postMessage(salt === null ? isEqual(password, hash ?? '') : hashSync(password, salt));
});

/** What is stored may be no hash at all: then no password is the right one. */
function isEqual(password: string, hash: string): boolean {
  try {
    return compareSync(password, hash);
  } catch {
    return false;
  }
}
