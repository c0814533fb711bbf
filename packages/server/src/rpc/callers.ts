/** Who calls: what the table judges by. */
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import type { ServerCall } from '@etcd/transport';

export interface Callers {
  /**
   * Who calls, by the token or the certificate that came with the call; {@link NO_IDENTITY} where there is neither, null where the
   * token is not one (any more). Asked only while authentication is enabled, for each request, since tokens end.
   */
  identify(call: ServerCall): Identity | null;
}

/** Where nobody has a name. */
export const ANYBODY: Callers = { identify: () => NO_IDENTITY };
