/** Who calls: what the table judges by. */
import type { AuthRevision } from '@etcd/api';
import { type AuthStore, type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import type { ServerCall } from '@etcd/transport';
import type { TokenProvider } from '../auth/index.ts';

/** How clients of gRPC and of the JSON gateway call it. */
const TOKEN_FIELD = 'token';
const GATEWAY_TOKEN_FIELD = 'authorization';
const BEARER = 'Bearer ';
/** With what the JSON gateway passes on, which comes over a connection of the member's own (S07). */
const GATEWAY_FIELD = 'grpcgateway-accept';

export interface Callers {
  /**
   * Who calls, by the token or the certificate that came with the call; {@link NO_IDENTITY} where there is neither, null where the
   * token is not known (any more, or yet: see {@link resolveThen}). Asked only while authentication is enabled, for each
   * request, since tokens end.
   */
  identify(call: ServerCall): Identity | null;
  /** The same after what has to be waited for: a signature is checked, an entry is applied. */
  resolveThen(call: ServerCall, done: (identity: Identity | null) => void): void;
}

/** Where nobody has a name. */
export const ANYBODY: Callers = {
  identify: () => NO_IDENTITY,
  resolveThen: (_call, done) => done(NO_IDENTITY),
};

export class TokenCallers implements Callers {
  readonly #tokens: TokenProvider;
  readonly #revision: () => AuthRevision;
  readonly #byCertificate: boolean;
  /** Of the certificate that was seen last. */
  #certified: Identity = NO_IDENTITY;

  /** @param byCertificate whether a client without a token is who its certificate says: `--client-cert-auth`. */
  constructor(tokens: TokenProvider, auth: Pick<AuthStore, 'revision'>, byCertificate: boolean) {
    this.#tokens = tokens;
    this.#byCertificate = byCertificate;
    this.#revision = () => auth.revision;
  }

  identify(call: ServerCall): Identity | null {
    const token = tokenOf(call);
    return token === null ? this.#certifiedBy(call) : this.#tokens.find(token, this.#revision);
  }

  resolveThen(call: ServerCall, done: (identity: Identity | null) => void): void {
    const token = tokenOf(call);
    if (token === null) done(this.#certifiedBy(call));
    else this.#tokens.resolveThen(token, this.#revision, done);
  }

  /** A certificate without a name is that of a user without one, who is told the same as one that does not exist. */
  #certifiedBy(call: ServerCall): Identity {
    const { commonName: name, isSecure } = call.info;
    if (!this.#byCertificate || !isSecure || call.metadata(GATEWAY_FIELD) !== null) return NO_IDENTITY;
    const revision = this.#revision();
    if (this.#certified.name !== name || this.#certified.revision !== revision) {
      this.#certified = { name, revision };
    }
    return this.#certified;
  }
}

/** The token of a call, however it is sent; null: it has none. */
export function tokenOf(call: ServerCall): string | null {
  const token = call.metadata(TOKEN_FIELD) ?? call.metadata(GATEWAY_TOKEN_FIELD);
  return token?.startsWith(BEARER) === true ? token.slice(BEARER.length) : token;
}
