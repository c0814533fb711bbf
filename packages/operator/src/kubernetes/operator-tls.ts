/** What the operator shows to members, and whom it believes. */
import type { TlsOptions } from '@etcd/client/node';
import { secretName } from '../cluster/certificates.ts';
import type { Parts } from './parts.ts';
import { CERTIFICATE_KEY, PRIVATE_KEY, TRUSTED_KEY, textOf } from './seen-certificates.ts';

/** null: it has nothing yet. */
export function operatorTls(cluster: string, { secrets }: Parts): TlsOptions | null {
  const secret = secrets.find(({ metadata }) => metadata?.name === secretName(cluster, 'operator'));
  if (secret === undefined) return null;
  return {
    ca: textOf(secret, TRUSTED_KEY),
    cert: textOf(secret, CERTIFICATE_KEY),
    key: textOf(secret, PRIVATE_KEY),
  };
}
