/**
 * All that a member has for telling who calls: tokens, passwords, and those who want to know when users or roles change. Made
 * before the member, which tells it how far it has come ({@link Authentication.attach}); told by the auth store what changes there.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock, Logger } from '@etcd/base';
import type { AuthListener } from '@etcd/storage/auth';
import { BcryptPool } from './bcrypt-pool.ts';
import { openTokenProvider } from './open-token-provider.ts';
import { type Bcrypt, Passwords } from './passwords.ts';
import type { TokenProvider } from './token-provider.ts';

export interface AuthenticationOptions {
  /** `--auth-token`. */
  readonly authToken: string;
  readonly authTokenTtlMs: number;
  readonly bcryptCost: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Random bytes that nobody can guess; of the operating system unless told. */
  readonly secret?: ((count: number) => Uint8Array) | undefined;
  /** In threads of its own unless told. */
  readonly bcrypt?: Bcrypt | undefined;
}

/** What tokens ask of the member. */
export interface AuthenticatedMember {
  readonly appliedIndex: number;
  readonly requestTimeoutMs: number;
  /** Calls back once the entry is applied, or with false when that takes longer than so long. */
  whenApplied(index: number, timeoutMs: number, done: (isApplied: boolean) => void): void;
}

export class Authentication implements AuthListener {
  readonly tokens: TokenProvider;
  readonly passwords: Passwords;
  readonly #onChange: ((revision: number) => void)[] = [];
  #member: AuthenticatedMember | null = null;

  /** Throws, with a reason, where `--auth-token` asks for what can't be. */
  constructor(options: AuthenticationOptions) {
    const { authToken, authTokenTtlMs, bcryptCost, clock } = options;
    const logger = options.logger.child({ caller: 'server/auth' });
    const secret = options.secret ?? ((count) => randomBytes(count));
    this.tokens = openTokenProvider({
      authToken,
      simpleTokenTtlMs: authTokenTtlMs,
      readFile: (path) => readFileSync(path),
      clock,
      logger,
      secret,
      appliedIndex: () => this.#member?.appliedIndex ?? 0,
      whenApplied: (index, done) => this.#whenApplied(index, done),
    });
    const bcrypt = options.bcrypt ?? new BcryptPool({ clock, secret });
    this.passwords = new Passwords({ bcrypt, cost: bcryptCost, secret });
  }

  #whenApplied(index: number, done: (isApplied: boolean) => void): void {
    const member = this.#member;
    if (member === null) done(false);
    else member.whenApplied(index, member.requestTimeoutMs, done);
  }

  attach(member: AuthenticatedMember): void {
    this.#member = member;
  }

  /** `then` is called with every new auth revision, and when authentication is enabled. */
  whenChanged(then: (revision: number) => void): void {
    this.#onChange.push(then);
  }

  stop(): void {
    this.tokens.stop();
    this.passwords.stop();
  }

  // --- the auth store's side

  onEnabled(): void {
    this.tokens.enable();
  }

  onDisabled(): void {
    this.tokens.disable();
  }

  onUserInvalidated(name: string, revision: number): void {
    this.tokens.invalidateUser(name, revision);
  }

  onUsersReplaced(revision: number): void {
    this.tokens.invalidateAll(revision);
  }

  onRevision(revision: number): void {
    for (const then of this.#onChange) then(revision);
  }
}
