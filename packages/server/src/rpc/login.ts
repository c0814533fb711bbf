/**
 * A login: the password is checked against what was committed when the client asked, then the token goes through the log, so
 * that all members know it. The entry names the user and carries no password (S09). Whoever changes users meanwhile makes the check
 * stale: then it is done again.
 */
import { type AuthRevision, INTERNAL_ERRORS, type InternalError, type Revision } from '@etcd/api';
import { type AuthenticateResponse, InternalAuthenticateRequest } from '@etcd/api/etcdserverpb';
import { utf8FromBytes } from '@etcd/base';
import { NO_IDENTITY } from '@etcd/storage/auth';
import { type Authentication, readPart } from '../auth/index.ts';
import type { AuthenticateResult } from '../request/index.ts';
import type { Call } from './row.ts';
import { type RpcContext, refuseInternal } from './rpc-context.ts';

const { ErrAuthFailed, ErrAuthNotEnabled, ErrNoPasswordUser, ErrAuthOldRevision } = INTERNAL_ERRORS.auth;
const { ErrTooManyRequests } = INTERNAL_ERRORS.errors;

/** Users that are changed faster than passwords can be checked. */
const MAX_ATTEMPTS = 10;

export class Login {
  readonly #context: RpcContext;
  readonly #authentication: Pick<Authentication, 'passwords' | 'tokens'>;
  readonly #call: Call<AuthenticateResponse>;
  readonly #name: string;
  readonly #password: string;
  readonly #onToken: (token: string, revision: Revision) => void;
  #attempts = 0;

  constructor(
    context: RpcContext,
    authentication: Pick<Authentication, 'passwords' | 'tokens'>,
    call: Call<AuthenticateResponse>,
    name: string,
    password: string,
    onToken: (token: string, revision: Revision) => void,
  ) {
    this.#context = context;
    this.#authentication = authentication;
    this.#call = call;
    this.#name = name;
    // It waits for its turn with many others.
    this.#password = readPart(password);
    this.#onToken = onToken;
  }

  start(): void {
    this.#context.requests.read({
      onReadable: () => this.#check(),
      onUnreadable: (error) => void refuseInternal(this.#call, error),
    });
  }

  #check(): void {
    if (!this.#call.isAlive) return;
    const { auth } = this.#context.member;
    if (!auth.isEnabled) return this.#refuse(ErrAuthNotEnabled);
    const user = auth.user(this.#name);
    if (user === null) return this.#refuse(ErrAuthFailed);
    if (user.options?.noPassword === true) return this.#refuse(ErrNoPasswordUser);
    const { revision } = auth;
    const hash = utf8FromBytes(user.password);
    this.#authentication.passwords.verifyThen(this.#name, this.#password, hash, (error, isRight) => {
      if (!this.#call.isAlive) return;
      if (error !== null) return this.#refuse(ErrTooManyRequests);
      if (!isRight) return this.#refuse(ErrAuthFailed);
      this.#propose(revision);
    });
  }

  #propose(checkedRevision: AuthRevision): void {
    const simpleToken = this.#authentication.tokens.newPrefix();
    const request = new InternalAuthenticateRequest({ name: this.#name, simpleToken });
    this.#context.requests.proposals.propose('authenticate', request, NO_IDENTITY, {
      kind: 'authenticate',
      request: null,
      onApplied: (result) => this.#onApplied(result, checkedRevision),
      onFailed: (error) => void refuseInternal(this.#call, error),
    });
  }

  #onApplied({ name, prefix, index, revision }: AuthenticateResult, checkedRevision: AuthRevision): void {
    const { logger, clock, store } = this.#context.member;
    if (revision !== checkedRevision) {
      logger.info('revision when password checked became stale; retrying');
      if (++this.#attempts >= MAX_ATTEMPTS) return void refuseInternal(this.#call, ErrAuthOldRevision);
      return clock.defer(() => this.#check());
    }
    const storeRevision = store.revision;
    this.#authentication.tokens.issueThen(name, prefix, index, revision, (error, token) => {
      if (error !== null) return this.#refuse(error);
      if (this.#call.isAlive) this.#onToken(token, storeRevision);
    });
  }

  #refuse(error: InternalError): void {
    if (error !== ErrAuthNotEnabled) this.#context.refused.badLogin(this.#call, this.#name, error.message);
    refuseInternal(this.#call, error);
  }
}
