/**
 * Simple tokens: sixteen random letters, a dot, and an index of the log. Every member that applies the entry by which a user
 * was authenticated knows the token from then on, and forgets it when it has not been used for a while. The index says how far
 * a member must have come to know it, so that a token is good at once on all of them.
 */
import type { Clock, Logger, Timer } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import type { TokenCallback, TokenProvider } from './token-provider.ts';

export interface SimpleTokensOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ttlMs: number;
  /** Random bytes that nobody can guess. */
  readonly secret: (count: number) => Uint8Array;
  readonly appliedIndex: () => number;
  /** Calls back once the entry is applied, or with false when it takes too long. */
  readonly whenApplied: (index: number, done: (isApplied: boolean) => void) => void;
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const PREFIX_LETTERS = 16;
/** Bytes below it map to letters evenly. */
const FAIR_BYTES = 256 - (256 % LETTERS.length);
const SWEEP_INTERVAL_MS = 1000;
/** Above it the oldest token goes first, used or not. */
const MAX_TOKENS = 500_000;
/** Calls that wait for a token to become known; more are refused at once. */
const MAX_WAITING = 1000;
const TOKEN_FORM = /^[^.]*\.([0-9]{1,20})$/;

class Entry {
  readonly name: string;
  expiryMs: number;
  /** At the auth revision that was asked for last. */
  identity: Identity;

  constructor(name: string, expiryMs: number) {
    this.name = name;
    this.expiryMs = expiryMs;
    this.identity = { name, revision: 0 };
  }
}

export class SimpleTokens implements TokenProvider {
  readonly #options: SimpleTokensOptions;
  /** In the order in which they were given out. */
  readonly #tokens = new Map<string, Entry>();
  #isEnabled = false;
  #sweep: Timer | null = null;
  #waiting = 0;

  constructor(options: SimpleTokensOptions) {
    this.#options = options;
  }

  newPrefix(): string {
    let prefix = '';
    while (prefix.length < PREFIX_LETTERS) {
      for (const byte of this.#options.secret(PREFIX_LETTERS)) {
        if (byte < FAIR_BYTES && prefix.length < PREFIX_LETTERS) prefix += LETTERS[byte % LETTERS.length];
      }
    }
    return prefix;
  }

  register(name: string, prefix: string, index: number): void {
    if (!this.#isEnabled) return;
    if (this.#tokens.size >= MAX_TOKENS) {
      for (const oldest of this.#tokens.keys()) {
        this.#tokens.delete(oldest);
        break;
      }
    }
    this.#tokens.set(
      tokenOf(prefix, index),
      new Entry(name, this.#options.clock.now() + this.#options.ttlMs),
    );
    if (this.#sweep === null) this.#startSweep();
  }

  issueThen(_name: string, prefix: string, index: number, _revision: number, done: TokenCallback): void {
    done(null, tokenOf(prefix, index));
  }

  find(token: string, revision: () => number): Identity | null {
    const entry = this.#tokens.get(token);
    if (entry === undefined) return null;
    const { clock, ttlMs } = this.#options;
    const nowMs = clock.now();
    if (entry.expiryMs < nowMs) {
      this.#tokens.delete(token);
      return null;
    }
    entry.expiryMs = nowMs + ttlMs;
    const current = revision();
    if (entry.identity.revision !== current) entry.identity = { name: entry.name, revision: current };
    return entry.identity;
  }

  resolveThen(token: string, revision: () => number, done: (identity: Identity | null) => void): void {
    const known = this.find(token, revision);
    if (known !== null || !this.#isEnabled) return done(known);
    const index = Number(TOKEN_FORM.exec(token)?.[1] ?? Number.NaN);
    // The token names the entry before the one by which its owner was authenticated; etcd 3.4 names that one itself.
    if (!Number.isSafeInteger(index) || this.#options.appliedIndex() > index) return done(null);
    if (this.#waiting >= MAX_WAITING) return done(null);
    this.#waiting++;
    this.#whenKnown(token, index, index + 1, revision, (identity) => {
      this.#waiting--;
      done(identity);
    });
  }

  /** Looks for the token when the entry `index` is applied, and again with those behind it up to `last`. */
  #whenKnown(
    token: string,
    index: number,
    last: number,
    revision: () => number,
    done: (identity: Identity | null) => void,
  ): void {
    this.#options.whenApplied(index, (isApplied) => {
      const identity = isApplied ? this.find(token, revision) : null;
      if (identity !== null || !isApplied || index === last) done(identity);
      else this.#whenKnown(token, index + 1, last, revision, done);
    });
  }

  enable(): void {
    this.#isEnabled = true;
  }

  disable(): void {
    this.#isEnabled = false;
    this.#tokens.clear();
  }

  invalidateUser(name: string): void {
    for (const [token, entry] of this.#tokens) if (entry.name === name) this.#tokens.delete(token);
  }

  invalidateAll(): void {
    this.#tokens.clear();
  }

  stop(): void {
    this.#sweep?.cancel();
    this.#sweep = null;
    this.#tokens.clear();
    this.#isEnabled = false;
  }

  #startSweep(): void {
    this.#sweep = this.#options.clock.setTimer(SWEEP_INTERVAL_MS, () => {
      this.#sweep = null;
      const nowMs = this.#options.clock.now();
      for (const [token, { name, expiryMs }] of this.#tokens) {
        if (expiryMs >= nowMs) continue;
        this.#tokens.delete(token);
        this.#options.logger.debug('deleted a simple token', { 'user-name': name });
      }
      if (this.#tokens.size > 0) this.#startSweep();
    });
  }
}

function tokenOf(prefix: string, index: number): string {
  return `${prefix}.${index}`;
}
