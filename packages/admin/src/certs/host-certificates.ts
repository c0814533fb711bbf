/** The certificates that `init` and `join` have made on a host: how long they are good for, and new ones in their place. */
import { existsSync } from 'node:fs';
import { issueLeaf } from '@etcd/host/pki';
import { ClusterError } from '../cluster/cluster-error.ts';
import { authorityOf, LOCAL_CERTIFICATES } from '../cluster/local-certificates.ts';
import { hostsOf, subjectFields } from '../pki/names-of.ts';
import { PairFiles } from '../pki/pair-files.ts';

const DAY_MS = 86_400_000;
const LEAF_DAYS = 365;
const AUTHORITY = 'ca';

export interface CertificateAge {
  readonly baseName: string;
  readonly path: string;
  readonly validToMs: number;
  /** Negative once it has expired. */
  readonly daysLeft: number;
}

/** Of those that are there, the authority first. Throws `PairError` for one that can not be read. */
export function certificateAges(directory: string, nowMs: number): CertificateAge[] {
  const files = new PairFiles(directory);
  return [AUTHORITY, ...LOCAL_CERTIFICATES.map(({ baseName }) => baseName)].flatMap((baseName) => {
    // One that can not be read is there, and nobody is told so by passing it over.
    if (!existsSync(files.certificatePath(baseName))) return [];
    const validToMs = Date.parse(files.certificate(baseName).validTo);
    const daysLeft = Math.floor((validToMs - nowMs) / DAY_MS);
    return [{ baseName, path: files.certificatePath(baseName), validToMs, daysLeft }];
  });
}

export const RENEWABLE = LOCAL_CERTIFICATES.map(({ baseName }) => baseName);

/** The same names and rights, a new key, a new time. Members take them up by themselves. Throws {@link ClusterError}. */
export async function renewHostCertificate(
  directory: string,
  baseName: string,
  nowMs: number,
): Promise<void> {
  const kind = LOCAL_CERTIFICATES.find((one) => one.baseName === baseName);
  if (kind === undefined)
    throw new ClusterError(`there is no certificate ${baseName}; there are ${RENEWABLE.join(', ')}`);
  const files = new PairFiles(directory);
  const old = files.certificate(baseName);
  const authority = authorityOf(files, baseName);
  const issued = await issueLeaf(authority, {
    commonName: subjectFields(old, 'CN')[0] ?? '',
    organizations: subjectFields(old, 'O'),
    usages: kind.usages,
    hosts: hostsOf(old),
    validityMs: LEAF_DAYS * DAY_MS,
    keyKind: 'RSA-2048',
    nowMs,
  });
  files.write(baseName, issued.certificatePem, issued.key);
}
