/**
 * Passwords of users: hashing new ones, and checking those that come with a login. What has been checked with bcrypt is
 * remembered as a keyed digest of name, hash and password, under a key that never leaves this process: the next login with the
 * same password costs microseconds. Another hash (the password was changed) or another password makes another digest, so
 * nothing has to be thrown away for the memory to stay right.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** bcrypt, away from the event loop. Each callback is called once. */
export interface Bcrypt {
  hashThen(password: string, cost: number, done: (error: Error | null, hash: string) => void): void;
  compareThen(password: string, hash: string, done: (error: Error | null, isEqual: boolean) => void): void;
  /** On the event loop, and always the same for the same arguments: for what older members left to those who apply. */
  hashNow(password: string, cost: number, salt: Uint8Array): string;
  stop(): void;
}

export interface PasswordsOptions {
  readonly bcrypt: Bcrypt;
  /** `--bcrypt-cost`. */
  readonly cost: number;
  readonly secret: (count: number) => Uint8Array;
}

/** bcrypt reads no more. */
const MAX_PASSWORD_BYTES = 72;
/** Users whose password is remembered; whoever has not logged in for longest goes first. */
const MAX_REMEMBERED = 10_000;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const MIN_COST = 4;
const MAX_COST = 31;
const DEFAULT_COST = 10;

export class Passwords {
  readonly #bcrypt: Bcrypt;
  readonly #secret: PasswordsOptions['secret'];
  /** Drawn when the first password is to be remembered. */
  #key: Uint8Array | null = null;
  readonly #verified = new Map<string, Uint8Array>();
  readonly cost: number;

  constructor({ bcrypt, cost, secret }: PasswordsOptions) {
    this.#bcrypt = bcrypt;
    this.#secret = secret;
    // As etcd does: a cost that can't be is not refused.
    this.cost = cost < MIN_COST || cost > MAX_COST ? DEFAULT_COST : cost;
  }

  /** What to store of a new password. */
  hashThen(password: string, done: (error: Error | null, hash: string) => void): void {
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
      return done(new Error(`bcrypt: password length exceeds ${MAX_PASSWORD_BYTES} bytes`), '');
    }
    this.#bcrypt.hashThen(password, this.cost, done);
  }

  /** Whether it is the password that `hash` was made of, as far as bcrypt reads it. */
  verifyThen(
    name: string,
    password: string,
    hash: string,
    done: (error: Error | null, isRight: boolean) => void,
  ): void {
    const read = readPart(password);
    const digest = this.#digest(name, read, hash);
    const verified = this.#verified.get(name);
    if (verified !== undefined && timingSafeEqual(verified, digest)) return done(null, true);
    this.#bcrypt.compareThen(read, hash, (error, isRight) => {
      if (isRight) this.#remember(name, digest);
      done(error, isRight);
    });
  }

  /** The hash of a password that reached the log in the clear: every member has to come to the same. */
  hashOfOldEntry(password: string, name: string, revision: number): Uint8Array {
    const salt = createHash('sha256').update(`${revision} ${name}`).digest().subarray(0, SALT_BYTES);
    return Buffer.from(this.#bcrypt.hashNow(password, DEFAULT_COST, salt), 'latin1');
  }

  stop(): void {
    this.#bcrypt.stop();
    this.#verified.clear();
  }

  #digest(name: string, password: string, hash: string): Uint8Array {
    this.#key ??= this.#secret(KEY_BYTES);
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([name, hash, password]))
      .digest();
  }

  #remember(name: string, digest: Uint8Array): void {
    this.#verified.delete(name);
    if (this.#verified.size >= MAX_REMEMBERED) {
      for (const oldest of this.#verified.keys()) {
        this.#verified.delete(oldest);
        break;
      }
    }
    this.#verified.set(name, digest);
  }
}

/**
 * The beginning of a password that bcrypt reads, as a string of its own: a stranger may send megabytes, and what waits for a thread must
 * not hold them. One unit more than there are bytes, which may be the second half of a character.
 */
export function readPart(password: string): string {
  const units = MAX_PASSWORD_BYTES + 1;
  return password.length <= units ? password : Buffer.from(password.slice(0, units)).toString();
}
