/** What a kind of token has to do. */
import type { InternalError } from '@etcd/api';
import type { Identity } from '@etcd/storage/auth';

/** Called once; an error instead of a token. */
export type TokenCallback = (error: InternalError | null, token: string) => void;

export interface TokenProvider {
  /** The random part of a new token, which travels through the log with its owner's name; empty where none is needed. */
  newPrefix(): string;
  /** The user has been authenticated by the entry behind `index`, on this member or another. */
  register(name: string, prefix: string, index: number): void;
  /** The token for what {@link register} was told of, at this auth revision. */
  issueThen(name: string, prefix: string, index: number, revision: number, done: TokenCallback): void;
  /**
   * Whose token it is, if that is known at once; null otherwise: then {@link resolveThen} has to be asked.
   * @param revision that of the auth store, for tokens that don't carry one.
   */
  find(token: string, revision: () => number): Identity | null;
  /** Whose token it is, after whatever has to be waited for; null: nobody's. */
  resolveThen(token: string, revision: () => number, done: (identity: Identity | null) => void): void;
  enable(): void;
  disable(): void;
  /** The user's tokens are void that are older than this auth revision. */
  invalidateUser(name: string, revision: number): void;
  /** Everybody's are: whoever still has a password gets another. */
  invalidateAll(revision: number): void;
  stop(): void;
}

/** `--auth-token=''`: nobody gets a token. */
export function noTokens(refusal: InternalError): TokenProvider {
  const nothing = (): void => {};
  return {
    newPrefix: () => '',
    register: nothing,
    issueThen: (_name, _prefix, _index, _revision, done) => done(refusal, ''),
    find: () => null,
    resolveThen: (_token, _revision, done) => done(null),
    enable: nothing,
    disable: nothing,
    invalidateUser: nothing,
    invalidateAll: nothing,
    stop: nothing,
  };
}
