/**
 * JSON Web Tokens: signed by the member that authenticated the user, verified by each on its own. They carry the auth
 * revision at which they were made, so a change of users or roles ends them for the key-value store. What has been verified is
 * remembered until it expires, so that a signature is checked once and not with every request.
 */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import type { Clock, Logger, Timer } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import { jwtVerify, SignJWT } from 'jose';
import { type JwtKeys, type JwtOptions, loadJwtKeys } from './jwt-options.ts';
import { tokenFingerprint } from './token-fingerprint.ts';
import type { TokenCallback, TokenProvider } from './token-provider.ts';
import { VoidedUsers } from './voided-users.ts';

const { ErrVerifyOnly, ErrInvalidAuthToken } = INTERNAL_ERRORS.auth;

export interface JwtTokensOptions {
  readonly jwt: JwtOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly readFile: (path: string) => Uint8Array;
}

/** Verified tokens that are remembered; the oldest goes first. */
const MAX_VERIFIED = 10_000;
/** Longer ones are no tokens of ours. */
const MAX_TOKEN_LETTERS = 8192;
/** Signatures under way at a time; more tokens are refused. */
const MAX_VERIFYING = 1000;
/** How often the key files are read again. */
const RELOAD_INTERVAL_MS = 10_000;

interface Verified {
  readonly identity: Identity;
  /** Of the wall clock; infinite where the token has no end. */
  readonly expiryMs: number;
}

export class JwtTokens implements TokenProvider {
  readonly #options: JwtTokensOptions;
  readonly #verified = new Map<string, Verified>();
  readonly #voided = new VoidedUsers();
  #keys: JwtKeys;
  /** What the key files held, to see whether they have changed. */
  #fingerprint = '';
  #verifying = 0;
  #reload: Timer | null = null;

  /** Throws where the keys can't be read or don't fit. */
  constructor(options: JwtTokensOptions) {
    this.#options = options;
    this.#keys = this.#loadKeys();
    this.#watchKeys();
  }

  newPrefix(): string {
    return '';
  }

  register(): void {}

  issueThen(name: string, _prefix: string, _index: number, revision: number, done: TokenCallback): void {
    const { signing } = this.#keys;
    if (signing === null) return done(ErrVerifyOnly, '');
    const { jwt, clock, logger } = this.#options;
    const expirySeconds = Math.floor((clock.wallNow() + jwt.ttlMs) / 1000);
    new SignJWT({ username: name, revision })
      .setProtectedHeader({ alg: jwt.algorithm, typ: 'JWT' })
      .setExpirationTime(expirySeconds)
      .sign(signing)
      .then(
        (token) => done(null, token),
        (error: unknown) => {
          logger.warn('failed to sign a JWT token', { 'user-name': name, error: reasonOf(error) });
          done(internal(error), '');
        },
      );
  }

  find(token: string): Identity | null {
    const verified = this.#verified.get(token);
    if (verified === undefined) return null;
    const { identity, expiryMs } = verified;
    if (expiryMs > this.#options.clock.wallNow() && !this.#voided.has(identity)) return identity;
    this.#verified.delete(token);
    return null;
  }

  resolveThen(token: string, _revision: () => number, done: (identity: Identity | null) => void): void {
    const known = this.find(token);
    if (known !== null) return done(known);
    if (token.length > MAX_TOKEN_LETTERS || this.#verifying >= MAX_VERIFYING) return done(null);
    const { jwt, clock, logger } = this.#options;
    const keys = this.#keys;
    this.#verifying++;
    jwtVerify(token, keys.verifying, {
      algorithms: [jwt.algorithm],
      currentDate: new Date(clock.wallNow()),
    }).then(
      ({ payload }) => {
        this.#verifying--;
        const { username, revision, exp } = payload;
        if (typeof username !== 'string' || typeof revision !== 'number' || keys !== this.#keys)
          return done(null);
        const identity: Identity = { name: username, revision: Math.trunc(revision) };
        if (this.#voided.has(identity)) return done(null);
        this.#remember(token, {
          identity,
          expiryMs: exp === undefined ? Number.POSITIVE_INFINITY : exp * 1000,
        });
        done(identity);
      },
      (error: unknown) => {
        this.#verifying--;
        // Whoever asked for it says that it was refused; why, is for who looks closely.
        logger.debug('failed to parse a JWT token', {
          'token-fingerprint': tokenFingerprint(token),
          error: reasonOf(error),
        });
        done(null);
      },
    );
  }

  enable(): void {}

  disable(): void {}

  /** In etcd what was signed before goes on until it expires, for all that does not ask for the auth revision. */
  invalidateUser(name: string, revision: number): void {
    this.#voided.add(name, revision);
  }

  invalidateAll(revision: number): void {
    this.#voided.addAll(revision);
  }

  stop(): void {
    this.#reload?.cancel();
    this.#verified.clear();
  }

  #remember(token: string, verified: Verified): void {
    if (this.#verified.size >= MAX_VERIFIED) {
      for (const oldest of this.#verified.keys()) {
        this.#verified.delete(oldest);
        break;
      }
    }
    this.#verified.set(token, verified);
  }

  #loadKeys(): JwtKeys {
    const { jwt, readFile } = this.#options;
    const contents: string[] = [];
    const keys = loadJwtKeys(jwt, (path) => {
      const content = readFile(path);
      contents.push(tokenFingerprint(Buffer.from(content).toString('latin1')));
      return content;
    });
    this.#fingerprint = contents.join();
    return keys;
  }

  #watchKeys(): void {
    this.#reload = this.#options.clock.setTimer(RELOAD_INTERVAL_MS, () => {
      this.#reloadKeys();
      this.#watchKeys();
    });
  }

  /** Another key voids what the old one signed. Files that can't be read, as while they are being replaced, change nothing. */
  #reloadKeys(): void {
    const before = this.#fingerprint;
    try {
      const keys = this.#loadKeys();
      if (this.#fingerprint === before) return;
      this.#keys = keys;
      this.#verified.clear();
      this.#options.logger.info('reloaded the keys of JWT tokens');
    } catch (error) {
      this.#fingerprint = before;
      this.#options.logger.warn('failed to reload the keys of JWT tokens', { error: reasonOf(error) });
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function internal(error: unknown): InternalError {
  const message = reasonOf(error);
  return { name: 'auth.SignError', message, rpc: { ...ErrInvalidAuthToken.rpc, message } };
}
