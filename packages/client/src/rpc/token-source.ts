/**
 * The token that a user's name and password were exchanged for. It is got before the first call, once for all who wait, and
 * again when a server no longer takes it.
 */
import { EtcdError, encode, RPC_ERRORS } from '@etcd/api';
import { AuthenticateRequest } from '@etcd/api/etcdserverpb';
import { AuthService } from '@etcd/api/services';
import type { Credentials } from '../options.ts';

/** Exchanges an encoded request for an encoded answer, whatever channel it takes. */
export type Exchange = (path: string, request: Uint8Array) => Promise<Uint8Array>;

export class TokenSource {
  readonly #credentials: Credentials | null;
  #token: string;
  #isFresh: boolean;
  #pending: Promise<void> | null = null;

  constructor(credentials: Credentials | undefined, token: string | undefined) {
    this.#credentials = token === undefined ? (credentials ?? null) : null;
    this.#token = token ?? '';
    this.#isFresh = this.#credentials === null;
  }

  /** Empty where there is none to send. */
  get token(): string {
    return this.#token;
  }

  /** Whether calls may go, as far as the token is concerned. */
  get isReady(): boolean {
    return this.#isFresh;
  }

  get canRefresh(): boolean {
    return this.#credentials !== null;
  }

  /** A server has refused `token`: unless there is a newer one already, the next call gets one. */
  reject(token: string): void {
    if (this.#credentials !== null && token === this.#token) this.#isFresh = false;
  }

  /** Resolves when there is a token; rejects when the server does not give one. */
  refresh(exchange: Exchange): Promise<void> {
    this.#pending ??= this.#authenticate(exchange).finally(() => {
      this.#pending = null;
    });
    return this.#pending;
  }

  async #authenticate(exchange: Exchange): Promise<void> {
    const credentials = this.#credentials;
    if (credentials === null) return;
    const { path, request, response } = AuthService.methods.authenticate;
    const { username: name, password } = credentials;
    try {
      const answer = await exchange(path, encode(request, new AuthenticateRequest({ name, password })));
      this.#token = response.decode(answer).token;
    } catch (error) {
      // Where authentication is not enabled, no token is needed.
      if (!(error instanceof EtcdError) || error.entry !== RPC_ERRORS.ErrGRPCAuthNotEnabled) throw error;
      this.#token = '';
    }
    this.#isFresh = true;
  }
}
